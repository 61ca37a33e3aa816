"""Test-time augmentation (TTA): averages the scores of several views of an image."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

# "mirror": the image and its mirror image, weighted 1/2 each. "mirror_translate" (Jordan 2024,
# arXiv:2404.00498): this pair has weight 1/2, and two more have 1/4 each: of the image shifted by
# a pixel up and left, and down and right, with reflected edges.
Views = Literal["none", "mirror", "mirror_translate"]


def average_scores(
    score: Callable[[jax.Array], jax.Array], image: jax.Array, views: Views
) -> jax.Array:
    """Returns the weighted mean f32[B,K] of the scores of each image's views.

    Args:
      score: The net, f32[B,H,W,C] -> f32[B,K].
      image: f32[B,H,W,C].
      views: The set of views.
    """
    if views == "none":
        return score(image)
    seen, weights = [image], [1.0]
    if views == "mirror_translate":
        height, width = image.shape[1:3]
        padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        seen += [padded[:, :height, :width], padded[:, 2:, 2:]]
        weights = [0.5, 0.25, 0.25]
    # One view after the other in a loop: less to compile, and no more memory than a single pass.
    both = jnp.stack([view for shown in seen for view in (shown, shown[:, :, ::-1])])
    each = jnp.array([weight / 2 for weight in weights for _ in range(2)])
    # No matrix product: accelerators round the operands of one to half precision.
    return (each[:, None, None] * jax.lax.map(score, both)).sum(0)
