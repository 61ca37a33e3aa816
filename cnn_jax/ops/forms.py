"""Switches between the fast operations and those of JAX and Flax, at trace time."""

import contextlib
import contextvars
from collections.abc import Iterator

_FAST = contextvars.ContextVar("fast", default=True)


def fast() -> bool:
    """Whether operations that are traced now use their fast form."""
    return _FAST.get()


@contextlib.contextmanager
def stock(use: bool = True) -> Iterator[None]:
    """A block that traces operations in their JAX or Flax form (`use=False`: the fast form)."""
    token = _FAST.set(not use)
    try:
        yield
    finally:
        _FAST.reset(token)
