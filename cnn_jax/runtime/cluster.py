"""A job of several processes: JAX's distributed runtime, started, watched and ended.

Process 0 is the coordinator: JAX's coordination service runs in it. If a process is lost, the
others end (`cluster_watch`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np

from cnn_jax.errors import UserError, first_line
from cnn_jax.runtime.cluster_watch import ENDED, FAILED, HEARTBEAT_SECONDS, Watch, end

T = TypeVar("T")

# The watch of this process; None outside a job, and in one that a program of its own has started.
_watch: Watch | None = None
# Broadcasts and meetings so far: each needs a name of its own, the same on all processes.
_count = itertools.count()

# Seconds that processes wait for each other to begin, and at any later point: one of them may be
# reading its data, or drawing figures.
START_SECONDS, WAIT_SECONDS = 300, 3600
# Programs that start processes, and the variables in which they say how many, and which one it is.
LAUNCHERS = (
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK"),
)
# Words by which errors of collective operations are recognised, whatever their class.
_COLLECTIVE = re.compile("gloo|nccl|collective|coordination|peer", re.IGNORECASE)


def start(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins a job; must be called before JAX touches a device.

    Args:
      coordinator: HOST:PORT of process 0. What is None is detected, as by
        `jax.distributed.initialize`: Slurm, Open MPI, TPU pods, Kubernetes.
      num_processes: The number of processes.
      process_id: The number of this one.

    Raises:
      UserError: no cluster is detected, or the others do not come.
    """
    # Without it, JAX aborts all processes when one is lost, before a line can be printed.
    jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--distributed: {first_line(error)}; outside Slurm, Open MPI, Kubernetes and TPU "
            "pods, give --coordinator=HOST:PORT, --num_processes=N and --process_id=I"
        ) from error
    global _watch
    _watch = Watch(_client(), number(), own_number())
    _watch.start()


def unshared() -> str:
    """A warning, if a launcher has started several processes that do not know of each other."""
    for launcher, count, rank in LAUNCHERS:
        processes = os.environ.get(count, "")
        if processes.isdecimal() and int(processes) > 1 and rank in os.environ:
            return (
                f"warning: this is process {os.environ[rank]} of {processes} that {launcher} "
                "started, and each does all of the work: --distributed shares a training"
            )
    return ""


def number() -> int:
    """The number of processes of the job; 1 outside a job."""
    return _state().num_processes if jax.distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this process writes, prints and decides for the job; True outside a job."""
    return own_number() == 0


def own_number() -> int:
    """The number of this process, from 0; 0 outside a job."""
    return _state().process_id


def broadcast(name: str, value: T) -> T:
    """Returns the JSON value that process 0 has; all processes must call this in the same order.

    Args:
      name: What it is, for the error if process 0 does not come here within `WAIT_SECONDS`.
      value: The value on process 0; those of the others are not used.
    """
    if number() == 1:
        return value
    client, key = _client(), f"cnn_jax/{next(_count)}/{name}"
    if leads():
        client.key_value_set(key, json.dumps(value))
        return value
    return json.loads(client.blocking_key_value_get(key, WAIT_SECONDS * 1000))


def broadcast_arrays(tree: Any) -> Any:
    """Returns process 0's arrays to all processes, bit for bit, in host memory.

    Args:
      tree: Arrays; those of the other processes only give shapes and dtypes.
    """
    if number() == 1:
        return tree
    from jax.experimental import multihost_utils

    meet("arrays")  # process 0 may still read them from a disk, longer than a collective waits
    # As bytes: the sum by which JAX sends numbers would turn -0.0 into 0.0.
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, jax.device_get(tree)))
    sent = multihost_utils.broadcast_one_to_all(
        [np.frombuffer(leaf.tobytes(), np.uint8) for leaf in leaves]
    )
    received = [
        np.frombuffer(np.asarray(data).tobytes(), leaf.dtype).reshape(leaf.shape)
        for data, leaf in zip(sent, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, received)


def meet(name: str) -> None:
    """Waits until all processes have come here, at most `WAIT_SECONDS`."""
    if number() > 1:
        _client().wait_at_barrier(f"cnn_jax/{next(_count)}/{name}", WAIT_SECONDS * 1000)


def leave() -> None:
    """Ends the job on this process, once all processes have come to its end."""
    if number() == 1:
        return
    try:
        meet("leave")
    except jax.errors.JaxRuntimeError as error:
        await_verdict(error)
        abandon(first_line(error), 1)
    if _watch:
        _watch.over = True
    if leads():  # JAX aborts those that the coordinator leaves behind
        everyone = list(range(number()))
        _wait_until(lambda: len(_client().get_live_nodes(everyone)) == 1)
    jax.distributed.shutdown()


def abandon(reason: str, code: int) -> NoReturn:
    """Ends this process, and so the job: the other processes end with a line that names it.

    Args:
      reason: Why, one line.
      code: The exit code of this process.
    """
    client, own = _client(), own_number()
    if _watch:
        _watch.over = True
    with contextlib.suppress(Exception):  # the coordinator may be gone
        client.key_value_set(f"{FAILED}{own}", reason)
        if leads():
            _wait_until(lambda: len(client.key_value_dir_get(ENDED)) == number() - 1)
            time.sleep(0.5)  # between this mark of a process and its end
        else:
            client.key_value_set(f"{ENDED}{own}", "")
    end(code)


def await_verdict(error: BaseException) -> None:
    """If a lost process may explain an error, waits until it is known which; then ends this one.

    The collective operations that a lost process takes part in fail first, with errors of many
    kinds; the coordinator needs some seconds to say which process it is.
    """
    collective = isinstance(error, jax.errors.JaxRuntimeError) or _COLLECTIVE.search(str(error))
    if _watch and number() > 1 and collective:
        time.sleep(HEARTBEAT_SECONDS + 5)


def _wait_until(condition: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not condition() and time.monotonic() - begun < HEARTBEAT_SECONDS:
        time.sleep(0.05)


def _client() -> Any:
    return _state().client


def _state() -> Any:
    # There is no public name for the coordinator's client, and the public names of the numbers
    # start the backend, which waits for the other processes.
    from jax._src import distributed

    return distributed.global_state
