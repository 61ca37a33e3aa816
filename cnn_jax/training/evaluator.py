"""Scores splits and images in batches; sums over a split are exact, whatever the batch size."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Generator, Sequence
from typing import Any

import jax
import numpy as np

from cnn_jax.data import Split
from cnn_jax.data.dataset import Images
from cnn_jax.data.pictures.streamed_images import StreamedImages
from cnn_jax.data.resident import Resident
from cnn_jax.data.streamed import Streamed
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import IN_FLIGHT
from cnn_jax.training.eval_batches import Batches
from cnn_jax.training.step import eval_step, image_scores

# Images in a step, and their pixels: the activations of larger images would take too much memory.
EVAL_BATCH, EVAL_PIXELS = 500, 500 * 64 * 64


def eval_batch(shape: Sequence[int]) -> int:
    """How many images of u8[N,H,W,C] to score in a step."""
    _, height, width, _ = shape
    return max(1, min(EVAL_BATCH, EVAL_PIXELS // (height * width)))


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A net's scores on a split, and the metrics computed from them.

    Attributes:
      loss: Mean loss of the examples.
      accuracy: Fraction of the examples whose highest score is their label's.
      logits: f32[N,K], the scores.
      labels: i32[N].
    """

    loss: float
    accuracy: float
    logits: np.ndarray
    labels: np.ndarray

    def means(self) -> dict[str, float]:
        """`{"loss", "accuracy"}`, as in a row of metrics.jsonl."""
        return {"loss": self.loss, "accuracy": self.accuracy}

    def confusion(self) -> np.ndarray:
        """i64[K,K]: examples by true class (row) and predicted class (column)."""
        classes = self.logits.shape[1]
        pairs = self.labels.astype(np.int64) * classes + self.logits.argmax(1)
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def per_class(self) -> np.ndarray:
        """f64[K]: accuracy (recall) of each class; NaN for a class without examples."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return counts.diagonal() / counts.sum(1)

    def balanced_accuracy(self) -> float:
        """The mean of the classes' accuracies (recalls), without classes that have no examples."""
        return float(np.nanmean(self.per_class()))

    def top(self, k: int) -> float:
        """Fraction of the examples whose label is among the `k` highest scores.

        Of equal scores, that of the first class counts as the highest, so `top(1)` is `accuracy`.
        """
        label = self.labels[:, None]
        own = np.take_along_axis(self.logits, label, 1)
        later = np.arange(self.logits.shape[1]) >= label
        # Written so that a score that is no number is among no highest ones.
        below = (self.logits < own) | ((self.logits == own) & later)
        rank = (~below).sum(1)
        return float((rank < k).mean())

    def imbalanced(self) -> bool:
        """Whether the largest class has over twice the examples of the smallest that has any."""
        counts = np.bincount(self.labels)
        return bool(counts.max() > 2 * counts[counts > 0].min())

    def precision(self) -> np.ndarray:
        """f64[K]: precision of each class; NaN for a class that is never predicted."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return counts.diagonal() / counts.sum(0)

    def f1(self) -> np.ndarray:
        """f64[K]: the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))


class Evaluator:
    """Scores one split with any weights; its program is compiled once, in the constructor.

    Args:
      plan: The run's plan.
      variables: Weights of the shapes to come (`TrainState.variables`).
      split: The examples; they are kept on the device, unless they are streamed.
      batch_size: Examples in a step; None: 500, or fewer of more than 64x64 pixels. It affects only
        the last digits of the loss.
      devices: Where it runs; None: on the devices of this process.
    """

    def __init__(
        self,
        plan: Plan,
        variables: Any,
        split: Split,
        batch_size: int | None = None,
        devices: Sequence[jax.Device] | None = None,
    ):
        batch_size = batch_size or eval_batch(split.images.shape)
        batches = Batches(min(batch_size, len(split)), devices)
        self._devices, self._split = batches.devices, split
        # An index beyond the last example is padding, which is masked.
        indices = np.arange(batches.count(len(split)) * batches.size, dtype=np.int32)
        self._indices = indices.reshape(-1, batches.size)
        self._batches = [batches.shard(batch) for batch in self._indices]
        step = jax.jit(functools.partial(eval_step, plan), out_shardings=self._devices.replicated)
        variables = self._devices.place(variables)
        self._data = None
        if isinstance(split.images, StreamedImages):
            data = self._devices.batch_shapes(Streamed.shapes(batches.size, split.images.shape[1:]))
        else:
            data = self._data = self._devices.place(Resident.of(split))
        self._step = step.lower(variables, data, self._batches[0]).compile()

    def __call__(self, variables: Any) -> Evaluation:
        """Evaluates these weights (`TrainState.variables`)."""
        variables = self._devices.place(variables)
        results: list[Any] = []
        with contextlib.closing(self._data_of_batches()) as data_of_batches:
            for data, batch in zip(data_of_batches, self._batches, strict=True):
                results.append(self._step(variables, data, batch))
                # Batches that wait for the device take memory.
                jax.block_until_ready(results[-IN_FLIGHT:][:1])
        sums, logits = zip(*jax.device_get(results), strict=True)
        examples = len(self._split)
        return Evaluation(
            loss=float(sum(float(part.loss) for part in sums)) / examples,
            accuracy=sum(int(part.correct) for part in sums) / examples,
            logits=np.concatenate(logits)[:examples],
            labels=self._split.labels,
        )

    def _data_of_batches(self) -> Generator[Resident | Streamed]:
        """Yields the data that the step takes for each batch."""
        images, labels = self._split.images, self._split.labels
        if not isinstance(images, StreamedImages):
            yield from itertools.repeat(self._data, len(self._batches))
            return
        size = self._indices.shape[1]
        index = self._indices[:, self._devices.rows(size)]
        numbers = np.minimum(index, len(labels) - 1)
        with contextlib.closing(images.batches(numbers.ravel(), index.shape[1])) as batches:
            for own, place, number in zip(batches, index, numbers, strict=True):
                mask = (place < len(labels)).astype(np.float32)
                yield self._devices.join(Streamed(own, labels[number], mask), size)


class BatchScorer:
    """Scores any number of images; its program is compiled once, in the constructor.

    Args:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).
      batch_size: Images in a step; None: as `Evaluator`.
    """

    def __init__(self, plan: Plan, variables: Any, batch_size: int | None = None):
        self._batches = Batches(batch_size or eval_batch((1, *plan.data.image_shape)))
        devices = self._batches.devices
        self._variables = devices.place(variables)
        shape = (self._batches.size, *plan.data.image_shape)
        images = jax.ShapeDtypeStruct(shape, np.uint8, sharding=devices.sharded)
        step = jax.jit(functools.partial(image_scores, plan), out_shardings=devices.replicated)
        self._step = step.lower(self._variables, images).compile()

    def __call__(self, images: Images) -> np.ndarray:
        """u8[N,H,W,C] -> f32[N,K]."""
        logits = [
            self._step(self._variables, self._batches.shard(batch))
            for _, batch in self._batches.split(images)
        ]
        return np.concatenate(jax.device_get(logits))[: len(images)]
