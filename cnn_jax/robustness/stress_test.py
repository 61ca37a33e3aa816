"""What a net is worth beyond its test set: other views, corruptions, other test sets, attacks."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax.augment.test_time import Views
from cnn_jax.data import Cifar10, DataInvalid, Split, shifted
from cnn_jax.experiment import Plan
from cnn_jax.report.progress import duration
from cnn_jax.report.work import Work
from cnn_jax.robustness import corruptions
from cnn_jax.robustness.attacker import EPSILONS, STEP, Attacker
from cnn_jax.robustness.corruptions import CHUNK, KINDS, SEVERITIES
from cnn_jax.training.evaluator import BatchScorer

SEED = 0
# Views, and how many images each makes of one.
VIEWS: dict[Views, int] = {"none": 1, "mirror": 2, "mirror_translate": 6}


def stress(
    plan: Plan,
    variables: Any,
    test: Split,
    right: np.ndarray,
    *,
    batch_size: int,
    examples: int | None = None,
    data_dir: str | None = None,
    console: Any,
) -> dict[str, Any]:
    """Scores the test set in other views, corrupted and under attack, and other test sets.

    Says how long that will take, after one batch of each.

    Args:
      plan: The run's plan.
      variables: The net's (`TrainState.variables`).
      test: The test set.
      right: bool[N], which of it the net gets right.
      batch_size: Examples in a step.
      examples: How many of the test set, evenly spread over it; None: all.
      data_dir: Where TFDS data is.
      console: A `rich.console.Console`.

    Returns:
      As evaluation.json has it: "examples", "clean_accuracy", "tta", "views", "corruptions",
      "attacks", "cifar10_c", "cifar10_1" and "seconds".
    """
    began = time.monotonic()
    chosen = spread(len(test), examples)
    split, right = Split(test.images[chosen], test.labels[chosen]), np.flatnonzero(right[chosen])
    batch_size = min(batch_size, len(split))
    scorer = BatchScorer(plan, variables, batch_size)
    attacker = Attacker(plan, variables, split, right, batch_size, SEED)
    sets = _other_sets(plan, data_dir, console)
    expected = _Expected.measured(plan, scorer, split, attacker)
    total = expected.total(sum(map(len, sets.values())))
    console.print(
        f"robustness on {len(split):,} test images: about {duration(total)}",
        highlight=False,
        soft_wrap=True,
    )
    if plan.data.image_shape[:2] != (32, 32):
        console.print("severities are those published for images of 32x32", highlight=False)
    found: dict[str, Any] = {
        "examples": len(split),
        "clean_accuracy": len(right) / len(split),
        "tta": plan.experiment.tta,
        "seed": SEED,
    }
    with Work(total, console) as work:
        found["views"] = {}
        for views in VIEWS:
            seen = BatchScorer(with_views(plan, views), variables, batch_size)
            found["views"][views] = _accuracy(seen, split)
            work.done(expected.views[views], f"views: {views}")
        found["corruptions"] = _corrupted(scorer, split, expected, work)
        found["attacks"] = _attacked(attacker, len(split), work)
        for name, configs in sets.items():
            found[shifted.KEYS[name]] = _on_other_set(
                plan, scorer, name, configs, expected.scoring, work, console
            )
    found["seconds"] = time.monotonic() - began
    return found


@dataclasses.dataclass(frozen=True)
class _Expected:
    """How long the parts are expected to take, in seconds, from one batch of each.

    Attributes:
      scoring: All images, once.
      views: All images in other views.
      corrupting: All images under a kind and one severity, scoring included.
      attacking: An epsilon.
    """

    scoring: float
    views: dict[Views, float]
    corrupting: dict[str, float]
    attacking: float

    @classmethod
    def measured(
        cls, plan: Plan, scorer: BatchScorer, split: Split, attacker: Attacker
    ) -> _Expected:
        batch = split.images[: scorer.batch_size]
        scorer(batch)
        scoring = _timed(lambda: scorer(batch)) * len(split) / len(batch)
        chunk = split.images[:CHUNK]

        def corrupting(kind: str) -> float:
            rng = corruptions.generator(SEED, kind, 3, 0)
            return _timed(lambda: corruptions.corrupt(kind, chunk, 3, rng))

        own = VIEWS[plan.experiment.tta]
        return cls(
            scoring=scoring,
            views={views: scoring * number / own for views, number in VIEWS.items()},
            corrupting={
                kind: corrupting(kind) * len(split) / len(chunk) + scoring for kind in KINDS
            },
            attacking=attacker.seconds,
        )

    def total(self, configs: int) -> float:
        """Everything, with so many other test sets."""
        return (
            sum(self.views.values())
            + sum(self.corrupting.values()) * len(SEVERITIES)
            + self.attacking * len(EPSILONS)
            + self.scoring * configs
        )


def with_views(plan: Plan, views: Views) -> Plan:
    """The plan, with these views at test time."""
    return dataclasses.replace(plan, experiment=dataclasses.replace(plan.experiment, tta=views))


def spread(whole: int, examples: int | None) -> np.ndarray:
    """So many places in a split, evenly spread; the whole where None or more are asked for."""
    count = min(examples or whole, whole)
    return np.arange(count) * whole // count


def _accuracy(scorer: BatchScorer, split: Split) -> float:
    return float((scorer(split.images).argmax(1) == split.labels).mean())


def _timed(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def corrupted(split: Split, kind: str, severity: int) -> Split:
    """The split with one corruption; an example's is the same whatever else is measured."""
    parts = []
    for chunk, start in enumerate(range(0, len(split), CHUNK)):
        rng = corruptions.generator(SEED, kind, severity, chunk)
        part = split.images[start : start + CHUNK]
        parts.append(corruptions.corrupt(kind, part, severity, rng))
    return Split(np.concatenate(parts), split.labels)


def one_corrupted(split: Split) -> dict[str, list[np.ndarray]]:
    """The first image of a split by kind of corruption: as it is, and at severities 1 to 5."""
    first = Split(split.images[:1], split.labels[:1])
    found = {}
    for kind in KINDS:
        parts = [first, *(corrupted(first, kind, severity) for severity in SEVERITIES)]
        found[kind] = [part.images[0] for part in parts]
    return found


def _corrupted(
    scorer: BatchScorer, split: Split, expected: _Expected, work: Work
) -> dict[str, Any]:
    accuracy: dict[str, list[float]] = {}
    for kind in KINDS:
        accuracy[kind] = []
        for severity in SEVERITIES:
            accuracy[kind].append(_accuracy(scorer, corrupted(split, kind, severity)))
            work.done(expected.corrupting[kind], f"corruptions: {kind}")
    counted = [accuracy[name] for name, kind in KINDS.items() if kind.group != "extra"]
    return {
        "mean_accuracy": float(np.mean(counted)),
        "kinds_in_the_mean": len(counted),
        "left_out": list(corruptions.LEFT_OUT),
        "accuracy": accuracy,
    }


def _attacked(attacker: Attacker, images: int, work: Work) -> dict[str, Any]:
    accuracy = {}
    for epsilon in EPSILONS:
        name = f"{epsilon * 255:.0f}/255"
        counts = attacker(epsilon, functools.partial(work.done, what=f"attacks: {name}"))
        accuracy[name] = {attack: count / images for attack, count in counts.items()}
    return {"norm": "linf", "step": STEP, "accuracy": accuracy}


def _other_sets(plan: Plan, data_dir: str | None, console: Any) -> dict[str, dict[str, Any]]:
    """The folders of CIFAR-10-C and CIFAR-10.1 by config, for a net of CIFAR-10's classes."""
    if plan.data.classes != Cifar10.source.classes:
        return {}
    sets = {name: shifted.prepared(name, data_dir) for name in shifted.NAMES}
    for name, configs in sets.items():
        if not configs:
            place = shifted.root(data_dir) / name
            console.print(
                f"{shifted.NAMES[name]}: not prepared ({place})", highlight=False, soft_wrap=True
            )
    return sets


def _on_other_set(
    plan: Plan,
    scorer: BatchScorer,
    name: str,
    configs: dict[str, Any],
    seconds: float,
    work: Work,
    console: Any,
) -> dict[str, float] | None:
    """The accuracy on each config; None where none is prepared or they can't be read."""
    found = {}
    for config, folder in configs.items():
        try:
            split = shifted.read(folder, plan.data.image_shape, plan.data.num_classes)
        except DataInvalid as error:
            console.print(f"{shifted.NAMES[name]}: {error}", highlight=False, soft_wrap=True)
            return None
        found[config] = _accuracy(scorer, split)
        work.done(seconds, f"{shifted.NAMES[name]}: {config}")
    return found or None
