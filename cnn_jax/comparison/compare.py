"""Compares samples with the first of them, and says what can be concluded."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from cnn_jax.comparison import inference
from cnn_jax.comparison.inference import Difference
from cnn_jax.comparison.samples import Sample
from cnn_jax.comparison.single_runs import McNemar, mcnemar
from cnn_jax.errors import UserError

# The difference in percentage points of which the conclusions say how many runs show it.
SMALL = 0.1
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Compared:
    """A sample beside the first one; accuracies are in percent, differences in points.

    Attributes:
      name: The sample's name.
      reason: Why the method was chosen, before the values are looked at.
      difference: Sample minus first; None if either has a single run.
      p: The p-value adjusted for all comparisons (Holm); None without a difference.
      equivalent: Whether they differ by less than the margin; None without a difference.
      needed: Runs of each that would show a difference of 0.1 points at this spread; None if more
        than 100,000, or without a difference.
      images: Two single runs on the same test images, with the p-value adjusted likewise; None for
        others.
      conclusion: What can be concluded, in words.
    """

    name: str
    reason: str
    difference: Difference | None
    p: float | None
    equivalent: bool | None
    needed: int | None
    images: McNemar | None
    conclusion: str


def compare(samples: Sequence[Sample], margin: float = 0.5) -> list[Compared]:
    """Compares each sample but the first with the first.

    Args:
      samples: At least two.
      margin: Percentage points within which two means count as equivalent.

    Raises:
      UserError: the samples have different data.
    """
    first, others = samples[0], samples[1:]
    for other in others:
        _check_same_data(first, other)
    differences = [_difference(first, other) for other in others]
    images = [
        None if found else _images(first, other)
        for other, (_, found) in zip(others, differences, strict=True)
    ]
    tests = [found or seen for (_, found), seen in zip(differences, images, strict=True)]
    adjusted = iter(inference.holm([test.p for test in tests if test]))
    return [
        _compared(first, other, reason, test, next(adjusted) if test else None, margin)
        for other, (reason, _), test in zip(others, differences, tests, strict=True)
    ]


def _check_same_data(first: Sample, other: Sample) -> None:
    names, digests = zip(first.data, other.data, strict=True)
    if len(set(names)) > 1 or (all(digests) and len(set(digests)) > 1):
        raise UserError(
            f"{other.name} was tested on {other.data[0]} and {first.name} on {first.data[0]}: "
            "other images, so accuracies can't be compared"
        )


def _difference(first: Sample, other: Sample) -> tuple[str, Difference | None]:
    """The difference, by a method that depends on the seeds alone, and why."""
    if len(first.seeds) < 2 or len(other.seeds) < 2:
        return "one run says nothing about other seeds", None
    given = dict(zip(first.seeds, first.accuracies, strict=True))
    same = sorted(first.seeds) == sorted(other.seeds)
    if same and len(given) == len(first.seeds):
        pairs = [given[seed] for seed in other.seeds]
        return "paired, since all seeds match", inference.paired(pairs, other.accuracies)
    return "not paired, since seeds differ", inference.welch(first.accuracies, other.accuracies)


def _compared(
    first: Sample,
    other: Sample,
    reason: str,
    found: Difference | McNemar | None,
    p: float | None,
    margin: float,
) -> Compared:
    if not isinstance(found, Difference) or p is None:
        images = None
        if isinstance(found, McNemar) and p is not None:
            images = dataclasses.replace(found, p=p)
        conclusion = _of_images(first, other, images)
        return Compared(other.name, reason, None, None, None, None, images, conclusion)
    pairs = found.method == "paired"
    n = len(other.seeds)
    # The standard deviation of a pair's difference, or that of one group if both had the same.
    sd = found.error * (n if pairs else 1 / (1 / n + 1 / len(first.seeds))) ** 0.5
    needed = inference.runs_needed(sd, SMALL, pairs=pairs)
    equivalent = found.equivalent(margin)
    conclusion = _conclusion(first, other, found, p, equivalent, margin)
    return Compared(other.name, reason, found, p, equivalent, needed, None, conclusion)


def _conclusion(
    first: Sample,
    other: Sample,
    found: Difference,
    p: float,
    equivalent: bool,
    margin: float,
) -> str:
    better, worse = (other, first) if found.mean > 0 else (first, other)
    if p < SIGNIFICANT:
        within = f", and by less than {margin:g} points" if equivalent else ""
        return f"{better.name} is better than {worse.name}{within}"
    if equivalent:
        return f"{first.name} and {other.name} are equivalent within {margin:g} points"
    return (
        f"nothing: either may be better, and it is not shown that they are within {margin:g} "
        "points of each other"
    )


def _images(first: Sample, other: Sample) -> McNemar | None:
    one, two = first.predictions(), other.predictions()
    if one is None or two is None or one.labels.tolist() != two.labels.tolist():
        return None
    return mcnemar(one.labels, one.predicted, two.predicted)


def _of_images(first: Sample, other: Sample, images: McNemar | None) -> str:
    if images is None:
        single = first if len(first.seeds) < 2 else other
        return (
            f"nothing: {single.name} is a single run; train it with more seeds, or give two "
            "single runs that keep their predictions"
        )
    if images.agreement == 1:
        return "nothing: both nets predict the same class for every image"
    if images.p < SIGNIFICANT:
        better = other if images.second_alone > images.first_alone else first
        return (
            f"this net of {better.name} is better on images like these; other seeds may turn "
            "it round"
        )
    return "nothing: on images like these, either net may be better"
