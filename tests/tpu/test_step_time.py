"""Step times against hand-worked ones."""

from __future__ import annotations

import pytest

from cnn_jax.tpu.chips import CHIPS, chip_of
from cnn_jax.tpu.collectives import Collective
from cnn_jax.tpu.compiled_step import CompiledStep
from cnn_jax.tpu.slices import Slices
from cnn_jax.tpu.step_time import seconds, step_time

V5E, V5P = chip_of("TPU v5 lite"), chip_of("TPU v5")


def slices(*axes, number=1, chip=V5E):
    return Slices("", number, axes, chip, ())


def step(flops=0.0, accessed=0.0, exchanges=()):
    return CompiledStep(0, 0, 0, 0, flops, accessed, 0, tuple(exchanges), 0.0)


def all_reduce(size):
    return Collective("all-reduce", size, 0, (), "")


@pytest.mark.parametrize(
    ("place", "size", "expected"),
    [
        # 16x16 closes to rings: four links of 50 GB/s. 255/256 of the bytes, there and back.
        (slices(16, 16), 256_000_000, 2 * 255e6 / 200e9),
        # 4x4 does not: the two links of a corner.
        (slices(4, 4), 16_000_000, 2 * 15e6 / 100e9),
        # Two chips with one link.
        (slices(2), 1_000_000, 1e6 / 50e9),
        # In three dimensions either all axes close, or none.
        (slices(4, 4, 4, chip=V5P), 64_000_000, 2 * 63e6 / 600e9),
        (slices(2, 2, 4, chip=V5P), 16_000_000, 2 * 15e6 / 300e9),
        # A number takes a microsecond a hop: 8 + 8 along rings, 3 + 3 along lines, both ways.
        (slices(16, 16), 4, 32e-6),
        (slices(4, 4), 4, 12e-6),
        (slices(), 1_000_000, 0.0),
    ],
)
def test_a_sum_over_a_slice(place, size, expected):
    assert seconds(all_reduce(size), place.chip, place) == pytest.approx(expected)


def test_a_gather_is_half_a_sum():
    gather = Collective("all-gather", 16_000_000, 0, (), "")
    assert seconds(gather, V5E, slices(4, 4)) == pytest.approx(15e6 / 100e9)


def test_between_slices_each_chip_exchanges_its_part():
    """Of 1 MB, a quarter stays: three quarters go to other slices and back, at 3.1 GB/s a chip."""
    part = Collective("all-reduce", 1_000_000, 0, (), "", between_slices=True)
    expected = 2 * 0.75e6 / 3.125e9
    assert seconds(part, V5E, slices(16, 16, number=4)) == pytest.approx(expected)


def test_the_longest_of_the_three_binds():
    place = slices(4, 4)
    time = step_time(step(197e9, 819e6 / 2, [all_reduce(16_000_000)] * 2), place)
    assert time.compute == pytest.approx(1e-3)
    assert time.memory == pytest.approx(0.5e-3)
    assert time.network == pytest.approx(0.6e-3)
    assert (time.binds, time.shortest) == ("compute", time.compute)
    assert time.longest == pytest.approx(2.1e-3)
    assert step_time(step(1e9, 819e6), place).binds == "memory"
    assert step_time(step(1e9, 1e6, [all_reduce(10**9)]), place).binds == "network"


def test_a_chip_without_published_peaks_has_no_time():
    assert step_time(step(1e9), slices(2, 2, chip=None)) is None


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_a_pod_s_published_sums(chip):
    """Of the same pages as the table: FLOP/s of a pod, and all links of a chip, both ways."""
    pods = {"v5e": (256, 50.63e15, 4, 400e9), "v6e": (256, 234.9e15, 4, 800e9)}
    pods["v5p"] = (8960, 4.1e18, 6, 1200e9)
    chips, flops, links, both_ways = pods[chip.name]
    assert chips * chip.flops == pytest.approx(flops, rel=0.01)
    assert links * 2 * chip.link == both_ways
