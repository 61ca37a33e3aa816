"""Attributes a class score to pixels: saliency, SmoothGrad and Grad-CAM, as pure functions.

    apply = lambda variables, images: model.apply(variables, images, train=False)
    gradient = saliency(apply, variables, images, classes)

A class score is the one before the softmax, as in all three publications.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.analysis.activations import Apply, Program


def saliency(apply: Apply, variables: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
    """The gradient of a class score by the pixels (Simonyan et al. 2013, arXiv:1312.6034).

    The publication displays its largest absolute value over the channels, see `largest`.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K]; an image must not affect another's scores.
      variables: The net's variables.
      images: f32[B,H,W,C].
      classes: i32[B].

    Returns:
      f32[B,H,W,C], in score per unit of pixel value.
    """
    return jax.grad(lambda pixels: _score(apply(variables, pixels), classes))(images)


def smooth_grad(
    gradient: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    key: jax.Array,
    *,
    samples: int = 50,
    noise: float = 0.15,
) -> jax.Array:
    """The mean gradient of noisy copies of each image (Smilkov et al. 2017, arXiv:1706.03825).

    Args:
      gradient: f32[B,H,W,C] -> f32[B,H,W,C], such as `saliency` with the rest of its arguments
        bound; it is called once per sample, so jit it rather than this function.
      images: f32[B,H,W,C].
      key: Key of the noise.
      samples: Number of noisy copies of each image; 50 in the publication.
      noise: Standard deviation of the noise, as a fraction of the image's range (largest minus
        smallest pixel value); 0.1 to 0.2 in the publication.

    Returns:
      f32[B,H,W,C].
    """
    span = images.max((1, 2, 3), keepdims=True) - images.min((1, 2, 3), keepdims=True)
    total = jnp.zeros_like(images)
    for sample in jax.random.split(key, samples):
        drawn = jax.random.normal(sample, images.shape, images.dtype)
        total += gradient(images + noise * span * drawn)
    return total / samples


def grad_cam(
    apply: Apply, variables: Any, images: jax.Array, classes: jax.Array, layer: int = -1
) -> jax.Array:
    """A heat map of where a volume supports a class (Selvaraju et al. 2017, arXiv:1610.02391).

    relu(sum_k a_k A_k), where A_k is channel k of the volume and a_k the mean gradient of the class
    score over that channel; resized bilinearly to the image's height and width.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K], not jitted; an image must not affect another's
        scores.
      variables: The net's variables.
      images: f32[B,H,W,C].
      classes: i32[B].
      layer: Index into the volumes of `Program`; the default is the last, as in the publication:
        the output of the last convolution, after its activation and pool.

    Returns:
      f32[B,H,W], in units of the score.

    Raises:
      ValueError: the net has no convolution.
    """
    program = Program(apply, variables, images)
    if not program.volumes:
        raise ValueError("Grad-CAM needs a convolution, and the net has none")
    volume = program.activations(variables, images)[layer]
    gradient = jax.grad(
        lambda changed: _score(program.scores(layer, changed, variables, images), classes)
    )(volume)
    weight = gradient.astype(jnp.float32).mean((1, 2))
    heat = jax.nn.relu(jnp.einsum("bhwc,bc->bhw", volume.astype(jnp.float32), weight))
    return jax.image.resize(heat, images.shape[:3], "bilinear")


def largest(gradient: jax.Array) -> jax.Array:
    """The largest absolute value over the channels: f32[B,H,W,C] -> f32[B,H,W]."""
    return jnp.abs(gradient).max(-1)


def _score(scores: jax.Array, classes: jax.Array) -> jax.Array:
    # The gradient of the sum by one image is that of the image's own score.
    return jnp.take_along_axis(scores, classes[:, None], axis=1).sum()
