from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.optim import Constant, Cosine, Linear, MultiStep

HALF = math.sqrt(0.5)

# A run of 100 steps, 10 per epoch: the share of the peak at some steps, computed by hand.
POINTS = [
    (Constant(), {0: 1, 50: 1, 99: 1}),
    (Linear(), {0: 1, 25: 0.75, 50: 0.5, 99: 0.01}),
    (Linear(end=0.2), {0: 1, 50: 0.6, 75: 0.4}),
    (Cosine(), {0: 1, 25: (1 + HALF) / 2, 50: 0.5, 75: (1 - HALF) / 2, 99: 0.000246719}),
    (Cosine(end=0.1), {0: 1, 50: 0.55}),
    (MultiStep(), {0: 1, 49: 1, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}),
    (
        MultiStep(milestones=(0.3, 0.6, 0.8), gamma=0.2),
        {29: 1, 30: 0.2, 59: 0.2, 60: 0.04, 79: 0.04, 80: 0.008},
    ),
    (MultiStep(milestones=()), {0: 1, 99: 1}),
    # 2 epochs of warm-up are 20 steps, of which the last is at the peak, as is the one after it.
    (Constant(warmup=2), {0: 0.05, 4: 0.25, 9: 0.5, 18: 0.95, 19: 1, 20: 1, 99: 1}),
    (Linear(warmup=2, warmup_start=0.2), {0: 0.2, 10: 0.6, 20: 1, 60: 0.5, 99: 0.0125}),
    (Cosine(warmup=2), {0: 0.05, 9: 0.5, 19: 1, 20: 1, 60: 0.5}),
    (MultiStep(warmup=2), {9: 0.5, 20: 1, 59: 1, 60: 0.1, 79: 0.1, 80: 0.01}),
    (Linear(warmup=0.25), {0: 0.5, 1: 1, 2: 1, 51: 0.5}),
    (Linear(warmup=0.1), {0: 1, 1: 1}),
]


@pytest.mark.parametrize(("schedule", "points"), POINTS)
def test_shares_computed_by_hand(schedule, points):
    factor = schedule.factor(total_steps=100, steps_per_epoch=10)
    got = [float(factor(jnp.int32(step))) for step in points]
    np.testing.assert_allclose(got, list(points.values()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("warmup", [0, 0.3, 4])
@pytest.mark.parametrize("kind", [Constant, Linear, Cosine, MultiStep])
def test_no_step_is_wasted(kind, warmup):
    factor = kind(warmup=warmup).factor(total_steps=50, steps_per_epoch=10)
    shares = np.array([float(factor(jnp.int32(step))) for step in range(50)])
    assert shares.min() > 0 and shares.max() == 1


def test_the_warm_up_published_for_convmixer():
    """github.com/locuslab/convmixer-cifar10: np.interp at the epochs done after the step."""
    factor = Linear(warmup=10).factor(total_steps=25 * 97, steps_per_epoch=97)
    steps = np.array([0, 1, 96, 97, 500, 969])
    published = np.interp((steps + 1) / 97, [0, 10, 20, 25], [0, 1, 0.05, 0])
    np.testing.assert_allclose([float(factor(jnp.int32(s))) for s in steps], published, rtol=1e-6)


@pytest.mark.parametrize("schedule", [Constant(), Linear(), Cosine()])
def test_a_run_of_one_step_takes_the_peak(schedule):
    factor = schedule.factor(total_steps=1, steps_per_epoch=10)
    assert float(factor(jnp.int32(0))) == 1


def test_boundaries_of_a_published_run():
    """ResNet (He et al. 2015): 64,000 steps, a tenth from 32,000 and from 48,000."""
    factor = MultiStep().factor(total_steps=64_000, steps_per_epoch=352)
    got = [float(factor(jnp.int32(step))) for step in (31_999, 32_000, 47_999, 48_000, 63_999)]
    np.testing.assert_allclose(got, [1, 0.1, 0.1, 0.01, 0.01], rtol=1e-5)


def test_warmup_as_long_as_the_run_is_refused():
    Linear(warmup=9.8).factor(total_steps=100, steps_per_epoch=10)
    with pytest.raises(UserError, match=r"^schedule.warmup must be shorter than .* 10 epochs"):
        Linear(warmup=10).factor(total_steps=100, steps_per_epoch=10)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Linear(warmup=-1), "warmup"),
        (lambda: Linear(warmup_start=1.0), "warmup_start"),
        (lambda: Linear(end=-0.1), "end"),
        (lambda: Linear(end=1.5), "end"),
        (lambda: MultiStep(gamma=10), "gamma"),
        (lambda: Cosine(end=float("nan")), "end"),
        (lambda: MultiStep(gamma=0), "gamma"),
        (lambda: MultiStep(milestones=(0.5, 0.5)), "milestones"),
        (lambda: MultiStep(milestones=(0.75, 0.5)), "milestones"),
        (lambda: MultiStep(milestones=(0.5, 1.0)), "milestones"),
        (lambda: MultiStep(milestones=(0.0, 0.5)), r"milestones\[0\]"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()
