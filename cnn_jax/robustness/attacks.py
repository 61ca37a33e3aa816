"""Adversarial attacks within an L-infinity ball: FGSM and PGD, in JAX.

Images are f32[B,H,W,C] with pixels from 0 to 1. `score` maps them to the scores f32[B,K], including
normalisation; the attacks differentiate it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

Score = Callable[[jax.Array], jax.Array]


def gradient(score: Score, image: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns each image's gradient of the cross-entropy, and the scores; label is i32[B]."""

    def loss(image):
        logits = score(image)
        each = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
        return each.sum(), logits

    return jax.grad(loss, has_aux=True)(image)


def fgsm(score: Score, image: jax.Array, label: jax.Array, epsilon: jax.Array) -> jax.Array:
    """One step of epsilon along the gradient's sign (Goodfellow et al. 2015, arXiv:1412.6572)."""
    slope, _ = gradient(score, image, label)
    return jnp.clip(image + epsilon * jnp.sign(slope), 0, 1)


def random_start(key: jax.Array, image: jax.Array, index: jax.Array, epsilon: jax.Array):
    """Draws a uniform point of the ball around each image, clipped to 0 and 1.

    The draw depends on the key and the example's index i32[B], not on the batch.
    """
    keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(index)
    noise = jax.vmap(lambda k: jax.random.uniform(k, image.shape[1:], minval=-1, maxval=1))(keys)
    return jnp.clip(image + epsilon * noise, 0, 1)


def pgd(
    score: Score,
    start: jax.Array,
    image: jax.Array,
    label: jax.Array,
    epsilon: jax.Array,
    step: jax.Array,
    steps: int | jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Projected gradient ascent on the loss (PGD, Madry et al. 2018, arXiv:1706.06083).

    Two calls of 5 steps, the second from the result of the first, equal one call of 10 steps.

    Args:
      score: Maps pixels to scores.
      start: The first iterate: from `random_start` or an earlier call.
      image: The centre of the ball.
      label: i32[B], the true classes.
      epsilon: Radius of the ball.
      step: Change of each value per step.
      steps: Number of steps; may be traced.

    Returns:
      The last iterate, and whether any iterate, first and last included, is misclassified: bool[B].
    """

    def advance(_, carried):
        place, fooled = carried
        slope, logits = gradient(score, place, label)
        moved = place + step * jnp.sign(slope)
        moved = jnp.clip(jnp.clip(moved, image - epsilon, image + epsilon), 0, 1)
        return moved, fooled | (logits.argmax(-1) != label)

    none = jnp.zeros(label.shape, bool)
    place, fooled = jax.lax.fori_loop(0, steps, advance, (start, none))
    return place, fooled | (score(place).argmax(-1) != label)
