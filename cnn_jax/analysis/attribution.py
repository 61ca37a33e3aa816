"""Which pixels speak for a class: saliency, SmoothGrad and Grad-CAM, as pure functions.

    apply = lambda variables, images: model.apply(variables, images, train=False)
    gradient = saliency(apply, variables, images, classes)

The score of a class is that before the softmax, as in all three publications.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.analysis.activations import Apply, Program


def saliency(apply: Apply, variables: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
    """The gradient of a class's score to the pixels (Simonyan et al. 2013, arXiv:1312.6034).

    As a picture there its largest absolute value over the channels is shown, see `largest`.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K]; each image's scores are its own.
      variables: What the net is applied to.
      images: f32[B,H,W,C].
      classes: i32[B].

    Returns:
      f32[B,H,W,C], in scores per unit of the pixels.
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
        given; it is called once for each sample, so jit it rather than this function.
      images: f32[B,H,W,C].
      key: Decides the noise.
      samples: Noisy copies of each image, 50 in the publication.
      noise: Standard deviation of the noise, as a share of the image's largest pixel minus its
        smallest; .1 to .2 in the publication.

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
    """Where a volume speaks for a class (Selvaraju et al. 2017, arXiv:1610.02391).

    relu(sum_k a_k A_k), A_k a slice of the volume and a_k the mean over it of the gradient of the
    class's score; resized to the image's height and width, bilinearly.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K], not jitted; each image's scores are its own.
      variables: What the net is applied to.
      images: f32[B,H,W,C].
      classes: i32[B].
      layer: Which of the volumes of `Program`; the last by default, as in the publication: that of
        the last convolution, after its activation and pool.

    Returns:
      f32[B,H,W], of scores.

    Raises:
      ValueError: the net has no volume, since it has no convolution.
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
    """The sum over the images of their class's score: its gradient to an image is that image's."""
    return jnp.take_along_axis(scores, classes[:, None], axis=1).sum()
