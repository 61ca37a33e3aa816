"""A pytree of arrays in a folder, as Orbax writes it. Orbax is used here and nowhere else."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax


def write(folder: Path, tree: Any) -> None:
    """Writes arrays, or a dataclass of them, into a new folder; from any thread."""
    with _quiet_once_it_failed(), _checkpointer() as checkpointer:
        checkpointer.save(folder, args=_orbax().args.StandardSave(_named(tree)))


def read(folder: Path, like: Any) -> Any:
    """The arrays in a folder, on the host's first device.

    Args:
      folder: Where `write` has written them.
      like: Arrays or shapes of the same structure.
    """
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)
    with _checkpointer() as checkpointer:
        args = _orbax().args.StandardRestore(_named(target))
        tree = checkpointer.restore(folder, args=args)
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        return dataclasses.replace(like, **tree)
    return tree


def _named(tree: Any) -> Any:
    """A dataclass's fields by name, less those that are None: a checkpoint from before there was
    such a field is of the same structure."""
    if not dataclasses.is_dataclass(tree):
        return tree
    fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    return {name: value for name, value in fields.items() if value is not None}


def _orbax() -> Any:
    from orbax import checkpoint

    # Orbax tells every save at INFO, some retries at WARNING, and logs what it raises besides.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    return checkpoint


def _checkpointer() -> Any:
    return _orbax().Checkpointer(_orbax().StandardCheckpointHandler())


@contextlib.contextmanager
def _quiet_once_it_failed() -> Iterator[None]:
    """Passes over what Orbax's other writes say when one has failed, and nobody listens any more.

    They may say it long after, so the hook stays once a save has failed.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_unless_too_late, hook)
    yield
    sys.unraisablehook = hook


def _unless_too_late(hook: Callable[[Any], object], unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)
