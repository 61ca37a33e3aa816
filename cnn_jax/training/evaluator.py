"""Scoring a split: exact sums over every example of it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from cnn_jax.data import Split
from cnn_jax.data.resident import Resident
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import Jit
from cnn_jax.training.metric_sums import Sums
from cnn_jax.training.step import eval_step, image_scores

EVAL_BATCH = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What a net is worth on a split.

    Attributes:
      loss: Mean over the examples.
      accuracy: Fraction of the examples whose highest score is their label.
      logits: f32[N,K], the scores.
      labels: i32[N].
    """

    loss: float
    accuracy: float
    logits: np.ndarray
    labels: np.ndarray

    def means(self) -> dict[str, float]:
        """`{"loss", "accuracy"}`, as a row of metrics has them."""
        return {"loss": self.loss, "accuracy": self.accuracy}

    def confusion(self) -> np.ndarray:
        """i64[K,K]: how many examples of the row's class were given the column's."""
        classes = self.logits.shape[1]
        pairs = self.labels.astype(np.int64) * classes + self.logits.argmax(1)
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def per_class(self) -> np.ndarray:
        """f64[K]: accuracy on each class, its recall; NaN for a class without examples."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return counts.diagonal() / counts.sum(1)

    def precision(self) -> np.ndarray:
        """f64[K]: of what was taken for a class, the fraction that is it; NaN where nothing was."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return counts.diagonal() / counts.sum(0)

    def f1(self) -> np.ndarray:
        """f64[K]: the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))


class Evaluator:
    """Scores one split with any weights; compiled once, when it is made.

    Args:
      plan: The run's plan.
      split: What is scored; it lives on the device from now on.
      batch_size: Examples in a step; the last one may be ragged. It does not change the result
        beyond the last digits of the loss.
    """

    def __init__(self, plan: Plan, variables: Any, split: Split, batch_size: int = EVAL_BATCH):
        devices = jax.local_devices()
        self._way = Jit(devices)
        self._size = _rounded_up(min(batch_size, len(split)), len(devices))
        self._data = self._way.place(Resident.of(split))
        self._labels = split.labels
        step = jax.jit(
            functools.partial(_scored, plan, self._size, self._way.sharded),
            out_shardings=self._way.whole,
        )
        self._step = step.lower(self._way.place(variables), self._data, self._place(0)).compile()

    def _place(self, start: int) -> jax.Array:
        return self._way.place(np.int32(start))

    def __call__(self, variables: Any) -> Evaluation:
        """The evaluation of these variables (`TrainState.variables`)."""
        variables = self._way.place(variables)
        starts = range(0, len(self._labels), self._size)
        results = [self._step(variables, self._data, self._place(start)) for start in starts]
        sums, logits = zip(*jax.device_get(results), strict=True)
        examples = len(self._labels)
        return Evaluation(
            loss=float(sum(float(part.loss) for part in sums)) / examples,
            accuracy=sum(int(part.correct) for part in sums) / examples,
            logits=np.concatenate(logits)[:examples],
            labels=self._labels,
        )


class BatchScorer:
    """Scores any number of images of the run's size; compiled once, when it is made.

    Args:
      plan: The run's plan.
      variables: The net's (`TrainState.variables`).
      batch_size: Images in a step; the last one is filled up. Over several devices it is rounded
        up to a multiple of them.
    """

    def __init__(self, plan: Plan, variables: Any, batch_size: int = EVAL_BATCH):
        devices = jax.local_devices()
        self.batch_size = _rounded_up(batch_size, len(devices))
        self._way = Jit(devices)
        self._variables = self._way.place(variables)
        step = jax.jit(functools.partial(image_scores, plan), out_shardings=self._way.whole)
        nothing = np.zeros((0, *plan.data.image_shape), np.uint8)
        self._step = step.lower(self._variables, self._place(nothing)).compile()

    def _place(self, images: np.ndarray) -> jax.Array:
        batch = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
        batch[: len(images)] = images
        return jax.device_put(batch, self._way.sharded)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """u8[N,H,W,C] -> f32[N,K]."""
        starts = range(0, len(images), self.batch_size)
        parts = [images[start : start + self.batch_size] for start in starts]
        logits = [self._step(self._variables, self._place(part)) for part in parts]
        return np.concatenate(jax.device_get(logits))[: len(images)]


def _scored(plan, size, sharded, variables, data, start) -> tuple[Sums, jax.Array]:
    index = start + jax.lax.iota("int32", size)
    return eval_step(plan, variables, data, jax.lax.with_sharding_constraint(index, sharded))


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
