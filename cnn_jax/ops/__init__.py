"""Convolution, pooling and activation, with gradients that are fast on the platform at hand.

`stock()` is the one switch back to the library's own operations, which also have forward-mode
and higher derivatives:

    with ops.stock():
        jax.jvp(lambda p: loss(p), (params,), (tangent,))

What has been traced before keeps its form (JAX caches it by the function), hence the new function.
"""

from cnn_jax.ops.activation import gelu
from cnn_jax.ops.convolution import conv_general_dilated
from cnn_jax.ops.pooling import max_pool
from cnn_jax.ops.switch import fast, stock

__all__ = ["conv_general_dilated", "fast", "gelu", "max_pool", "stock"]
