"""Processes a batch in chunks of a few images, so that intermediate results stay in the cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def map_chunks(function: Callable[..., jax.Array], size: int, *arrays: jax.Array) -> jax.Array:
    """Computes `function(*arrays)` on chunks of up to `size` examples, one after the other.

    If a size above half of `size` divides the batch, chunks have that size. Otherwise the remaining
    examples are a chunk of their own, which is compiled separately.
    """
    whole, rest = _split(size, arrays)
    parts = []
    if whole:
        parts.append(_loop(function, whole))
    if rest:
        parts.append(function(*rest))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def _loop(function: Callable[..., jax.Array], whole: list[jax.Array]) -> jax.Array:
    """Like `lax.map`, but allocates the buffer of results only once the arrays exist.

    `lax.scan` starts from zeros, which XLA allocates at the program's start: the buffers of the
    backward pass would occupy memory during the forward pass.
    """
    first, count = [array[0] for array in whole], len(whole[0])
    shape = jax.eval_shape(function, *first)
    blank = jnp.broadcast_to(whole[0].reshape(-1)[0].astype(shape.dtype), (count, *shape.shape))

    def write(number: jax.Array, results: jax.Array) -> jax.Array:
        chunk = [lax.dynamic_index_in_dim(a, number, keepdims=False) for a in whole]
        return lax.dynamic_update_index_in_dim(results, function(*chunk), number, 0)

    results = lax.fori_loop(0, count, write, blank)
    return results.reshape(-1, *shape.shape[1:])


def sum_chunks(function: Callable[..., jax.Array], size: int, *arrays: jax.Array) -> jax.Array:
    """Sums `function(*arrays)`, f32, over chunks of up to `size` examples, like `map_chunks`."""
    whole, rest = _split(size, arrays)
    if not whole:
        return function(*rest)
    if rest:
        total = function(*rest)
    else:
        shape = jax.eval_shape(function, *(array[0] for array in whole))
        total = jnp.zeros(shape.shape, shape.dtype)
    return lax.scan(lambda t, chunk: (t + function(*chunk), None), total, whole)[0]


def _split(size: int, arrays: tuple[jax.Array, ...]):
    """Returns the arrays as [chunks,size,...] and the remaining examples; None if empty."""
    batch = arrays[0].shape[0]
    size = next((n for n in range(size, size // 2, -1) if batch % n == 0), size)
    chunks, left = divmod(batch, size)
    whole = [a[: chunks * size].reshape(chunks, size, *a.shape[1:]) for a in arrays]
    rest = [a[chunks * size :] for a in arrays]
    return whole if chunks else None, rest if left else None
