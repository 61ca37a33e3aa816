"""The anatomy of a net: its layers as volumes, read off the program that computes it.

The model is traced, not run, so any Flax module can be looked into: one's own too, whether or not
it is made of this package's layers.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.analysis.layer_walk import Image, Layer, Tag, Volume, Walk, Weights


def layers(model: nn.Module, image_shape: Volume) -> list[Layer]:
    """The layers of a model on an image of this height, width and depth, in order.

    Args:
      model: A module whose `num_classes` is set, called as `model(image, train=False)`.
      image_shape: H, W, C.
    """
    variables = _variables(model, image_shape)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with ops.stock():  # one primitive for each convolution and pooling
        program = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
    paths = [
        tuple(entry.key for entry in path)
        for path, _ in jax.tree_util.tree_flatten_with_path(variables)[0]
    ]
    tags: list[Tag] = [Weights(frozenset([path])) for path in paths]
    tags.append(Image((1, 1), (1, 1), image_shape))
    walk = Walk(
        image_shape[:2], {p: v.size for p, v in zip(paths, jax.tree.leaves(variables), strict=True)}
    )
    walk.run(program.jaxpr, tags)
    return walk.layers


def parameter_count(model: nn.Module, image_shape: Volume) -> int:
    """How many numbers training changes."""
    return numbers(_variables(model, image_shape)["params"])


def numbers(tree: Any) -> int:
    """How many numbers a tree of arrays or shapes holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _variables(model: nn.Module, image_shape: Volume) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    with ops.stock():
        made = jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, image)
    # What a model sows besides is no part of it.
    return {name: made[name] for name in ("params", "batch_stats") if name in made}


def forward_flops(model: nn.Module, image_shape: Volume) -> int:
    """Floating-point operations of one image's forward pass, two for each multiply-add."""
    return 2 * sum(layer.multiply_adds for layer in layers(model, image_shape))
