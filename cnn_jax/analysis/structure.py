"""Lists a net's layers and counts its parameters and FLOPs, from its traced program.

The model is traced, not run, so this works for any Flax module, custom models included.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import core

from cnn_jax import ops
from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.analysis.spans import Span
from cnn_jax.analysis.traced_layers import Image, Tag, Walk, Weights


def layers(model: nn.Module, image_shape: Volume) -> list[Layer]:
    """The layers of a model in order of computation.

    Args:
      model: A module whose `num_classes` is set, called as `model(image, train=False)`.
      image_shape: Height, width and channels of the image.
    """
    variables = _variables(model, image_shape)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with ops.stock():  # one primitive for each convolution and pooling
        program = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
    return walk(program, variables, image_shape).layers


def walk(program: core.ClosedJaxpr, variables: Any, image_shape: Volume) -> Walk:
    """Walks through a net that was traced with `ops.stock`, from (variables, image) to scores.

    Args:
      program: The traced net; its arguments are the leaves of the variables, then the image.
      variables: The variables, or their shapes.
      image_shape: Height, width and channels of the image.
    """
    leaves = jax.tree_util.tree_flatten_with_path(variables)[0]
    paths = [tuple(entry.key for entry in path) for path, _ in leaves]
    tags: list[Tag] = [Weights(frozenset([path])) for path in paths]
    tags.append(Image((Span(), Span()), image_shape))
    sizes = {path: leaf.size for path, (_, leaf) in zip(paths, leaves, strict=True)}
    made = Walk(image_shape[:2], sizes)
    made.run(program.jaxpr, tags)
    return made


def parameter_count(model: nn.Module, image_shape: Volume) -> int:
    """Number of trained parameters."""
    return numbers(_variables(model, image_shape)["params"])


def numbers(tree: Any) -> int:
    """Number of entries in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _variables(model: nn.Module, image_shape: Volume) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    with ops.stock():
        made = jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, image)
    # Other collections hold what the model sows, not its variables.
    return {name: made[name] for name in ("params", "batch_stats") if name in made}


def forward_flops(model: nn.Module, image_shape: Volume) -> int:
    """Floating-point operations of one image's forward pass; a multiply-add counts as two."""
    return 2 * sum(layer.multiply_adds for layer in layers(model, image_shape))
