"""Stage 1: whether the accelerator computes what the CPU does, resumes, and fails in one line."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from cnn_jax.benchmark.parts import to_gradients, to_loss
from cnn_jax.data.resident import Resident
from cnn_jax.runs import restore
from cnn_jax.runtime import hardware
from cnn_jax.setup import Setup
from cnn_jax.train import train
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import first_state
from stages.nets import experiment, setup
from stages.task import Context, Row

QUIET = Console(quiet=True)
ROOT = Path(__file__).resolve().parents[2]
# Plain, residual and wide nets, depthwise and grouped convolutions, and a whitening layer.
NETS = (
    "cifar10_convnet",
    "cifar10_resnet20",
    "cifar10_wrn16_4",
    "cifar10_mobilenetv2",
    "cifar10_resnext29",
    "cifar10_airbench94",
)
# Largest |g - g'| / |g| of the gradient of one batch, by matrix-product precision: "default" is
# TF32 on NVIDIA's cards.
TOLERANCES = {
    ("float32", "highest"): 1e-3,
    ("float32", "default"): 3e-2,
    ("bfloat16", "default"): 3e-1,
}
BATCH = 64


def steps(context: Context) -> Iterator[Row]:
    """Compares loss and gradient of a batch with the CPU's, from the same weights."""
    path = context.scratch / "cpu_gradients.npz"
    if context.rehearse:
        write_reference(path, context)
    else:
        _on_cpu("write_reference", path, context)
    with np.load(path) as file:
        reference = dict(file)
    for net in NETS[: 1 if context.rehearse else None]:
        for (dtype, precision), tolerance in TOLERANCES.items():
            name = f"correctness/step/{net}/{dtype}-{precision}"
            if name in context.rows:
                continue
            prepared = setup(net, context, batch_size=BATCH, precision=dtype)
            with jax.default_matmul_precision(precision):
                loss, gradient = _gradient(prepared, _with_prefix(reference, f"{net}/state"))
            wanted = _with_prefix(reference, f"{net}/gradient")
            apart = [a.astype(np.float64) - b for a, b in zip(gradient, wanted, strict=True)]
            error = _norm(apart) / _norm(wanted)
            yield (
                name,
                {
                    "gradient_relative_error": error,
                    "tolerance": tolerance,
                    "loss": loss,
                    "loss_on_cpu": float(reference[f"{net}/loss"]),
                    "passed": bool(error <= tolerance),
                },
            )


def write_reference(path: Path, context: Context) -> None:
    """Writes the initial weights of each net, and its loss and gradient with stock convolutions."""
    arrays: dict[str, Any] = {}
    for net in NETS[: 1 if context.rehearse else None]:
        prepared = setup(net, context, batch_size=BATCH, precision="float32", convolutions="stock")
        state = first_state(prepared.plan, prepared.data.train.images)
        weights = jax.tree.leaves(jax.device_get((state.params, state.batch_stats)))
        loss, gradient = _gradient(prepared, weights)
        arrays[f"{net}/loss"] = loss
        for kind, leaves in (("state", weights), ("gradient", gradient)):
            arrays |= {f"{net}/{kind}/{number:04}": leaf for number, leaf in enumerate(leaves)}
    np.savez(path, **arrays)


def _gradient(prepared: Setup, weights: list[Any]) -> tuple[float, list[np.ndarray]]:
    """The loss of the first batch at these weights, and the leaves of its gradient."""
    plan, shapes = prepared.plan, prepared.shapes
    tree = jax.tree.structure((shapes.params, shapes.batch_stats))
    params, batch_stats = jax.tree.unflatten(tree, weights)
    state = shapes.replace(
        step=jnp.int32(0),
        params=params,
        batch_stats=batch_stats,
        opt_state=plan.tx.init(params),
        metrics=jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes.metrics),
        ema=None,
    )
    order = jnp.arange(len(prepared.data.train), dtype=jnp.int32)

    @jax.jit
    def loss_and_gradient(*arguments):
        return to_loss(plan, *arguments)[0], to_gradients(plan, *arguments)

    sums, gradient = jax.device_get(
        loss_and_gradient(
            state, Resident.of(prepared.data.train), order, streams(plan.experiment.seed)
        )
    )
    return sums.means()["loss"], jax.tree.leaves(gradient)


def _with_prefix(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(f"{prefix}/")]


def _norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(array, dtype=np.float64).sum() for array in arrays)))


def resume(context: Context) -> Iterator[Row]:
    """Whether a run that was interrupted ends with the bits of one that was not."""
    hardware.be_deterministic()
    digests = []
    tiny = experiment("cifar10_resnet20_short", context, epochs=2)
    for interrupted in (False, True):
        folder = context.scratch / f"resume-{os.getpid()}-{interrupted}"
        options = {"data_dir": context.data_dir, "console": QUIET}
        if interrupted:
            with contextlib.suppress(_Stopped):
                train(tiny, folder, on_epoch=_stop, **options)
        result = train(tiny, folder, **options)
        digests.append(_digest(result.state))
    yield "correctness/resume", {"passed": digests[0] == digests[1]}


class _Stopped(BaseException):
    """Ends a training from its `on_epoch`."""


def _stop(rows: list[dict[str, Any]]) -> None:
    raise _Stopped


def _digest(state: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(state)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def platforms(context: Context) -> Iterator[Row]:
    """Whether a checkpoint of each platform is restored on the other with the same bits."""
    here, there = (context.scratch / f"platform-{os.getpid()}-{name}" for name in ("here", "cpu"))
    train_and_digest(here, context)
    if context.rehearse:
        train_and_digest(there, context)
    else:
        _on_cpu("train_and_digest", there, context)
        _on_cpu("write_digest", here, context)
    write_digest(there, context)
    same = {
        name: _text(folder, "restored") == _text(folder, "trained")
        for name, folder in (("from_here", here), ("from_cpu", there))
    }
    yield "correctness/platforms", same | {"passed": all(same.values())}


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text()


def train_and_digest(folder: Path, context: Context) -> None:
    """Trains an epoch and writes the digest of its state beside it."""
    tiny = experiment("cifar10_convnet", context, epochs=1)
    result = train(tiny, folder, data_dir=context.data_dir, console=QUIET)
    (folder / "trained").write_text(_digest(result.state))
    write_digest(folder, context)


def write_digest(folder: Path, context: Context) -> str:
    """Restores a run on this process's platform and writes the digest of its state beside it."""
    del context
    digest = _digest(restore(folder)[1])
    (folder / "restored").write_text(digest)
    return digest


# Calls the command line with a mode that asks for 64 TiB at once.
HUGE = """
import sys
import jax.numpy as jnp
from cnn_jax import cli
cli.MODES["train"] = cli.MODES["train"]._replace(run=lambda command: jnp.zeros((2**30, 2**14)))
sys.exit(cli.main(["run.py"]))
"""


def memory(context: Context) -> Iterator[Row]:
    """Whether running out of memory is one line on stderr and exit code 1.

    On an accelerator a training with too large a batch runs out. A CPU's system lends more memory
    than there is, so there a single array has to.
    """
    workdir = context.scratch / f"memory-{os.getpid()}"
    command = [sys.executable, "-c", HUGE]
    if jax.local_devices()[0].platform != "cpu":
        command = [sys.executable, "run.py", "--config=cifar10_wrn28_10", f"--workdir={workdir}"]
        command.append("--config.batch_size=50000")
        if context.data_dir:
            command.append(f"--data_dir={context.data_dir}")
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, env=os.environ | paths
    )
    lines = done.stderr.strip().splitlines()
    passed = done.returncode == 1 and len(lines) == 1 and lines[0].startswith("error: out of mem")
    found = {"stderr": lines[-3:], "exit": done.returncode, "passed": passed}
    yield "correctness/out_of_memory", found


def _on_cpu(function: str, path: Path, context: Context) -> None:
    """Calls a function of this module in a process whose platform is the CPU."""
    script = (
        "import sys; from pathlib import Path; from stages import correctness; "
        "from stages.task import Context; function, path, scratch, data_dir = sys.argv[1:]; "
        "context = Context(False, Path(scratch), data_dir or None, '', None, {}); "
        "getattr(correctness, function)(Path(path), context)"
    )
    arguments = [function, str(path), str(context.scratch), context.data_dir or ""]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", script, *arguments], env=environment, check=True)
