"""Suggests the name that a user probably meant."""

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Returns the choice that was probably meant, or None."""
    choices = sorted(choices)
    match = difflib.get_close_matches(word, choices, n=1)
    # People write "lr" for "peak_lr", although few letters agree.
    match = match or [c for c in choices if len(word) > 1 and (word in c or c in word)]
    return match[0] if match else None


def suggestion(word: str, choices: Iterable[str]) -> str:
    """Returns " Did you mean X?" for the nearest choice, or else the list of choices."""
    choices = sorted(choices)
    match = nearest(word, choices)
    if match:
        return f" Did you mean {match}?"
    return f" Choose from {', '.join(choices)}." if choices else ""
