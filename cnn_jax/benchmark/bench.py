"""Runs the measurements of a recipe's benchmark; each returns its part of benchmark.json."""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis import structure
from cnn_jax.benchmark.compiling import compile_twice
from cnn_jax.benchmark.machine import matmul_flops_per_second, peak_memory
from cnn_jax.benchmark.parts import (
    SCAN_STEPS,
    Parts,
    gradients_in_scan,
    to_gradients,
    to_images,
    to_loss,
)
from cnn_jax.benchmark.timed_step import Training
from cnn_jax.data import Dataset, Split
from cnn_jax.experiment import Plan
from cnn_jax.runs.checkpoint import Checkpoints
from cnn_jax.runtime.timing import Timing, measure
from cnn_jax.training.evaluator import Evaluator, eval_batch
from cnn_jax.training.state import first_state

TIMES_THE_DATA = (1, 2, 4)
TRACED_STEPS = 5
SAVES = 5


class Bench:
    """The measurements of one plan; each method returns its part of benchmark.json."""

    def __init__(self, plan: Plan, data: Dataset, seconds: float, say: Callable[[str], None]):
        self.plan, self.data, self.seconds, self.say = plan, data, seconds, say
        self.state = jax.device_get(first_state(plan, data.train.images))
        self.training = Training(plan, data.train, self.state)
        self.compiled = compile_twice(self.training.compile_all)
        self.program, self.partial = self.compiled.program

    def step(self) -> dict[str, Any]:
        self.say("Timing the training step")
        timing = self.training.time(self.program, self.seconds)
        peak, of = peak_memory()
        return {
            **_speed(timing, self.plan.experiment.batch_size),
            "train_step_samples": len(timing.samples),
            "train_steps_timed": timing.calls,
            "compile_seconds_cold": self.compiled.cold,
            "compile_seconds_warm": self.compiled.warm,
            "peak_memory_bytes": peak,
            "peak_memory_of": of,
        }

    def inference(self, train_images_per_second: float) -> dict[str, Any]:
        """Times an evaluation of up to 20 batches of the test set, with all views."""
        self.say("Timing inference")
        test = self.data.test
        size = eval_batch(test.images.shape)
        batches = max(1, min(20, round(3 * train_images_per_second / size)))
        images = min(len(test), batches * size)
        split = Split(test.images[:images], test.labels[:images])
        evaluator = Evaluator(self.plan, self.state.variables, split)
        timing = measure(lambda: evaluator(self.state.variables).loss, self.seconds / 2)
        return {
            "eval_images_per_second": images / timing.p50,
            "eval_batch_size": min(size, images),
            "eval_images": images,
        }

    def utilisation(self, train_images_per_second: float) -> dict[str, Any]:
        self.say("Timing matrix products")
        forward = structure.forward_flops(self.plan.model, self.plan.data.image_shape)
        peak = matmul_flops_per_second(self.plan.experiment.precision, self.seconds)
        trained = self.plan.forward_passes * forward
        reached = trained * train_images_per_second
        return {
            "forward_flops_per_image": forward,
            "train_flops_per_image": trained,
            "train_flops_per_image_compiler": self._compilers_count(),
            "train_tflops_per_second": reached / 1e12,
            "matmul_tflops_per_second": peak / 1e12,
            "utilisation": reached / peak,
        }

    def _compilers_count(self) -> float | None:
        cost = self.program.cost_analysis()
        cost = cost[0] if isinstance(cost, list) else cost or {}
        if "flops" not in cost:
            return None
        # The program's FLOPs are those of one device's part of the batch.
        return cost["flops"] * len(jax.local_devices()) / self.plan.experiment.batch_size

    def parts(self) -> list[dict[str, Any]]:
        parts = Parts(self.plan, self.data.train, self.state, self.seconds)
        self.say("Timing the batch")
        images = parts.time(to_images).p50
        self.say("Timing the forward pass")
        loss = parts.time(to_loss).p50
        self.say("Timing the gradient")
        gradients = parts.time(to_gradients).p50
        self.say("Timing the optimiser")
        optimizer = parts.time_optimizer().p50
        self.say("Timing the gradient in lax.scan")
        scanned = parts.time(gradients_in_scan, SCAN_STEPS).p50
        rows: list[tuple[str, float, bool, str]] = [
            ("data and augment", images, True, "a program from order to images"),
            ("forward", loss - images, True, "a program from order to loss, less the above"),
            ("backward", gradients - loss, True, "gradient, less the above"),
            ("optimizer", optimizer, True, "a program from gradients to weights"),
            ("gradient", gradients, False, "a program from order to gradients"),
            ("gradient in lax.scan", scanned, False, f"the same, {SCAN_STEPS} steps in a loop"),
        ]
        names = ("part", "seconds", "of_step", "measured")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def epochs(self) -> list[dict[str, Any]]:
        return [self._epoch(times) for times in TIMES_THE_DATA]

    def _epoch(self, times: int) -> dict[str, Any]:
        """Times some steps and the drawing of the order with the data repeated `times` times."""
        self.say(f"Timing an epoch of {times}x the data")
        if times == 1:
            plan, training = self.plan, self.training
            program, partial = self.program, self.partial
        else:
            train = self.data.train
            images = np.tile(train.images, (times, 1, 1, 1))
            split = Split(images, np.tile(train.labels, times))
            facts = dataclasses.replace(self.plan.data, train=len(split))
            plan = Plan.of(self.plan.experiment, facts)
            training = Training(plan, split, self.state)
            program, partial = training.compile_all()
        step = training.time(program, self.seconds / 2)
        epoch = plan.steps_per_epoch * step.p50
        if partial:
            epoch += training.time(partial, self.seconds / 8).p50 - step.p50
        order = training.time_order(self.seconds / 8)
        return {
            "data": times,
            "examples": plan.data.train,
            "steps": plan.steps_per_epoch,
            "steps_timed": step.calls,
            "step_seconds": step.p50,
            "order_seconds": order.p50,
            "epoch_seconds": epoch + order.p50,
        }

    def saving(self, folder: Path, epoch_seconds: float) -> dict[str, Any]:
        """Times saving the state: how long training is blocked, and how long the save takes.

        Args:
          folder: A folder on the disk to be measured.
          epoch_seconds: Duration of an epoch.
        """
        self.say("Timing a checkpoint")
        blocked, whole = [], []
        with (
            tempfile.TemporaryDirectory(dir=folder) as place,
            contextlib.closing(Checkpoints(place)) as checkpoints,
        ):
            for step in range(SAVES):
                begun = time.perf_counter()
                checkpoints.save(step, self.state, {})
                blocked.append(time.perf_counter() - begun)
                checkpoints.wait()
                whole.append(time.perf_counter() - begun)
        return {
            "save_blocking_seconds": statistics.median(blocked),
            "save_seconds": statistics.median(whole),
            "save_share_of_epoch": statistics.median(whole) / epoch_seconds,
        }

    def sizes(self, plans: Sequence[Plan], result: dict[str, Any]) -> list[dict[str, Any]]:
        """Times the training step at other batch sizes; includes the result of the recipe's own."""
        own = self.plan.experiment.batch_size
        rows = []
        for plan in plans:
            size = plan.experiment.batch_size
            if size == own:
                continue
            self.say(f"Timing the training step at batch size {size}")
            training = Training(plan, self.data.train, self.state)
            timing = training.time(training.compile(), self.seconds / 2)
            rows.append({"batch_size": size, **_speed(timing, size)})
        if plans:
            rows.append({"batch_size": own, **{key: result[key] for key in _SPEEDS}})
        return sorted(rows, key=lambda row: row["batch_size"])

    def trace(self, folder: Path) -> None:
        """Writes a profiler trace of a few training steps."""
        self.say("Tracing")
        self.training.trace(self.program, TRACED_STEPS, str(folder))


_SPEEDS = ("train_images_per_second", "train_step_ms_p50", "train_step_ms_p90")


def _speed(timing: Timing, batch_size: int) -> dict[str, float]:
    values = (batch_size / timing.p50, 1e3 * timing.p50, 1e3 * timing.p90)
    return dict(zip(_SPEEDS, values, strict=True))
