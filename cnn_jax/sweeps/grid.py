"""Reads the grid of a sweep."""

import ast
import itertools

from cnn_jax import config
from cnn_jax.config.construct import Names
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment

# The value of each field that varies, as text.
Assignment = dict[str, str]


def grid(text: str | None, seeds: int | None = None) -> list[Assignment]:
    """The assignments of "optimizer.peak_lr=0.01,0.03; seed=0,1": every combination.

    Args:
      text: Fields and their values; None: no field but the seed.
      seeds: Adds so many seeds, from 0.

    Raises:
      UserError: the text has another form.
    """
    axes: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(";"))):
        name, equals, listed = part.partition("=")
        try:
            call = ast.parse(f"f({listed})", mode="eval").body
        except SyntaxError:
            equals = ""
        if not equals or not isinstance(call, ast.Call) or call.keywords or not call.args:
            raise UserError(f"--sweep: {part!r} must have the form field=value,value,...")
        values = [ast.unparse(value) for value in call.args]
        if name.strip() in axes or len(set(values)) < len(values):
            raise UserError(f"--sweep: {part!r} repeats a field or a value")
        axes[name.strip()] = values
    if seeds is not None:
        if "seed" in axes:
            raise UserError("--seeds: --sweep names seeds too; give one of the two")
        axes["seed"] = [str(seed) for seed in range(seeds)]
    if not axes:
        raise UserError("--sweep must name fields and values: 'optimizer.peak_lr=0.01,0.03'")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def applied(experiment: Experiment, assignment: Assignment, names: Names) -> Experiment:
    """The experiment with the values of an assignment, read as flags are.

    Raises:
      ConfigError: a field or a value is wrong.
    """
    flags = [f"--config.{field}={value}" for field, value in assignment.items()]
    return config.override(experiment, flags, names).config


def name_of(assignment: Assignment) -> str:
    """The name of a run for people: "optimizer.peak_lr=0.01,seed=0"."""
    return ",".join(f"{field}={value}" for field, value in assignment.items())
