"""Measures robustness: accuracy with other views, corruptions, other test sets and attacks."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax.augment.test_time import Views
from cnn_jax.data import Cifar10, DataInvalid, Split, shifted
from cnn_jax.data.tfds.folders import data_root
from cnn_jax.experiment import Plan
from cnn_jax.robustness import corruptions
from cnn_jax.robustness.batched_attacks import EPSILONS, STEP, Attacker
from cnn_jax.robustness.corruptions import CHUNK, KINDS, SEVERITIES
from cnn_jax.runtime.timing import measure
from cnn_jax.terminal.durations import duration
from cnn_jax.terminal.timed_progress import TimedProgress
from cnn_jax.training.evaluator import BatchScorer

SEED = 0
# Test-time views, and how many forward passes each takes per image.
VIEWS: dict[Views, int] = {"none": 1, "mirror": 2, "mirror_translate": 6}


def stress(
    plan: Plan,
    variables: Any,
    test: Split,
    correct: np.ndarray,
    *,
    batch_size: int,
    examples: int | None = None,
    data_dir: str | None = None,
    console: Any,
) -> dict[str, Any]:
    """Measures accuracy on the test set with other views, corrupted or attacked, and on other sets.

    Prints an estimate of the time first, from one batch of each measurement.

    Args:
      plan: The run's plan.
      variables: The net's (`TrainState.variables`).
      test: The test set.
      correct: bool[N], which test images the net classifies correctly.
      batch_size: Examples in a step.
      examples: Number of test images to use, evenly spread over the test set; None: all.
      data_dir: Folder of the prepared TFDS data.
      console: A `rich.console.Console`.

    Returns:
      An entry of evaluation.json: "examples", "clean_accuracy", "tta", "views", "corruptions",
      "attacks", "cifar10_c", "cifar10_1" and "seconds".
    """
    began = time.monotonic()
    chosen = spread(len(test), examples)
    split = Split(test.images[chosen], test.labels[chosen])
    correct = np.flatnonzero(correct[chosen])
    batch_size = min(batch_size, len(split))
    scorer = BatchScorer(plan, variables, batch_size)
    attacker = Attacker(plan, variables, split, correct, batch_size, SEED)
    sets = _other_sets(plan, data_dir, console)
    estimate = _Estimate.of(plan, scorer, split, batch_size)
    total = estimate.total(sum(map(len, sets.values()))) + attacker.seconds * len(EPSILONS)
    console.print(
        f"robustness on {len(split):,} test images: about {duration(total)}",
        highlight=False,
        soft_wrap=True,
    )
    if plan.data.image_shape[:2] != (32, 32):
        console.print("the severities are those published for 32x32 images", highlight=False)
    found: dict[str, Any] = {
        "examples": len(split),
        "clean_accuracy": len(correct) / len(split),
        "tta": plan.experiment.tta,
        "seed": SEED,
    }
    with TimedProgress(total, console) as progress:
        found["views"] = {}
        for views in VIEWS:
            seen = BatchScorer(with_views(plan, views), variables, batch_size)
            found["views"][views] = _accuracy(seen, split)
            progress.done(estimate.views[views], f"views: {views}")
        found["corruptions"] = _corrupted(scorer, split, estimate, progress)
        found["attacks"] = _attacked(attacker, len(split), progress)
        for name, configs in sets.items():
            found[shifted.KEYS[name]] = _on_other_set(
                plan, scorer, name, configs, estimate.scoring, progress, console
            )
    found["seconds"] = time.monotonic() - began
    return found


@dataclasses.dataclass(frozen=True)
class _Estimate:
    """Estimated seconds of the measurements, each from one batch or one chunk of images.

    Attributes:
      scoring: All images, scored once.
      views: All images, by test-time views.
      corruptions: All images under one severity, by kind of corruption; scoring included.
    """

    scoring: float
    views: dict[Views, float]
    corruptions: dict[str, float]

    @classmethod
    def of(cls, plan: Plan, scorer: BatchScorer, split: Split, batch_size: int) -> _Estimate:
        def seconds(call: Callable[[np.ndarray], Any], size: int) -> float:
            images = split.images[:size]
            return measure(lambda: call(images), seconds=0).p50 * len(split) / len(images)

        def corrupting(kind: str) -> float:
            rng = corruptions.generator(SEED, kind, 3, 0)
            return seconds(lambda images: corruptions.corrupt(kind, images, 3, rng), CHUNK)

        scoring, views = seconds(scorer, batch_size), VIEWS[plan.experiment.tta]
        return cls(
            scoring=scoring,
            views={name: scoring * number / views for name, number in VIEWS.items()},
            corruptions={kind: corrupting(kind) + scoring for kind in KINDS},
        )

    def total(self, other_sets: int) -> float:
        """Seconds of everything but the attacks, with this number of other test sets."""
        corrupting = sum(self.corruptions.values()) * len(SEVERITIES)
        return sum(self.views.values()) + corrupting + self.scoring * other_sets


def with_views(plan: Plan, views: Views) -> Plan:
    """Returns the plan with other test-time views."""
    return dataclasses.replace(plan, experiment=dataclasses.replace(plan.experiment, tta=views))


def spread(whole: int, examples: int | None) -> np.ndarray:
    """Returns `examples` indices spread evenly over `whole`; all if None or more than there are."""
    count = min(examples or whole, whole)
    return np.arange(count) * whole // count


def _accuracy(scorer: BatchScorer, split: Split) -> float:
    return float((scorer(np.asarray(split.images)).argmax(1) == split.labels).mean())


def corrupted(split: Split, kind: str, severity: int) -> Split:
    """Returns the split under one corruption; the result depends on no other measurement."""
    parts = []
    for chunk, start in enumerate(range(0, len(split), CHUNK)):
        rng = corruptions.generator(SEED, kind, severity, chunk)
        part = split.images[start : start + CHUNK]
        parts.append(corruptions.corrupt(kind, part, severity, rng))
    return Split(np.concatenate(parts), split.labels)


def one_corrupted(split: Split) -> dict[str, list[np.ndarray]]:
    """Returns a split's first image by kind of corruption: clean, then at severities 1 to 5."""
    first = Split(split.images[:1], split.labels[:1])
    found = {}
    for kind in KINDS:
        parts = [first, *(corrupted(first, kind, severity) for severity in SEVERITIES)]
        found[kind] = [part.images[0] for part in parts]
    return found


def _corrupted(
    scorer: BatchScorer, split: Split, estimate: _Estimate, progress: TimedProgress
) -> dict[str, Any]:
    accuracy: dict[str, list[float]] = {}
    for kind in KINDS:
        accuracy[kind] = []
        for severity in SEVERITIES:
            accuracy[kind].append(_accuracy(scorer, corrupted(split, kind, severity)))
            progress.done(estimate.corruptions[kind], f"corruptions: {kind}")
    counted = [accuracy[name] for name, kind in KINDS.items() if kind.group != "extra"]
    return {
        "mean_accuracy": float(np.mean(counted)),
        "kinds_in_the_mean": len(counted),
        "left_out": list(corruptions.LEFT_OUT),
        "accuracy": accuracy,
    }


def _attacked(attacker: Attacker, images: int, progress: TimedProgress) -> dict[str, Any]:
    accuracy = {}
    for epsilon in EPSILONS:
        name = f"{epsilon * 255:.0f}/255"
        counts = attacker(epsilon, functools.partial(progress.done, what=f"attacks: {name}"))
        accuracy[name] = {attack: count / images for attack, count in counts.items()}
    return {"norm": "linf", "step": STEP, "accuracy": accuracy}


def _other_sets(plan: Plan, data_dir: str | None, console: Any) -> dict[str, dict[str, Any]]:
    """The prepared folders of CIFAR-10-C and CIFAR-10.1 by config; none for other classes."""
    if plan.data.classes != Cifar10.source.classes:
        return {}
    sets = {name: shifted.prepared(name, data_dir) for name in shifted.NAMES}
    for name, configs in sets.items():
        if not configs:
            folder = data_root(data_dir) / name
            console.print(
                f"{shifted.NAMES[name]}: not prepared ({folder})", highlight=False, soft_wrap=True
            )
    return sets


def _on_other_set(
    plan: Plan,
    scorer: BatchScorer,
    name: str,
    configs: dict[str, Any],
    seconds: float,
    progress: TimedProgress,
    console: Any,
) -> dict[str, float] | None:
    """Accuracy on each config; None if none is prepared or one cannot be read."""
    found = {}
    for config, folder in configs.items():
        try:
            split = shifted.read(folder, plan.data.image_shape, plan.data.num_classes)
        except DataInvalid as error:
            console.print(f"{shifted.NAMES[name]}: {error}", highlight=False, soft_wrap=True)
            return None
        found[config] = _accuracy(scorer, split)
        progress.done(seconds, f"{shifted.NAMES[name]}: {config}")
    return found or None
