"""Compiles and times the training step as `train` runs it."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.data import Split
from cnn_jax.data.resident import Resident
from cnn_jax.experiment import Plan
from cnn_jax.runtime import host
from cnn_jax.runtime.parallel import parallel
from cnn_jax.runtime.timing import SAMPLES, Timing, measure
from cnn_jax.training.order import draw_order
from cnn_jax.training.random_keys import streams
from cnn_jax.training.tracing import lowered_step, lowered_steps


class Training:
    """The training step of a plan, on a training set that is resident on the device.

    Args:
      plan: A plan whose data facts are those of the split.
      split: The training set.
      state: The initial state, on the host; not modified.
    """

    def __init__(self, plan: Plan, split: Split, state: Any):
        self.plan, self._state = plan, state
        self._devices = parallel(plan.experiment.parallel, plan.experiment.batch_size)
        keys = streams(plan.experiment.seed)
        self._draw = jax.jit(functools.partial(draw_order, plan, keys.order))
        self._labels = split.labels
        self._constant = (
            self._devices.place(Resident.of(split)),
            self._order(),
            self._devices.place(keys),
            None,  # no teacher
        )

    def _order(self) -> jax.Array:
        return self._devices.place(self._draw(0, self._labels))

    def compile(self) -> Any:
        """Traces and compiles the step of a full batch."""
        program = lowered_step(self.plan, self._devices, self._state).compile()
        host.release_freed_memory()
        return program

    def compile_all(self) -> tuple[Any, Any | None]:
        """Traces and compiles the steps of a full and a partial batch; None if none is partial."""
        programs = lowered_steps(self.plan, self._devices, self._state).compile()
        host.release_freed_memory()
        return programs

    def time(self, program: Any, seconds: float, samples: int = SAMPLES) -> Timing:
        """Times the compiled step."""
        return measure(self.steps(program), seconds, samples)

    def time_order(self, seconds: float) -> Timing:
        """Times the start of an epoch: drawing and placing its order."""
        return measure(self._order, seconds)

    def trace(self, program: Any, steps: int, folder: str) -> None:
        """Writes a profiler trace of a few steps, for TensorBoard or Perfetto."""
        call = self.steps(program)
        jax.block_until_ready(call())
        with jax.profiler.trace(folder):
            for number in range(steps):
                with jax.profiler.StepTraceAnnotation("train", step_num=number):
                    jax.block_until_ready(call())

    def steps(self, program: Any) -> Callable[[], Any]:
        """Returns a function that runs the next step of the program and returns its metrics."""
        state = self._devices.place(self._state)

        def call() -> Any:
            nonlocal state
            state, sums = program(state, *self._constant)
            return sums

        return call
