"""The mistakes that are told in one line, without a traceback."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

# Code that is nobody's own: this package, the standard library, what is installed, what is made up.
_NOT_OWN = (
    f"{Path(__file__).parent}/",
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")),
    "<frozen",
    "<string>",
)


class UserError(ValueError):
    """Something was asked for that can't be; one line says what and how to put it right."""


class RunFailed(RuntimeError):
    """What was asked for is fine, but it went wrong on the way; one line says where."""


def place_of(error: BaseException, within: str = "") -> str:
    """The file and line of the user's own code in which an error arose; "" where it was not there.

    Args:
      error: As it was caught; what has called the `try` doesn't count.
      within: The name of the function that counts alone, such as "<module>"; "": any.
    """
    own = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_OWN) and within in ("", frame.name)
    ]
    return own[-1] if own else ""


def first_line(error: BaseException) -> str:
    """What an error says, without what follows in further lines."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def told(error: BaseException) -> str:
    """Its first line, after its place in the user's own code if it arose there."""
    place = place_of(error)
    return f"{place}: {first_line(error)}" if place else first_line(error)
