"""One-line errors for what a user wrote: what was wrong, and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cnn_jax.errors import UserError

_LONGEST = 2000


class ConfigError(UserError):
    """A user's mistake. The message is always one printable line."""

    def __init__(self, message: str):
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        if len(line) > _LONGEST:
            line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
        super().__init__(line)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant."""
    choices = sorted(choices)
    match = difflib.get_close_matches(word, choices, n=1)
    # "lr" is what people write for "peak_lr", though few letters agree.
    match = match or [c for c in choices if len(word) > 1 and (word in c or c in word)]
    return match[0] if match else None


def near(word: str, choices: Iterable[str]) -> str:
    """Returns " Did you mean X?" for the nearest choice, else the list of them."""
    choices = sorted(choices)
    match = nearest(word, choices)
    if match:
        return f" Did you mean {match}?"
    return f" Choose from {', '.join(choices)}." if choices else ""
