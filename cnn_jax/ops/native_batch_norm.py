"""BatchNorm's sums over all axes but the channels', in C++ (native/batch_norm.cc), for AVX-512.

XLA reads a volume once for each sum, and one in bfloat16 is first written to memory as float32.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from cnn_jax.native import library


def takes(volume: jax.Array) -> bool:
    """Whether this machine computes the sums of f[...,C] in C++.

    Raises:
      UserError: the library in C++ cannot be used on this machine.
    """
    known = volume.dtype in (jnp.float32, jnp.bfloat16) and volume.size > 0
    return known and bool(library.load().CnnJaxHasAvx512())


def moments(x: jax.Array) -> Sequence[jax.Array]:
    """Returns the mean and the biased variance, E[x^2] - E[x]^2, of f[...,C], each f32[C]."""
    return _call(library.MOMENTS, x)


def norm_gradients(of_y, x, mean, inverse) -> Sequence[jax.Array]:
    """Returns the gradients of scale and bias, each f32[C].

    Args:
      of_y: The gradient of the normalised volume, f[...,C].
      x: The volume, of the same shape and dtype.
      mean: The mean of x, f32[C].
      inverse: The inverse of the standard deviation that x was divided by, f32[C].
    """
    return _call(library.NORM_GRADIENTS, of_y, x, mean, inverse)


def _call(name: str, *arrays: jax.Array) -> Sequence[jax.Array]:
    # Divisions by the number of rows are left to C++: XLA compiles one kernel for equal operations
    # on results of one shape, but one for each constant in them.
    results = [jax.ShapeDtypeStruct(arrays[0].shape[-1:], jnp.float32)] * 2
    return jax.ffi.ffi_call(name, results, vmap_method="sequential")(*arrays)
