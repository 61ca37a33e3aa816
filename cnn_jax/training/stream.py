"""Runs ahead of the training and decodes its images, by grain, in worker processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from cnn_jax.config.flags import ready_for_libraries
from cnn_jax.errors import RunFailed, UserError, first_line
from cnn_jax.runtime import host, jax_settings
from cnn_jax.runtime.signals import SIGNALS
from cnn_jax.training.step_images import StepImages

# Without --workers. A worker takes about 300 MB: NumPy, JAX, Pillow, and its batches.
MOST_WORKERS = 32
# Seconds between two looks of a worker at whether its parent is alive.
LOOK = 1.0
# Exit status of a worker in which the user's script began a training: sysexits' EX_USAGE.
_UNGUARDED = 64

_workers: contextvars.ContextVar[int | None] = contextvars.ContextVar("workers", default=None)


@contextlib.contextmanager
def workers(number: int | None) -> Iterator[None]:
    """A block whose trainings decode streamed images in so many processes.

    Args:
      number: 0: in threads of this process; None: one process for each core, at most 32.
    """
    token = _workers.set(number)
    try:
        yield
    finally:
        _workers.reset(token)


def leave_if_starting() -> None:
    """Ends a worker whose import of the user's script asks for a training.

    Python starts a worker by importing the script. Without a main guard the script would train in
    each of its own workers; the parent says so, in `opened`.

    Raises:
      SystemExit: this process is such a worker.
    """
    # The attribute by which multiprocessing itself finds this mistake, when it is too late for a
    # short message.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(_UNGUARDED)


@contextlib.contextmanager
def opened(source: StepImages, start: int) -> Iterator[Iterator[tuple[np.ndarray, np.ndarray]]]:
    """A block with an iterator over the images and labels of the steps from `start` on.

    Raises:
      UserError: grain is not installed.
      UserError: in the block, from the iterator: the user's script lacks a main guard.
      RunFailed: likewise: a worker process was killed.
      DataInvalid: likewise: a picture can't be read.
    """
    try:
        import grain
    except ImportError as error:
        raise UserError(
            f"data.stream needs grain ({first_line(error)}): pip install grain, or set "
            "data.stream=false"
        ) from error
    ready_for_libraries()
    number = _workers.get()
    if number is None:
        number = min(host.cores(), MOST_WORKERS)
    threads = 1 if number else host.cores()
    steps: Any = grain.MapDataset.source(source)[start:].to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    )
    if number:
        options = grain.MultiprocessingOptions(num_workers=number, per_worker_buffer_size=1)
        steps = steps.mp_prefetch(options, worker_init_fn=_Worker(jax_settings.changing_results()))
    iterator = iter(steps)
    with concurrent.futures.ThreadPoolExecutor(1, "first step") as pool:
        # grain starts its workers with the first request; meanwhile the caller compiles.
        first = pool.submit(next, iterator, None)
        try:
            yield _explained(first, iterator)
        finally:
            iterator.close()
            # JAX holds the last batches, which are shared memory, until the next collection. At
            # the interpreter's end it is too late to free them without a warning.
            gc.collect()


def _explained(first: concurrent.futures.Future[Any], rest: Iterator[Any]) -> Iterator[Any]:
    try:
        if first.result() is not None:
            yield first.result()
        yield from rest
    except RuntimeError as error:
        if "terminated unexpectedly" not in str(error):
            raise
        if f"exit code {_UNGUARDED}." in str(error):
            raise UserError(
                "the processes that decode images import this script, which calls train again: "
                'call it below `if __name__ == "__main__":`, or decode in threads, by '
                "cnn_jax.training.stream.workers(0)"
            ) from error
        raise RunFailed(
            f"a process that decodes images ended ({first_line(error)}): if memory ran out, lower "
            "--workers; the same command resumes"
        ) from error


class _Worker:
    """Prepares a worker process.

    Args:
      settings: JAX's settings that change results, in this process.
    """

    def __init__(self, settings: dict[str, Any]):
        self._settings, self._parent = settings, os.getpid()

    def __call__(self, number: int, of: int) -> None:
        del number, of
        # A scheduler and a terminal signal all processes of a group. The training saves its state,
        # and may need images until then.
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        threading.Thread(target=self._end_with_parent, daemon=True).start()
        jax.config.update("jax_platforms", "cpu")
        for name, value in self._settings.items():
            jax.config.update(name, value)

    def _end_with_parent(self) -> None:
        """Ends this process after a parent that was killed, and could not end it."""
        while os.getppid() == self._parent:
            time.sleep(LOOK)
        os._exit(1)
