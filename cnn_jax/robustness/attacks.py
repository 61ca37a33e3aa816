"""Images made to fool a net within a ball of the largest change of a value (L-infinity), in JAX.

An image is f32[B,H,W,C] of pixels from 0 to 1, and so is what it becomes. `score` is the whole way
from there to the scores f32[B,K], normalisation included; it is differentiated as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

Score = Callable[[jax.Array], jax.Array]


def gradient(score: Score, image: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The gradient of each image's cross-entropy to its pixels, and the scores: label i32[B]."""

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
    """A point of the ball around each image, uniform in every value, cut off at 0 and 1.

    It is drawn from the example's index i32[B], whatever batch it is in.
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
    """Projected gradient descent (Madry et al. 2018, arXiv:1706.06083), upwards on the loss.

    Calls can follow each other: 5 steps from where 5 steps led to are 10 steps.

    Args:
      score: From pixels to scores.
      start: Where it begins: `random_start`, or what an earlier call gave.
      image: The centre of the ball.
      label: i32[B], the right classes.
      epsilon: The ball's radius.
      step: By how much a value changes in a step.
      steps: How many; may be traced.

    Returns:
      Where it ends, and whether any point on the way, start and end included, is given another
      class than its own: bool[B].
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
