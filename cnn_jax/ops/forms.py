"""Switches between the forms of the operations, at trace time."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Literal

import jax

Form = Literal["fast", "stock", "onednn"]
_FORM: contextvars.ContextVar[Form] = contextvars.ContextVar("form", default="fast")


def fast() -> bool:
    """Whether operations that are traced now use this package's forms, not JAX's and Flax's."""
    return _FORM.get() != "stock"


def in_cpp() -> bool:
    """Whether operations that are traced now use C++ where they can: on a CPU, in form "onednn"."""
    return _FORM.get() == "onednn" and jax.default_backend() == "cpu"


@contextlib.contextmanager
def form(name: Form) -> Iterator[None]:
    """A block that traces operations in this form.

    "fast": this package's; "stock": JAX's and Flax's; "onednn": "fast", with convolutions in C++ on
    a CPU, by the library oneDNN, which the extra `onednn` installs, and by this package, and with
    BatchNorm's sums in C++.
    """
    token = _FORM.set(name)
    try:
        yield
    finally:
        _FORM.reset(token)


def stock(use: bool = True) -> contextlib.AbstractContextManager[None]:
    """A block that traces operations in their JAX or Flax form (`use=False`: the fast form)."""
    return form("stock" if use else "fast")
