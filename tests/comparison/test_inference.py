"""Intervals and tests against SciPy, hand-worked examples and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cnn_jax.comparison.inference import holm, mean, paired, runs_needed, welch
from cnn_jax.comparison.single_runs import mcnemar

A = [93.9, 94.1, 94.0, 94.3, 93.8]
B = [94.2, 94.4, 94.1, 94.5, 94.3]
C = [94.9, 93.1, 95.3]


def test_a_mean_by_hand():
    """10, 12, 14: mean 12, sd 2; t of 97.5 % with 2 degrees: 4.3027. 12 +- 4.3027 * 2 / sqrt 3."""
    found = mean([10, 12, 14])
    assert (found.n, found.mean, found.sd) == (3, 12, 2)
    assert (found.low, found.high) == pytest.approx((7.0317, 16.9683), abs=1e-4)
    assert mean([94.0]).low is None


def test_pairs_against_scipy():
    reference = stats.ttest_rel(B, A)
    found = paired(A, B)
    low, high = reference.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, reference.pvalue))
    assert found.mean == pytest.approx(np.mean(B) - np.mean(A))


@pytest.mark.parametrize("other", [B, C])
def test_independent_groups_against_scipy(other):
    reference = stats.ttest_ind(other, A, equal_var=False)
    found = welch(A, other)
    low, high = reference.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, reference.pvalue))
    assert found.freedom == pytest.approx(reference.df)


def test_groups_without_any_spread():
    for compare in (paired, welch):
        assert compare([1.0, 1.0], [1.0, 1.0]).p == 1
        certain = compare([1.0, 1.0], [2.0, 2.0])
        assert (certain.p, certain.low, certain.high) == (0, 1, 1)


def test_equivalence_by_two_one_sided_tests():
    differences = np.subtract(B, A)
    for margin in (0.2, 0.3, 0.4, 0.5, 1.0):
        sides = (
            stats.ttest_1samp(differences, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(differences, margin, alternative="less").pvalue,
        )
        assert paired(A, B).equivalent(margin) == (max(sides) < 0.05)
    assert not paired(A, B).equivalent(0.2)
    assert paired(A, B).equivalent(0.5)


def test_holm_by_hand():
    """Of 0.01, 0.04, 0.03: 3 * 0.01; 2 * 0.03; 1 * 0.04, but not below the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


@pytest.mark.parametrize(
    ("sd", "difference", "pairs", "expected"),
    [
        # G*Power's textbook cases: a medium effect needs 64 in each group, or 34 pairs.
        (1.0, 0.5, False, 64),
        (1.0, 0.5, True, 34),
        (1.0, 0.8, False, 26),
        (1.0, 0.2, False, 394),
        (0.0, 0.1, True, 2),
        (100.0, 0.1, False, None),
    ],
)
def test_how_many_runs_are_needed(sd, difference, pairs, expected):
    assert runs_needed(sd, difference, pairs=pairs) == expected


def test_mcnemar_by_hand():
    """Four images only the first gets right, one only the second: 2 * (1 + 5) / 32."""
    labels = np.arange(10)
    first, second = labels.copy(), labels.copy()
    first[0] = 9
    second[1:5] = 0
    found = mcnemar(labels, first, second)
    assert (found.images, found.first_alone, found.second_alone) == (10, 4, 1)
    assert found.agreement == 0.5
    assert found.p == pytest.approx(12 / 32)
    assert mcnemar(labels, labels, labels).p == 1


@pytest.mark.parametrize("n", [3, 5, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(n):
    """Of 20,000 draws, a share whose standard error is 0.15 %."""
    random = np.random.default_rng(n)
    seeds = random.normal(0, 0.3, (20_000, n))
    first = seeds + random.normal(94, 0.2, (20_000, n))
    second = seeds + random.normal(94.1, 0.2, (20_000, n))
    apart = random.normal(94.1, 0.5, (20_000, n))
    covered = {"paired": 0, "welch": 0}
    for a, b, c in zip(first, second, apart, strict=True):
        for found in (paired(a, b), welch(a, c)):
            covered[found.method] += found.low <= 0.1 <= found.high
    shares = {method: number / 20_000 for method, number in covered.items()}
    assert 0.945 < shares["paired"] < 0.955
    # Welch's degrees of freedom are approximate: its intervals are a little wide for few values.
    assert 0.945 < shares["welch"] < 0.965


def test_a_power_is_what_simulation_finds():
    random = np.random.default_rng(0)
    n = runs_needed(0.2, 0.3, pairs=True)
    draws = random.normal(0.3, 0.2, (20_000, n))
    t = draws.mean(1) / (draws.std(1, ddof=1) / math.sqrt(n))
    share = (np.abs(t) > stats.t.ppf(0.975, n - 1)).mean()
    assert share == pytest.approx(0.8, abs=0.04) and share >= 0.795
