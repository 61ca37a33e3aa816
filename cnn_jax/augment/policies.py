"""RandAugment and TrivialAugment: operations drawn at random, with nothing to be searched for."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.augment import image_operations
from cnn_jax.augment.base import Augmentation, example_keys
from cnn_jax.augment.image_operations import Operation
from cnn_jax.data.batch import Batch

# What both publications draw from.
FOURTEEN = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "saturation", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
# Both count levels from 0 to this, the strongest.
MOST_LEVEL = 30


class Strengths(NamedTuple):
    """What operations come to at full strength.

    Attributes:
      shear: Slope.
      translate_x: Pixels.
      translate_y: Pixels.
      rotate: Degrees.
      enhance: How far the factor of brightness and its like is from 1.
      posterize: Bits dropped.
    """

    shear: float
    translate_x: float
    translate_y: float
    rotate: float
    enhance: float
    posterize: int


def usual_strengths(height: int, width: int) -> Strengths:
    """Those of AutoAugment and RandAugment for a size of image: 150 of 331 pixels, for instance."""
    return Strengths(0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, 4)


def operations(
    most: Strengths, share: float, sign: int, height: int, width: int
) -> dict[str, Operation]:
    """Each operation by its name.

    Args:
      most: What it would come to at full strength.
      share: Share of the full strength, from 0 to 1.
      sign: 1 or -1: which way to go, for those that have two ways.
      height: Of the images.
      width: Of the images.
    """
    signed = sign * share
    factor = 1 + signed * most.enhance
    return {
        "identity": Operation(),
        "shear_x": image_operations.shear_x(signed * most.shear),
        "shear_y": image_operations.shear_y(signed * most.shear),
        "translate_x": image_operations.translate_x(int(signed * most.translate_x)),
        "translate_y": image_operations.translate_y(int(signed * most.translate_y)),
        "rotate": image_operations.rotate(signed * most.rotate, height, width),
        "brightness": image_operations.brightness(factor),
        "saturation": image_operations.saturation(factor),
        "contrast": image_operations.contrast(factor),
        "sharpness": image_operations.sharpness(factor),
        "posterize": image_operations.posterize(8 - round(share * most.posterize)),
        "solarize": image_operations.solarize(round(255 * (1 - share), 6)),
        "autocontrast": image_operations.autocontrast(),
        "equalize": image_operations.equalize(),
        "invert": image_operations.invert(),
    }


def apply_each(table: Operation, numbers: jax.Array, batch: Batch, fill: int) -> Batch:
    """Does operations `numbers` i32[B,N] of a table to each image, one after the other."""

    def one(number, image):
        operation = jax.tree.map(lambda column: jnp.asarray(column)[number], table)
        return image_operations.apply(operation, image, fill)

    # A loop, not N copies: a copy's result would be computed anew wherever the next one reads it.
    image, _ = jax.lax.scan(
        lambda image, number: (jax.vmap(one)(number, image), None), batch.image, numbers.T
    )
    return dataclasses.replace(batch, image=image)


def check_fill(fill: int) -> None:
    """Raises ValueError where a fill is no value of a pixel."""
    if not 0 <= fill <= 255:
        raise ValueError(f"fill must be from 0 to 255, got {fill!r}")


@dataclasses.dataclass(frozen=True)
class RandAugment(Augmentation):
    """Does a few operations of one strength to each image (Cubuk et al. 2019, arXiv:1909.13719).

    Each is drawn anew from 14 of equal probability (one of them does nothing), and goes either
    way. Strengths are torchvision's, of 31 levels: 30 is shears of 0.3, shifts of 150/331 of the
    side, 30 degrees, factors 0.9 from 1, 4 of 8 bits. The publication's scale calls that 10: its M
    is three times as much here.

    Attributes:
      operations: How many for each image, the publication's N.
      magnitude: Their strength, from 0 to 30.
      fill: What a shift leaves behind, from 0 (black) to 255.
    """

    operations: int = 2
    magnitude: int = 9
    fill: int = 128

    def __post_init__(self):
        ranges.positive(operations=self.operations)
        ranges.non_negative(magnitude=self.magnitude)
        if self.magnitude > MOST_LEVEL:
            raise ValueError(f"magnitude must be at most {MOST_LEVEL}, got {self.magnitude!r}")
        check_fill(self.fill)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width = batch.image.shape[1:3]
        table = _table(usual_strengths(height, width), (self.magnitude,), height, width)
        draw = jax.vmap(lambda k: jax.random.randint(k, (self.operations,), 0, len(table.kind)))
        return apply_each(table, draw(example_keys(key, batch)), batch, self.fill)


@dataclasses.dataclass(frozen=True)
class TrivialAugment(Augmentation):
    """Does one operation of any strength to each image (Mueller and Hutter 2021, arXiv:2103.10158).

    The publication's TA (Wide): one of the 14 operations of RandAugment at one of 31 levels, either
    way, all with equal probability. The strongest are shears of 0.99, shifts of 32 pixels, 135
    degrees, factors 0.99 from 1, 6 of 8 bits, as torchvision has them too.

    Attributes:
      fill: What a shift leaves behind, from 0 (black) to 255.
    """

    fill: int = 128

    def __post_init__(self):
        check_fill(self.fill)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width = batch.image.shape[1:3]
        most = Strengths(0.99, 32, 32, 135.0, 0.99, 6)
        table = _table(most, range(MOST_LEVEL + 1), height, width)
        draw = jax.vmap(lambda k: jax.random.randint(k, (1,), 0, len(table.kind)))
        return apply_each(table, draw(example_keys(key, batch)), batch, self.fill)


def _table(most: Strengths, levels, height: int, width: int) -> Operation:
    """The fourteen at each level and either way: as often as they are to be drawn."""
    variants = [
        operations(most, level / MOST_LEVEL, sign, height, width)
        for level in levels
        for sign in (1, -1)
    ]
    return image_operations.stack([variant[name] for variant in variants for name in FOURTEEN])
