"""Convolution, pooling, activation and normalisation, with gradients that are fast on CPUs.

`form("onednn")` switches to convolutions and sums of BatchNorm in C++, and `stock()` to the
operations of JAX and Flax, which also support forward-mode and higher derivatives:

    with ops.stock():
        jax.jvp(lambda p: loss(p), (params,), (tangent,))

A function traced before keeps its form, because JAX caches by function, hence the new lambda.
"""

from cnn_jax.ops.activation import gelu
from cnn_jax.ops.adaptive_pooling import adaptive_avg_pool
from cnn_jax.ops.batch_norm import Moments, batch_norm, moments
from cnn_jax.ops.convolution import conv_general_dilated
from cnn_jax.ops.forms import fast, form, stock
from cnn_jax.ops.pooling import max_pool
from cnn_jax.ops.response_norm import local_response_norm

__all__ = [
    "Moments",
    "adaptive_avg_pool",
    "batch_norm",
    "conv_general_dilated",
    "fast",
    "form",
    "gelu",
    "local_response_norm",
    "max_pool",
    "moments",
    "stock",
]
