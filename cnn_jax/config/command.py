"""Parses the command line: plain flags, and a flag for every field of the chosen recipe."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cnn_jax.config.check import type_text
from cnn_jax.config.construct import Names
from cnn_jax.config.expression import read
from cnn_jax.config.flags import Line, library_rows
from cnn_jax.config.help import Row, describe, render
from cnn_jax.config.load import Recipe, load
from cnn_jax.config.override import Overridden, Tree
from cnn_jax.errors import ConfigError


@dataclass(frozen=True)
class Flag:
    """A command-line flag that is not a field of the experiment.

    Attributes:
      name: Without dashes.
      type: An annotation, such as `bool`, `int | None` or `Literal["train", "evaluate"]`.
      default: Value of a flag that is not given.
      help: Its text in --help.
      minimum: Smallest number allowed; None: no limit.
    """

    name: str
    type: Any
    default: Any
    help: str
    minimum: float | None = None

    def read(self, text: str) -> Any:
        """Converts the flag's text to a value. Raises ConfigError if it has the wrong type."""
        value = read(text, self.type, {})
        if self.minimum is not None and value is not None and value < self.minimum:
            raise ConfigError(f"must be at least {self.minimum}, got {value}")
        return value


@dataclass(frozen=True)
class Command:
    """A parsed command line.

    Attributes:
      flags: The plain flags' values, as attributes.
      given: Names of the plain flags that were given.
      recipe: The recipe chosen by --config.
      experiment: The recipe's experiment, with the overrides applied.
      overridden: Dotted names of the overridden fields, such as "optimizer.peak_lr".
      notes: Lines that report settings which an override has discarded.
      args: Positional arguments.
    """

    flags: SimpleNamespace
    given: frozenset[str]
    recipe: Recipe
    experiment: Any
    overridden: tuple[str, ...]
    notes: list[str]
    args: list[str] = field(default_factory=list)


def parse(
    argv: Sequence[str],
    *,
    plain: Mapping[str, Sequence[Flag]],
    names: Names,
    usage: str = "",
    experiments_dir: Path | str | None = None,
) -> Command:
    """Parses a command line. If it asks for help, prints that and exits with code 0.

    Args:
      argv: The program's name, then its arguments, as `sys.argv`.
      plain: Plain flags by the title of their group; one must be `config`, the recipe.
      names: Classes and functions that expressions may call, by name.
      usage: First lines of the help.
      experiments_dir: Folder of the named recipes; `experiments/` by default.

    Raises:
      ConfigError: The command line has a mistake.
    """
    line = Line(argv[1:])
    table = {flag.name: flag for group in plain.values() for flag in group}
    wanted = line.wants_help()
    needed = ["config"] if wanted else list(table)
    found = {name: line.look_up(name, table[name].type, table[name].read) for name in needed}
    config = found["config"].value if found["config"] else table["config"].default
    recipe = load(config, names, experiments_dir)
    if wanted:
        experiment = recipe.experiment
        with contextlib.suppress(ConfigError):
            experiment = Tree(line.look_up, recipe.names).override(experiment).config
        groups = {title: [_row(flag) for flag in group] for title, group in plain.items()}
        title = f"Fields of the recipe {recipe.name}, set by --config.FIELD=VALUE"
        groups[title] = describe(experiment)
        if line.wants_full_help():
            groups["Flags of JAX and absl"] = library_rows()
        sys.stdout.write(render(usage, groups))
        raise SystemExit(0)
    result, args = _override(recipe.experiment, line, recipe.names)
    values = {n: source.value if source else table[n].default for n, source in found.items()}
    return Command(
        flags=SimpleNamespace(**values),
        given=frozenset(name for name, source in found.items() if source),
        recipe=recipe,
        experiment=result.config,
        overridden=result.overridden,
        notes=result.notes,
        args=args,
    )


def override(config: Any, argv: Sequence[str], names: Names) -> Overridden:
    """Applies `--config.a.b=value` arguments to a config, in any order.

    Args:
      config: The config to change.
      argv: The arguments, without the program's name.
      names: Classes and functions that expressions may call, by name.

    Raises:
      ConfigError: A flag is unknown, or its value is wrong.
    """
    result, args = _override(config, Line(argv), names)
    if args:
        raise ConfigError(f"Unexpected argument {args[0]!r}")
    return result


def _override(config: Any, line: Line, names: Names) -> tuple[Overridden, list[str]]:
    tree = Tree(line.look_up, names)
    result = tree.override(config)
    return result, line.rest(tree.values)


def _row(flag: Flag) -> Row:
    usual = "" if flag.default is None else str(flag.default)
    return Row(flag.name, type_text(flag.type).replace("'", ""), usual, flag.help)
