"""AutoAugment, with the policy published for CIFAR-10."""

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax.augment import image_operations, policies
from cnn_jax.augment.augmentation import Augmentation, example_keys
from cnn_jax.augment.image_operations import Operation
from cnn_jax.data.batch import Batch
from cnn_jax.ranges import Pixel

# The 25 sub-policies: two operations, each with its probability and its level from 0 to 9 (0 if the
# operation has no level).
CIFAR10 = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("saturation", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("saturation", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("saturation", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("saturation", 0.9, 9), ("equalize", 0.6, 0)),
    (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("saturation", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
)
_MOST_LEVEL = 9


@dataclasses.dataclass(frozen=True)
class AutoAugment(Augmentation):
    """Applies one of 25 pairs of operations to each image (Cubuk et al. 2018, arXiv:1805.09501).

    The policy is the one published for CIFAR-10. Each operation of a pair has its own probability
    and a random sign. Levels scale as in torchvision: 9 means shears of 0.3, shifts of 150/331 of
    the side, rotations of 30 degrees, factors of 1 +- 0.9 (the authors' code has 0.1 at level 0 and
    1.9 at level 10, without sign) and 4 of 8 bits.

    Attributes:
      fill: Value of pixels that are shifted in, from 0 (black) to 255.
    """

    fill: Pixel = 128

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width = batch.image.shape[1:3]
        most = policies.usual_strengths(height, width)
        # Three rows for each operation of each pair: positive sign, negative sign, identity.
        table = []
        for name, _, level in (operation for pair in CIFAR10 for operation in pair):
            for sign in (1, -1):
                share = level / _MOST_LEVEL
                table.append(policies.operations(most, share, sign, height, width)[name])
            table.append(Operation())
        probability = jnp.array([[first[1], second[1]] for first, second in CIFAR10])

        def draw(key):
            pairs, done, signs = jax.random.split(key, 3)
            pair = jax.random.randint(pairs, (), 0, len(CIFAR10))
            is_done = jax.random.uniform(done, (2,)) < probability[pair]
            row = jnp.where(is_done, jax.random.bits(signs, (2,)) % 2, 2)
            return 3 * (2 * pair + jnp.arange(2)) + row.astype(jnp.int32)

        numbers = jax.vmap(draw)(example_keys(key, batch))
        return policies.apply_each(image_operations.stack(table), numbers, batch, self.fill)
