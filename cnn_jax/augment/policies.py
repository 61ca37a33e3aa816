"""RandAugment and TrivialAugment: random operations without a learnt policy."""

import dataclasses
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.augment import image_operations
from cnn_jax.augment.augmentation import Augmentation, example_keys
from cnn_jax.augment.image_operations import Operation
from cnn_jax.data.batch import Batch
from cnn_jax.ranges import Pixel, Positive, within

# The operations of both publications.
FOURTEEN = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "saturation", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
# The strongest level in both.
MOST_LEVEL = 30


class Strengths(NamedTuple):
    """The strength of each operation at the strongest level.

    Attributes:
      shear: Slope.
      translate_x: Shift in pixels.
      translate_y: Shift in pixels.
      rotate: Angle in degrees.
      enhance: Difference from 1 of the factor of brightness, contrast, saturation and sharpness.
      posterize: Number of bits dropped.
    """

    shear: float
    translate_x: float
    translate_y: float
    rotate: float
    enhance: float
    posterize: int


def usual_strengths(height: int, width: int) -> Strengths:
    """Returns the strengths of AutoAugment and RandAugment for a size of image."""
    return Strengths(0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, 4)


def operations(
    most: Strengths, share: float, sign: int, height: int, width: int
) -> dict[str, Operation]:
    """Returns each operation by its name.

    Args:
      most: Strengths at the strongest level.
      share: Share of these strengths, from 0 to 1.
      sign: 1 or -1: direction, for operations that have two.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
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
        "brightness": Operation(image_operations.BLACK, factor=factor),
        "saturation": Operation(image_operations.GREY, factor=factor),
        "contrast": Operation(image_operations.MEAN, factor=factor),
        "sharpness": Operation(image_operations.SMOOTH, factor=factor),
        "posterize": image_operations.posterize(8 - round(share * most.posterize)),
        "solarize": image_operations.solarize(round(255 * (1 - share), 6)),
        "autocontrast": Operation(image_operations.STRETCH),
        "equalize": Operation(image_operations.EQUALIZE),
        "invert": image_operations.solarize(0),
    }


def apply_each(table: Operation, numbers: jax.Array, batch: Batch, fill: int) -> Batch:
    """Applies operations `numbers` i32[B,N] of a table to each image, one after the other."""

    def one(number, image):
        operation = jax.tree.map(lambda column: jnp.asarray(column)[number], table)
        return image_operations.apply(operation, image, fill)

    # A loop: unrolled, XLA would recompute a result wherever the next operation reads it.
    image, _ = jax.lax.scan(
        lambda image, number: (jax.vmap(one)(number, image), None), batch.image, numbers.T
    )
    return dataclasses.replace(batch, image=image)


@dataclasses.dataclass(frozen=True)
class RandAugment(Augmentation):
    """Applies random operations of fixed magnitude (Cubuk et al. 2019, arXiv:1909.13719).

    Each operation is one of 14 (including the identity) with equal probability and a random sign.
    The 31 levels are torchvision's: 30 means shears of 0.3, shifts of 150/331 of the side,
    rotations of 30 degrees, factors of 1 +- 0.9 and 4 of 8 bits. That is 10 in the publication, so
    multiply its M by three.

    Attributes:
      operations: Number of operations for each image, the publication's N.
      magnitude: Magnitude of the operations, from 0 to 30.
      fill: Value of pixels that are shifted in, from 0 (black) to 255.
    """

    operations: Positive[int] = 2
    magnitude: Annotated[int, within(0, MOST_LEVEL)] = 9
    fill: Pixel = 128

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width = batch.image.shape[1:3]
        table = _table(usual_strengths(height, width), (self.magnitude,), height, width)
        draw = jax.vmap(lambda k: jax.random.randint(k, (self.operations,), 0, len(table.kind)))
        return apply_each(table, draw(example_keys(key, batch)), batch, self.fill)


@dataclasses.dataclass(frozen=True)
class TrivialAugment(Augmentation):
    """Applies one random operation to each image (Mueller and Hutter 2021, arXiv:2103.10158).

    The publication's TA (Wide): one of RandAugment's 14 operations at one of 31 levels with random
    sign, all equally likely. The strongest are shears of 0.99, shifts of 32 pixels, rotations of
    135 degrees, factors of 1 +- 0.99 and 6 of 8 bits, as in torchvision.

    Attributes:
      fill: Value of pixels that are shifted in, from 0 (black) to 255.
    """

    fill: Pixel = 128

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width = batch.image.shape[1:3]
        most = Strengths(0.99, 32, 32, 135.0, 0.99, 6)
        table = _table(most, range(MOST_LEVEL + 1), height, width)
        draw = jax.vmap(lambda k: jax.random.randint(k, (1,), 0, len(table.kind)))
        return apply_each(table, draw(example_keys(key, batch)), batch, self.fill)


def _table(most: Strengths, levels, height: int, width: int) -> Operation:
    """The fourteen operations at each level and with either sign, each equally often."""
    variants = [
        operations(most, level / MOST_LEVEL, sign, height, width)
        for level in levels
        for sign in (1, -1)
    ]
    return image_operations.stack([variant[name] for variant in variants for name in FOURTEEN])
