"""Finds typed flags in a command line, with absl. No other module imports absl.flags.

The objects of the recipe determine which flags exist, so flags are looked up one at a time: a flag
that replaces an object comes before the flags of the new object's fields.

A flag that is none of these may be one of JAX or of absl's logging, as in other absl programs:
`--jax_debug_nans`, `--verbosity=1`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from cnn_jax.config.check import arms, shown
from cnn_jax.config.help import Row
from cnn_jax.config.override import Source
from cnn_jax.config.spelling import nearest
from cnn_jax.errors import ConfigError

_HELP_FULL = {"-helpfull", "--helpfull"}
_HELP = {"-h", "--h", "-help", "--help", "-helpshort", "--helpshort", *_HELP_FULL}
_JAX, _LOGGING = "jax", "absl.logging"  # modules that define flags: JAX's are in its submodules


def ready_for_libraries() -> None:
    """Lets libraries read their own absl flags in a program that has not parsed a command line."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


class _Reader(flags.ArgumentParser):
    def __init__(self, *, read: Callable[[str], Any]):
        self._read = read

    def parse(self, argument: str) -> Any:
        return self._read(argument)


class Line:
    """The arguments of a command line, in which flags are looked up one at a time."""

    def __init__(self, argv: Sequence[str]):
        try:
            self._argv = flags.FlagValues().read_flags_from_files(list(argv))
        except (flags.Error, OSError, UnicodeError) as error:
            reason = str(error).rpartition("flagfile: ")[2]
            raise ConfigError(f"--flagfile can't be read: {reason}") from error
        self._flags = flags.FlagValues()
        self._texts: dict[str, str] = {}

    def wants_help(self) -> bool:
        """Whether a help flag stands before any `--`."""
        return not _HELP.isdisjoint(self._before_double_dash())

    def wants_full_help(self) -> bool:
        """Whether the flags of JAX and absl are asked for too."""
        return not _HELP_FULL.isdisjoint(self._before_double_dash())

    def _before_double_dash(self) -> list[str]:
        return self._argv[: self._argv.index("--") if "--" in self._argv else None]

    def look_up(self, name: str, annotation: Any, read: Callable[[str], Any]) -> Source | None:
        """Finds and reads one flag; if it is repeated, the last one counts."""
        if name not in self._flags:

            def reading(text: str) -> Any:
                if text.startswith("--"):
                    raise ConfigError("needs a value, but the next flag follows")
                self._texts[name] = text
                return read(text)

            boolean = arms(annotation) == [bool]
            reader = _Reader(read=reading)
            self._flags[name] = flags.Flag(reader, None, name, None, None, boolean=boolean)
        alone = flags.FlagValues()
        alone[name] = flag = self._flags[name]
        _absl_parse(alone, self._argv, known_only=True)
        return Source(self._texts[name], flag.value) if flag.present else None

    def rest(self, values: Mapping[str, Any]) -> list[str]:
        """Returns the positional arguments, after all flags have been looked up.

        Flags of JAX and absl take effect here.

        Args:
          values: The config's values by dotted name, to explain an unknown flag.

        Raises:
          ConfigError: A flag is unknown.
        """
        try:
            args = _absl_parse(self._flags, self._argv)
        except flags.UnrecognizedFlagError:
            args = self._rest_with_library_flags(values)
        for arg in args:
            if arg.lower() in ("true", "false"):
                raise ConfigError(f"Unexpected argument {arg!r}: write a bool flag as --flag={arg}")
        return args

    def _rest_with_library_flags(self, values: Mapping[str, Any]) -> list[str]:
        known, library = flags.FlagValues(), _library_flags()
        for name in self._flags:
            known[name] = self._flags[name]
        for name, flag in library.items():
            if name not in known:
                known[name] = copy.deepcopy(flag)  # unchanged on a mistake
        try:
            args = _absl_parse(known, self._argv)
        except flags.UnrecognizedFlagError as error:
            raise ConfigError(_unknown(error.flagname, list(known), values)) from error
        _set({name: known[name].value for name in library if known[name].present})
        return args


def library_rows() -> list[Row]:
    """Returns a row of help for each flag of JAX and of absl's logging."""
    rows = []
    for name, flag in sorted(_library_flags().items()):
        default = "" if flag.default is None else str(flag.default)
        rows.append(Row(name, flag.flag_type(), default, flag.help or ""))
    return rows


def _library_flags() -> dict[str, flags.Flag]:
    import jax
    from absl import logging

    del logging  # importing it defines its flags
    if "jax_platforms" not in flags.FLAGS:
        jax.config.config_with_absl()
    return {
        flag.name: flag
        for module, defined in flags.FLAGS.flags_by_module_dict().items()
        for flag in defined
        if module == _LOGGING or module.partition(".")[0] == _JAX
    }


def _set(given: Mapping[str, Any]) -> None:
    """Lets flags of JAX and absl take effect."""
    import jax
    from absl import logging

    for name, value in given.items():
        if flags.FLAGS.find_module_defining_flag(name) != _LOGGING:
            jax.config.update(name, value)
        else:
            flags.FLAGS[name].value = value
            flags.FLAGS.mark_as_parsed()
            logging.use_absl_handler()  # as `absl.app.run` does


def _absl_parse(
    values: flags.FlagValues, argv: Sequence[str], known_only: bool = False
) -> list[str]:
    try:
        return values(["", *argv], known_only=known_only)[1:]
    except flags.UnrecognizedFlagError:
        raise
    except flags.IllegalFlagValueError as error:
        raise ConfigError(str(error).removeprefix("flag ")) from error
    except flags.Error as error:
        raise ConfigError(f"{str(error).rpartition(' ')[2]} needs a value") from error
    except ValueError as error:
        raise ConfigError(f"{str(error).partition(' ')[0]} takes no value") from error


def _unknown(name: str, known: Sequence[str], values: Mapping[str, Any]) -> str:
    head = f"Unknown flag --{name}."
    parent, _, leaf = name.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == parent}
    meant = siblings.get(nearest(leaf, siblings) or "")
    if meant is None and parent in values and not siblings:
        return f"{head} {parent} is {shown(values[parent])} and has no fields"
    if meant is None:
        moved = [k for k in known if k.rpartition(".")[2] == leaf]
        meant = nearest(name, moved) or (moved[0] if moved else None)
    if meant is None and not siblings:
        meant = nearest(name, known)
    if meant:
        return f"{head} Did you mean --{meant}?"
    if parent and siblings:
        names = ", ".join(sorted(siblings))
        if parent not in values:
            return f"{head} Fields of {parent}: {names}"
        kind = type(values[parent]).__name__
        return (
            f"{head} Fields of {parent}, which is {kind}(): {names}; "
            f"another object is given whole: --{parent}='NAME(...)'"
        )
    return f"{head} See --help"
