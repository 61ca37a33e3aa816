"""Attacks a net with FGSM and PGD in batches, with one compiled program per attack."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from cnn_jax.experiment import Plan
from cnn_jax.robustness import attacks
from cnn_jax.runtime.timing import measure
from cnn_jax.training.eval_batches import Batches
from cnn_jax.training.step import image_scores

EPSILONS = (2 / 255, 8 / 255, 16 / 255)
STEP = 2 / 255
STEPS = (10, 20)
# PGD steps between two checks of which images are lost: these need no more steps.
STAGE = 5
# The fraction of images assumed to be left after the first stage, for the estimate of the time.
LEFT = 1 / 3

Done = Callable[[float], None]


class Attacker:
    """Attacks a net's images by FGSM and PGD, and counts those that it still classifies correctly.

    Args:
      plan: The run's plan. Its test-time views are part of the function that is attacked.
      variables: The net's weights (`TrainState.variables`).
      split: The images.
      correct: i[M], the indices of the images that the net classifies correctly; only these are
        attacked.
      batch_size: Images in a step.
      seed: Seed of PGD's random starts.

    Attributes:
      seconds: Estimated time for one epsilon.
    """

    def __init__(
        self,
        plan: Plan,
        variables: Any,
        split: Split,
        correct: np.ndarray,
        batch_size: int,
        seed: int = 0,
    ):
        self._batches = Batches(min(batch_size, max(len(correct), 1)))
        self._variables = self._batches.devices.place(variables)
        self._split, self._correct, self._key = split, correct, jax.random.key(seed)
        self._fgsm = jax.jit(functools.partial(_fgsm, plan))
        self._random_start = jax.jit(_random_start)
        self._pgd = jax.jit(functools.partial(_pgd, plan))
        indices = self._batches.pad(correct)
        points = self._start(indices, EPSILONS[0])
        self._fgsm_seconds, self._pgd_seconds = (
            measure(call, seconds=0).p50
            for call in (
                lambda: self._fgsm(self._variables, *self._batch(indices), EPSILONS[0]),
                lambda: self._advance(points, indices, EPSILONS[0]),
            )
        )
        count = self._batches.count
        stages = count(len(correct)) + (max(STEPS) // STAGE - 1) * count(int(LEFT * len(correct)))
        self.seconds = count(len(correct)) * self._fgsm_seconds + stages * self._pgd_seconds

    def __call__(self, epsilon: float, done: Done) -> dict[str, int]:
        """Counts the images that are still classified correctly: {"fgsm", "pgd10", "pgd20"}.

        For PGD an image is lost as soon as any iterate is misclassified.

        Args:
          epsilon: Radius of the L-infinity ball, for pixels from 0 to 1.
          done: Called with the estimated seconds of the work since the call before; the sum over
            an epsilon is `seconds`.
        """
        reported = 0.0

        def report(seconds: float) -> None:
            nonlocal reported
            seconds = max(min(seconds, self.seconds - reported), 0)
            reported += seconds
            done(seconds)

        counts = {"fgsm": 0}
        for part, indices in self._batches.split(self._correct):
            lost = self._fgsm(self._variables, *self._batch(indices), epsilon)
            counts["fgsm"] += int((~np.asarray(lost)[: len(part)]).sum())
            report(self._fgsm_seconds)
        remaining = self._correct
        points = np.zeros((len(self._split), *self._split.images.shape[1:]), np.float32)
        for part, indices in self._batches.split(remaining):
            points[part] = np.asarray(self._start(indices, epsilon))[: len(part)]
        for step in range(STAGE, max(STEPS) + 1, STAGE):
            kept = [remaining[:0]]
            for part, indices in self._batches.split(remaining):
                moved, lost = self._advance(points[indices], indices, epsilon)
                points[part] = np.asarray(moved)[: len(part)]
                kept.append(part[~np.asarray(lost)[: len(part)]])
                report(self._pgd_seconds)
            remaining = np.concatenate(kept)
            if step in STEPS:
                counts[f"pgd{step}"] = len(remaining)
        report(self.seconds - reported)
        return counts

    def _batch(self, indices: np.ndarray) -> tuple[jax.Array, jax.Array]:
        split, shard = self._split, self._batches.shard
        return shard(split.images[indices]), shard(split.labels[indices])

    def _start(self, indices: np.ndarray, epsilon: float) -> jax.Array:
        images, _ = self._batch(indices)
        return self._random_start(self._key, images, indices.astype(np.int32), epsilon)

    def _advance(self, points: Any, indices: np.ndarray, epsilon: float) -> tuple[Any, Any]:
        points = self._batches.shard(points)
        return self._pgd(self._variables, points, *self._batch(indices), epsilon)


def _score(plan: Plan, variables: Any) -> attacks.Score:
    return lambda image: image_scores(plan, variables, 255 * image)


def _fgsm(plan: Plan, variables: Any, image: jax.Array, label: jax.Array, epsilon: jax.Array):
    score = _score(plan, variables)
    attacked = attacks.fgsm(score, image.astype(jnp.float32) / 255, label, epsilon)
    return score(attacked).argmax(-1) != label


def _random_start(
    key: jax.Array, image: jax.Array, index: jax.Array, epsilon: jax.Array
) -> jax.Array:
    return attacks.random_start(key, image.astype(jnp.float32) / 255, index, epsilon)


def _pgd(plan: Plan, variables: Any, points: jax.Array, image, label, epsilon):
    image = image.astype(jnp.float32) / 255
    return attacks.pgd(
        _score(plan, variables), points, image, label, epsilon, jnp.float32(STEP), STAGE
    )
