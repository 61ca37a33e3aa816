"""Errors that the program reports in one line, and where in the user's code an error arose."""

import contextlib
import inspect
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# Code that the user did not write: this package, the standard library, installed packages, and
# generated code.
_NOT_USER_CODE = (
    f"{Path(__file__).parent}/",
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")),
    "<frozen",
    "<string>",
)
_LONGEST = 2000


class UserError(ValueError):
    """A request that cannot be met. The message is one line that says why and how to fix it."""


class ConfigError(UserError):
    """A mistake in a config, recipe or flag. The message is always one printable line."""

    def __init__(self, message: str):
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        if len(line) > _LONGEST:
            line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
        super().__init__(line)


class RunFailed(RuntimeError):
    """A valid request that failed while it was carried out. The message is one line."""


def some(names: Iterable[str], most: int = 5) -> str:
    """Lists the first names and counts the others: "cat, dog and 8 more"."""
    names = list(names)
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left:,} more" if left > 0 else "")


def location_of(error: BaseException, within: str = "") -> str:
    """Returns the "file:line" of the user's own code that raised an error; "" if none did.

    Args:
      error: The caught exception. Frames that called the `try` do not count.
      within: Counts only frames of the function with this name, such as "<module>"; "": any.
    """
    user_frames = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_USER_CODE) and within in ("", frame.name)
    ]
    return user_frames[-1] if user_frames else ""


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def located_message(error: BaseException) -> str:
    """Returns the first line of an error's message, prefixed by its location in user code."""
    location = location_of(error)
    return f"{location}: {first_line(error)}" if location else first_line(error)


def definition_of(component: object) -> str:
    """Returns the "file:line" of a component's class if the user wrote it; "" otherwise."""
    cls = type(component)
    try:
        file, line = inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):  # made in an interpreter, or built in
        return ""
    return "" if not file or file.startswith(_NOT_USER_CODE) else f"{file}:{line}"


@contextlib.contextmanager
def blamed_on(
    part: str, hints: Mapping[str, str] | None = None, component: object = None
) -> Iterator[None]:
    """A block that runs code of the user's component: its error becomes a UserError with its place.

    Errors that arise in other code, and those that are messages already, pass unchanged.

    Args:
      part: What fails, such as "optimizer".
      hints: Explanations for some kinds of errors, by the name of their class.
      component: What the block calls. If the user wrote its class, errors of the call itself, such
        as a wrong number of arguments, are its own too.
    """
    try:
        yield
    except (UserError, RunFailed):
        raise
    except Exception as error:
        place = location_of(error) or definition_of(component)
        if not place:
            raise
        kind = type(error).__name__
        reason = re.sub(r"\.? \(https://\S+\)", "", first_line(error))  # a link to Flax's docs
        hint = f"; {hints[kind]}" if hints and kind in hints else ""
        raise UserError(f"{part} fails at {place}: {kind}: {reason}{hint}") from error


def shape_text(shape: Iterable[int]) -> str:
    """Formats a shape for people: (32, 32, 3) as "32x32x3"."""
    return "x".join(map(str, shape))
