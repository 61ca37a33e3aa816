"""The switch between the fast operations and the library's own, read while a program is traced."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_FAST = contextvars.ContextVar("fast", default=True)


def fast() -> bool:
    """Whether operations traced now take their fast form."""
    return _FAST.get()


@contextlib.contextmanager
def stock(use: bool = True) -> Iterator[None]:
    """Within it, operations are traced in the library's own form (`use=False`: in the fast one)."""
    token = _FAST.set(not use)
    try:
        yield
    finally:
        _FAST.reset(token)
