"""Published peaks of TPU chips."""

from dataclasses import dataclass

# Seconds for one hop between neighbouring chips: jax-ml.github.io/scaling-book/sharding
HOP = 1e-6


@dataclass(frozen=True)
class Chip:
    """The peaks of one chip.

    Attributes:
      name: As in a topology's name, such as "v5e".
      kind: JAX's `device_kind`.
      flops: FLOP/s of bfloat16 products with float32 sums. Products of float32 arrays reach it
        too, since their factors are rounded to bfloat16 by default.
      memory: Bytes of HBM.
      memory_bandwidth: Bytes/s of HBM.
      link: Bytes/s of one link between neighbours (ICI), in one direction.
      axes: Dimensions of its network: 2 or 3.
      ring: An axis of so many chips, or a multiple, closes to a ring; in three dimensions, if all
        three are multiples.
      pod: Chips of the largest slice.
      network: Bytes/s of a chip's share of its host's network (DCN), in one direction.
      source: Where the numbers are from.
    """

    name: str
    kind: str
    flops: float
    memory: int
    memory_bandwidth: float
    link: float
    axes: int
    ring: int
    pod: int
    network: float
    source: str


_DOCS = "docs.cloud.google.com/tpu/docs"
_BOOK = "jax-ml.github.io/scaling-book/tpus"
# A link has, in one direction, the documented "bidirectional ICI bandwidth per chip" by twice the
# number of links, 4 or 6.
CHIPS = (
    Chip(
        name="v5e",
        kind="TPU v5 lite",
        flops=197e12,
        memory=16 * 2**30,
        memory_bandwidth=819e9,
        link=400e9 / 8,
        axes=2,
        ring=16,
        pod=256,
        network=6.4e12 / 8 / 256,
        source=f"{_DOCS}/v5e; ring: {_BOOK}",
    ),
    Chip(
        name="v6e",
        kind="TPU v6 lite",
        flops=918e12,
        memory=32 * 2**30,
        memory_bandwidth=1638e9,
        link=800e9 / 8,
        axes=2,
        ring=16,
        pod=256,
        network=25e9 / 8,
        source=f"{_DOCS}/v6e; ring, and 25 GB/s for a host of 8 chips: {_BOOK}",
    ),
    Chip(
        name="v5p",
        kind="TPU v5",
        flops=459e12,
        memory=95 * 2**30,
        memory_bandwidth=2765e9,
        link=1200e9 / 12,
        axes=3,
        ring=4,
        pod=6144,
        network=50e9 / 8,
        source=f"{_DOCS}/v5p; ring: {_BOOK}",
    ),
)


def chip_of(kind: str) -> Chip | None:
    """Returns the chip of a `device_kind`; None if it is not in the table."""
    return next((chip for chip in CHIPS if chip.kind == kind), None)
