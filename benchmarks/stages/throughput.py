"""Stage 3: images/s, utilisation, memory and compile time of a net, beside PyTorch's."""

import functools
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.analysis import structure
from cnn_jax.benchmark.compiling import compile_twice
from cnn_jax.benchmark.machine import peak_memory
from cnn_jax.benchmark.timed_step import Training
from cnn_jax.runtime.timing import measure
from cnn_jax.training.state import first_state
from stages.nets import setup
from stages.task import Context, Row
from stages.turns import serve, take_turns

FOLDER = Path(__file__).resolve().parents[1]
TURNS = 5
# Recipe, and the batch size of both: large enough to fill the card.
NETS = {
    "cifar10_airbench94": 2000,
    "cifar10_resnet18": 512,
    "cifar10_resnet50": 512,
    "cifar10_wrn28_10": 256,
    "cifar10_densenet_bc100_12": 256,
    "cifar10_mobilenetv2": 512,
    "cifar10_convmixer": 512,
    "quickstart": 512,
}
TORCH = ("eager", "compiled")


def of(recipe: str) -> Any:
    """The task that measures one recipe's net."""
    return functools.partial(beside_torch, recipe)


def beside_torch(recipe: str, context: Context) -> Iterator[Row]:
    """Our step in float32 and bfloat16 and PyTorch's in bfloat16 autocast, in turns."""
    batch, turns = (32, 2) if context.rehearse else (NETS[recipe], TURNS)
    ours = {
        f"ours-{precision}": _ours(recipe, precision, batch, context)
        for precision in ("float32", "bfloat16")[: 1 if context.rehearse else None]
    }
    script = str(FOLDER / "stages" / "torch_contender.py")
    seconds = "--seconds=0.05" if context.rehearse else "--seconds=1"
    torch = {
        f"torch-{kind}": (
            [context.torch_python, script, recipe, kind, f"--batch_size={batch}", seconds]
            + ["--tiny"] * context.rehearse,
            {},
        )
        for kind in TORCH
    }
    for name, found in take_turns(ours | torch, turns):
        yield f"throughput/{recipe}/{name}", _with_speed(found, batch, context)


def _ours(recipe: str, precision: str, batch: int, context: Context) -> tuple[list[str], dict]:
    command = [sys.executable, str(FOLDER / "stages" / "jax_contender.py"), recipe, precision]
    command += [f"--batch_size={batch}", f"--scratch={context.scratch}"]
    command += ["--rehearse"] * context.rehearse
    if context.data_dir:
        command.append(f"--data_dir={context.data_dir}")
    # Several processes share the card's memory.
    return command, {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def _with_speed(found: dict[str, Any], batch: int, context: Context) -> dict[str, Any]:
    if "left_out" in found:
        return found
    speed = batch / statistics.median(found["step_seconds"])
    result = found | {"batch_size": batch, "images_per_second": speed}
    if "forward_flops" in found:
        result["tflops_per_second"] = 3 * found["forward_flops"] * speed / 1e12
        if "machine/matmul" in context.rows:
            peaks = context.rows["machine/matmul"]["values"]["tflops_per_second"]
            peak = peaks["bfloat16" if found["precision"] == "bfloat16" else "float32_default"]
            result["utilisation"] = result["tflops_per_second"] / peak
    return result


def serve_ours(recipe: str, precision: str, batch: int, context: Context) -> None:
    """Compiles our step with an empty cache and a filled one, and serves its time."""
    prepared = setup(recipe, context, precision=precision, batch_size=batch)
    begun = time.perf_counter()
    state = jax.device_get(first_state(prepared.plan, prepared.data.train.images))
    training = Training(prepared.plan, prepared.data.train, state)
    compiled = compile_twice(training.compile)
    steps = training.steps(compiled.program)
    seconds = 0.05 if context.rehearse else 1.0
    measure(steps, seconds / 2)
    memory, of_what = peak_memory()
    facts = {
        "precision": precision,
        "compile_seconds_cold": compiled.cold,
        "compile_seconds_warm": compiled.warm,
        "seconds_to_ready": time.perf_counter() - begun,
        "peak_memory_bytes": memory,
        "peak_memory_of": of_what,
        "forward_flops": structure.forward_flops(
            prepared.plan.model, prepared.plan.data.image_shape
        ),
        "parameters": structure.numbers(state.params),
    }
    serve(facts, lambda: measure(steps, seconds).p50)
