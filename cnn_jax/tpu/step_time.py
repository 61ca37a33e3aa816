"""Predicts how long a step takes at least, from its compiled program and the chips' peaks."""

from dataclasses import dataclass

from cnn_jax.tpu.chips import HOP, Chip
from cnn_jax.tpu.collectives import Collective
from cnn_jax.tpu.compiled_step import CompiledStep
from cnn_jax.tpu.slices import Slices


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step for each of the three reasons alone, at the peaks.

    Work of one kind can hide that of another: the step takes the longest of them if they overlap
    entirely, and their sum if they do not at all. Real steps do not reach the peaks.

    Attributes:
      compute: FLOPs at the chip's peak.
      memory: Bytes that operations read and write, at the bandwidth of HBM; an upper estimate, as
        some stay in the chip's fast memory.
      network: The exchanges between chips, one after another.
    """

    compute: float
    memory: float
    network: float

    @property
    def shortest(self) -> float:
        """Seconds of the longest of the three."""
        return max(self.compute, self.memory, self.network)

    @property
    def longest(self) -> float:
        """Seconds of the three together."""
        return self.compute + self.memory + self.network

    @property
    def binds(self) -> str:
        """What bounds the step: "compute", "memory" or "network"."""
        return max(("compute", "memory", "network"), key=lambda name: getattr(self, name))


def step_time(step: CompiledStep, slices: Slices) -> StepTime | None:
    """Predicts a step; None if the peaks of the chip are not known."""
    chip = slices.chip
    if chip is None:
        return None
    return StepTime(
        compute=step.flops / chip.flops,
        memory=step.bytes_accessed / chip.memory_bandwidth,
        network=sum(seconds(one, chip, slices) for one in step.collectives),
    )


def seconds(exchange: Collective, chip: Chip, slices: Slices) -> float:
    """Seconds of an exchange, if nothing else uses the links.

    The model is that of jax-ml.github.io/scaling-book/sharding: a sum is scattered, and then
    gathered. Each half moves (n - 1) / n of the bytes over the links of all axes at once, in both
    directions of an axis that is a ring; or it takes the time of the longest path, if that is
    longer. Between slices, each chip exchanges with those of the same place, at its share of its
    host's bandwidth. The latency of the network between slices is not published, and left out.
    """
    halves = 2 if exchange.kind == "all-reduce" else 1
    if exchange.between_slices:
        share = (slices.number - 1) / slices.number
        return halves * exchange.bytes * share / chip.network
    return halves * _within(exchange.bytes, chip, slices)


def _within(size: int, chip: Chip, slices: Slices) -> float:
    if slices.chips == 1:
        return 0.0
    links = sum(2 if ring else 1 for ring in slices.rings)
    hops = sum(
        axis // 2 if ring else axis - 1
        for axis, ring in zip(slices.axes, slices.rings, strict=True)
    )
    share = (slices.chips - 1) / slices.chips
    return max(hops * HOP, size * share / (links * chip.link))
