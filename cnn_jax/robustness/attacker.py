"""How many images a net still gets right under attack, in batches, by one program an attack."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from cnn_jax.experiment import Plan
from cnn_jax.robustness import attacks
from cnn_jax.runtime.parallel import Jit
from cnn_jax.training.step import image_scores

EPSILONS = (2 / 255, 8 / 255, 16 / 255)
STEP = 2 / 255
STEPS = (10, 20)
# Steps between two looks at which images are still right: the others need no more steps.
STAGE = 5
# The share of images taken to be left after the first stage, in saying how long all will take.
LEFT = 1 / 3

Done = Callable[[float], None]


class Attacker:
    """FGSM and PGD on a split with a net's weights, through its own gradient to the pixels.

    Args:
      plan: The run's plan; its views are part of what is attacked.
      variables: The net's (`TrainState.variables`).
      split: The images.
      right: i[M], which of them the net gets right; the others are wrong without an attack.
      batch_size: Images in a step.
      seed: Of PGD's random starts.

    Attributes:
      seconds: How long an epsilon is expected to take.
    """

    def __init__(
        self,
        plan: Plan,
        variables: Any,
        split: Split,
        right: np.ndarray,
        batch_size: int,
        seed: int = 0,
    ):
        devices = jax.local_devices()
        self._way = Jit(devices)
        self._size = -(-min(batch_size, max(len(right), 1)) // len(devices)) * len(devices)
        self._variables = self._way.place(variables)
        self._split, self._right, self._key = split, right, jax.random.key(seed)
        self._fgsm = jax.jit(functools.partial(_fgsm, plan))
        self._start = jax.jit(_start)
        self._pgd = jax.jit(functools.partial(_pgd, plan))
        self._fgsm_seconds, self._pgd_seconds = self._measure()
        batches, left = self._count(len(right)), self._count(int(LEFT * len(right)))
        more = (max(STEPS) // STAGE - 1) * left
        self.seconds = batches * self._fgsm_seconds + (batches + more) * self._pgd_seconds

    def _count(self, images: int) -> int:
        return -(-images // self._size)

    def _measure(self) -> tuple[float, float]:
        """The seconds of a batch of FGSM, and of a stage of PGD, once they are compiled."""
        ones = np.resize(np.append(self._right, 0), self._size)
        start = self._begin(ones, EPSILONS[0])
        seconds = []
        for call in (
            lambda: self._fgsm(self._variables, *self._batch(ones), EPSILONS[0]),
            lambda: self._advance(start, ones, EPSILONS[0]),
        ):
            jax.block_until_ready(call())
            began = time.monotonic()
            jax.block_until_ready(call())
            seconds.append(time.monotonic() - began)
        return seconds[0], seconds[1]

    def __call__(self, epsilon: float, done: Done) -> dict[str, int]:
        """The images that are still right: {"fgsm", "pgd10", "pgd20"}.

        PGD counts an image as lost at the first point on its way that is given another class.

        Args:
          epsilon: The ball's radius, of pixels from 0 to 1.
          done: Is told the expected seconds of what has been done since the call before.
        """
        told = 0.0

        def tell(seconds: float) -> None:
            nonlocal told
            seconds = max(min(seconds, self.seconds - told), 0)
            told += seconds
            done(seconds)

        counts = {"fgsm": 0}
        for place, ones in self._batches(self._right):
            lost = self._fgsm(self._variables, *self._batch(ones), epsilon)
            counts["fgsm"] += int((~np.asarray(lost)[: len(place)]).sum())
            tell(self._fgsm_seconds)
        left = self._right
        points = np.zeros((len(self._split), *self._split.images.shape[1:]), np.float32)
        for place, ones in self._batches(left):
            points[place] = np.asarray(self._begin(ones, epsilon))[: len(place)]
        for step in range(STAGE, max(STEPS) + 1, STAGE):
            still = []
            for place, ones in self._batches(left):
                made, lost = self._advance(points[ones], ones, epsilon)
                points[place] = np.asarray(made)[: len(place)]
                still.append(place[~np.asarray(lost)[: len(place)]])
                tell(self._pgd_seconds)
            left = np.concatenate([*still, left[:0]])
            if step in STEPS:
                counts[f"pgd{step}"] = len(left)
        tell(self.seconds - told)
        return counts

    def _batches(self, examples: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Examples in turn, and each batch filled up to its size."""
        for start in range(0, len(examples), self._size):
            place = examples[start : start + self._size]
            yield place, np.resize(place, self._size)

    def _batch(self, ones: np.ndarray) -> tuple[jax.Array, jax.Array]:
        shard = functools.partial(jax.device_put, device=self._way.sharded)
        return shard(self._split.images[ones]), shard(self._split.labels[ones])

    def _begin(self, ones: np.ndarray, epsilon: float) -> jax.Array:
        return self._start(self._key, *self._batch(ones)[:1], ones.astype(np.int32), epsilon)

    def _advance(self, points: Any, ones: np.ndarray, epsilon: float) -> tuple[Any, Any]:
        points = jax.device_put(points, self._way.sharded)
        return self._pgd(self._variables, points, *self._batch(ones), epsilon)


def _score(plan: Plan, variables: Any) -> attacks.Score:
    return lambda image: image_scores(plan, variables, 255 * image)


def _fgsm(plan: Plan, variables: Any, image: jax.Array, label: jax.Array, epsilon: jax.Array):
    score = _score(plan, variables)
    made = attacks.fgsm(score, image.astype(jnp.float32) / 255, label, epsilon)
    return score(made).argmax(-1) != label


def _start(key: jax.Array, image: jax.Array, index: jax.Array, epsilon: jax.Array) -> jax.Array:
    return attacks.random_start(key, image.astype(jnp.float32) / 255, index, epsilon)


def _pgd(plan: Plan, variables: Any, points: jax.Array, image, label, epsilon):
    image = image.astype(jnp.float32) / 255
    return attacks.pgd(
        _score(plan, variables), points, image, label, epsilon, jnp.float32(STEP), STAGE
    )
