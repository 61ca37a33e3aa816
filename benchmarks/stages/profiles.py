"""Stage 5: where the time of a step goes, and what the device does between steps."""

import collections
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.benchmark.timed_step import Training
from cnn_jax.training.state import first_state
from stages.nets import setup
from stages.task import Context, Row

STEPS = 5
LISTED = 25


def of(recipe: str) -> Any:
    """The task that profiles a recipe's step in bfloat16."""
    return functools.partial(profile, recipe)


def profile(recipe: str, context: Context) -> Iterator[Row]:
    """Traces a few steps, and sums the durations of the device's operations by name."""
    precision = "float32" if context.rehearse else "bfloat16"
    prepared = setup(recipe, context, precision=precision)
    state = jax.device_get(first_state(prepared.plan, prepared.data.train.images))
    training = Training(prepared.plan, prepared.data.train, state)
    program = training.compile()
    seconds = training.time(program, 0.05 if context.rehearse else 2.0).p50
    with tempfile.TemporaryDirectory() as folder:
        training.trace(program, STEPS, folder)
        found = summary(next(Path(folder).rglob("*.xplane.pb")))
    yield f"profile/{recipe}/{precision}", {"step_seconds": seconds} | found


def summary(path: Path) -> dict[str, Any]:
    """The operations of a trace that take longest, and how long the device was busy.

    Args:
      path: An .xplane.pb of `jax.profiler.trace`.
    """
    planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    durations: collections.Counter[str] = collections.Counter()
    spans: list[tuple[float, float]] = []
    for plane in devices or planes:
        for line in plane.lines:
            if devices and not line.name.startswith(("Stream", "XLA Ops")):
                continue
            for event in line.events:
                if event.name.startswith("$"):  # a Python function
                    continue
                durations[event.name] += event.duration_ns / 1e6
                spans.append((event.start_ns, event.start_ns + event.duration_ns))
    span = max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0
    total = sum(durations.values()) or 1.0
    return {
        "busy_ms_per_step": covered(spans) / 1e6 / STEPS,
        "span_ms_per_step": span / 1e6 / STEPS,
        "operations": [
            {"name": name[:120], "ms_per_step": ms / STEPS, "share": ms / total}
            for name, ms in durations.most_common(LISTED)
        ],
    }


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    length, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length
