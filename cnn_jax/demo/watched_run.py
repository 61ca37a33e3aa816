"""Follows a run that trains: reads its log and its newest checkpoint, without its lock."""

import contextlib
import dataclasses
import functools
import threading
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.activations import Program
from cnn_jax.experiment import Plan
from cnn_jax.report import figure_style
from cnn_jax.report.explanation_figures import build_activations
from cnn_jax.report.figures import build_first_layer_filters, build_learning_curves
from cnn_jax.runs.checkpoint import CheckpointError
from cnn_jax.runs.explanations import activations_of, explain_one, scores_of
from cnn_jax.runs.summary import first_kernel
from cnn_jax.runs.workdir import Run
from cnn_jax.training.state import state_shapes
from cnn_jax.training.step import image_scores


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """The net at a checkpoint.

    Attributes:
      step: Steps taken.
      epoch: Epochs trained, rounded to three digits.
      filters: The first layer's filters, u8[h,w,3]; None if they cannot be drawn.
      activations: The activations of the picture, u8[h,w,3]; None without convolutions.
    """

    step: int
    epoch: float
    filters: np.ndarray | None
    activations: np.ndarray | None


class WatchedRun:
    """A run's progress; several readers may look at the same time.

    Args:
      run: The run.
      plan: Its plan.
      picture: The picture whose activations are shown, u8[H,W,C].
      name: Its name.
      label: Its class.

    Attributes:
      moments: The checkpoints seen so far, oldest first.
    """

    def __init__(self, run: Run, plan: Plan, picture: np.ndarray, name: str, label: int):
        self._run, self._plan = run, plan
        self._picture, self._name, self._label = picture, name, label
        self._lock = threading.Lock()
        self.moments: tuple[Moment, ...] = ()
        self._rows: list[dict[str, Any]] = []
        self._curves: np.ndarray | None = None

    def look(self) -> tuple[np.ndarray | None, tuple[Moment, ...]]:
        """Reads what is new in the run's folder; nothing is written to it.

        Returns:
          The learning curves, u8[h,w,3], None before the first row; and `moments`.
        """
        with self._lock:
            rows = self._run.metrics.rows()
            if rows != self._rows:
                self._curves = figure_style.picture(build_learning_curves, rows)
                self._rows = rows
            self._add_newest()
            return self._curves, self.moments

    @property
    def finished(self) -> bool:
        """Whether the run has its result."""
        return self._run.summary() is not None

    def _add_newest(self) -> None:
        with contextlib.closing(self._run.checkpoints()) as checkpoints:
            step = max(checkpoints.steps(), default=0)
            if step <= (self.moments[-1].step if self.moments else 0):
                return
            try:
                state, _ = checkpoints.restore(step, state_shapes(self._plan))
            except CheckpointError:  # the training process has removed it: there is a newer one
                return
        self.moments = (*self.moments, self._moment(step, state.variables))

    def _moment(self, step: int, variables: Any) -> Moment:
        kernel = first_kernel(self._plan, variables)
        filters = None
        if kernel is not None:
            filters = figure_style.picture(build_first_layer_filters, kernel)
        scored, volumes = self._compute(variables)
        explained = explain_one(self._plan, self._name, self._picture, self._label, scored)
        classes = self._plan.data.classes
        activations = figure_style.picture(build_activations, explained, volumes, classes)
        return Moment(step, round(step / self._plan.steps_per_epoch, 3), filters, activations)

    def _compute(self, variables: Any) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
        image = np.asarray(self._picture, np.float32)[None]
        scored, activations = self._programs
        return np.asarray(scored(variables, image))[0], activations(variables, image)

    @functools.cached_property
    def _programs(self) -> tuple[Any, Any]:
        """The scores and the activations, compiled by their first call."""
        shapes = state_shapes(self._plan).variables
        image = jax.ShapeDtypeStruct((1, *self._picture.shape), np.float32)
        program = Program(scores_of(self._plan), shapes, image)
        return jax.jit(functools.partial(image_scores, self._plan)), activations_of(program)
