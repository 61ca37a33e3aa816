"""Writes and reads a pytree of arrays in a folder with Orbax; no other module uses Orbax."""

import contextlib
import dataclasses
import functools
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

# Characters of a path that Orbax or TensorStore do not take as they are.
_MISREAD = frozenset("[]*?\\")


def write(folder: Path, tree: Any) -> None:
    """Writes arrays, or a dataclass of them, into a new folder; from any thread."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _plainly_named(folder) as place, _quiet_once_it_failed(), _checkpointer() as checkpointer:
        checkpointer.save(place, args=_orbax().args.StandardSave(_named(tree)))


def read(folder: Path, like: Any) -> Any:
    """Reads the arrays in a folder onto the first local device.

    Args:
      folder: A folder that `write` wrote.
      like: Arrays or shapes of the same structure.
    """
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)
    with _plainly_named(folder) as place, _checkpointer() as checkpointer:
        args = _orbax().args.StandardRestore(_named(target))
        tree = checkpointer.restore(place, args=args)
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        return dataclasses.replace(like, **tree)
    return tree


@contextlib.contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """A block in which a folder has a path that Orbax takes as it is.

    Orbax searches the folder by a pattern, so that it loses the arrays below `[a]`, and would mix
    `a*` with other folders; TensorStore takes a backslash as a slash. No error is raised then. Both
    also need UTF-8; Python replaces other bytes of a path by surrogates.
    """
    text = str(folder.absolute())
    if not any(character in _MISREAD or "\udc80" <= character <= "\udcff" for character in text):
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        link = Path(temporary) / "link"
        link.symlink_to(folder.parent.absolute(), target_is_directory=True)
        yield link / folder.name


def _named(tree: Any) -> Any:
    """A dataclass's fields by name, without those that are None: a checkpoint from before a field
    was added has the same structure."""
    if not dataclasses.is_dataclass(tree):
        return tree
    fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    return {name: value for name, value in fields.items() if value is not None}


def _orbax() -> Any:
    from orbax import checkpoint

    # Orbax logs every save at INFO, some retries at WARNING, and also what it raises.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    return checkpoint


def _checkpointer() -> Any:
    # This process alone: in a job of several, Orbax would wait for the others to save with it.
    own = jax.process_index()
    alone = _orbax().options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process_{own}"
    )
    handler = _orbax().StandardCheckpointHandler(multiprocessing_options=alone)
    return _orbax().Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def _quiet_once_it_failed() -> Iterator[None]:
    """Hides the errors of Orbax's other writes once one has failed and been reported.

    They may surface long after, when their tasks are garbage-collected. So the hook and the filter
    stay once a save has failed.
    """
    hook, logger = sys.unraisablehook, logging.getLogger("asyncio")
    hide_unretrieved = functools.partial(_is_not, "exception was never retrieved")
    sys.unraisablehook = functools.partial(_unless_too_late, hook)
    logger.addFilter(hide_unretrieved)
    yield
    sys.unraisablehook = hook
    logger.removeFilter(hide_unretrieved)


def _unless_too_late(hook: Callable[[Any], object], unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)


def _is_not(message: str, record: logging.LogRecord) -> bool:
    return message not in record.getMessage()
