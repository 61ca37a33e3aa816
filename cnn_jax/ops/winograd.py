"""Winograd's algorithm for convolutions of stride 1, which needs fewer multiplications.

Lavin and Gray 2016 (arXiv:1509.09308). The output is divided into tiles of m x m pixels, each of
which depends on n x n pixels of the image, n = m + r - 1 for an r x r kernel. Kernel and tiles are
transformed to n^2 points, at which a convolution is one product: n^2 multiplications instead of
m^2 r^2. The channels are contracted by n^2 matrix products. F(4,3) needs a quarter of the
multiplications. In float32, its largest error over the shapes of common nets is 3.2e-5 standard
deviations of the result (benchmarks/winograd_error.py).
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.ops import xla
from cnn_jax.ops.chunks import map_chunks, sum_chunks
from cnn_jax.ops.windows import NONE, Padding, pad

# Interpolation points besides infinity, ordered for low rounding errors: for F(4,3), 1/2 and -2
# have two thirds of the error of 2 and -2.
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
# Largest n by bytes per value. Half precision is accurate enough for few points only.
LARGEST_TILE = {2: 4, 4: len(POINTS) + 1}
# Bytes of the tiles of a chunk of images: a share of a CPU's last-level cache.
CHUNK_BYTES = 8 * 2**20


@functools.cache
def matrices(m: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns A^T f64[m,n], G f64[n,r] and B^T f64[n,n] of y = A^T [(G g) * (B^T d)].

    y: m outputs of the correlation of n = m + r - 1 inputs d with r weights g, by Toom and Cook's
    multiplication of polynomials through their values at n points, one of them infinity.
    """
    n = m + r - 1
    points = POINTS[: n - 1]
    basis = [_product_without(points, i) for i in range(n)]
    scale = [math.prod((p - q for q in points if q != p), start=Fraction(1)) for p in points]
    outputs = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    kernel = [[p**j / s for j in range(r)] for p, s in zip(points, scale, strict=True)]
    kernel.append([Fraction(j == r - 1) for j in range(r)])
    inputs = [row + [Fraction(0)] * (n - len(row)) for row in basis]
    return np.array(outputs, float), np.array(kernel, float), np.array(inputs, float)


def _product_without(points: Sequence[Fraction], i: int) -> list[Fraction]:
    """Coefficients, lowest first, of the product of all x - p except the i-th."""
    product = [Fraction(1)]
    for point in (*points[:i], *points[i + 1 :]):
        shifted = [Fraction(0), *product]
        product = [s - point * c for s, c in zip(shifted, [*product, Fraction(0)], strict=True)]
    return product


def tile(side: Sequence[int], r: int, itemsize: int) -> int:
    """Returns the tile size m >= 2 with the fewest multiplications for an output of these sides."""
    largest = LARGEST_TILE[itemsize] - r + 1
    return min(
        range(2, largest + 1), key=lambda m: math.prod(-(-s // m) for s in side) * (m + r - 1) ** 2
    )


def takes(shape: Sequence[int], itemsize: int) -> bool:
    """Whether the algorithm supports a kernel of this shape (HWIO) and bytes per value."""
    return shape[0] == shape[1] and 2 < shape[0] < LARGEST_TILE[itemsize]


def convolve(image: jax.Array, kernel: jax.Array, padding: Padding, groups: int = 1) -> jax.Array:
    """Convolves f[B,H,W,C], f[r,r,C/G,K] -> f[B,H',W',K] with stride 1 and sums in float32."""
    r, dtype = kernel.shape[0], image.dtype
    side = [s + sum(pads) - r + 1 for s, pads in zip(image.shape[1:3], padding, strict=True)]
    m = tile(side, r, dtype.itemsize)
    outputs, weights, inputs = matrices(m, r)
    n, (depth, filters) = m + r - 1, (kernel.shape[2], kernel.shape[3] // groups)
    tiles = [-(-s // m) for s in side]
    factors = _sandwich(weights, kernel).reshape(n * n, depth, groups, filters)
    factors = factors.swapaxes(1, 2).reshape(-1, depth, filters).astype(dtype)

    def convolve_chunk(images):
        points = _points(inputs, _apart(images, groups), m, tiles, padding)
        products = lax.dot_general(
            points.reshape(len(factors), -1, depth),
            factors,
            (((2,), (1,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        ).reshape(n, n, -1, *tiles, filters)
        # From [n,n,B,y,x,K] over [n,B,y,x,m,K] to [B,y,m,x,m,K], the order of the pixels.
        columns = _combined(outputs, products, dtype, axis=4)
        pixels = _combined(outputs, columns, dtype, axis=2)
        whole = pixels.reshape(-1, tiles[0] * m, tiles[1] * m, filters)
        return _together(whole[:, : side[0], : side[1]], groups)

    return map_chunks(convolve_chunk, _chunk(n, tiles, groups * (depth + filters)), image)


def kernel_gradient(
    image: jax.Array, gradient: jax.Array, r: int, padding: Padding, groups: int = 1
) -> jax.Array:
    """Returns the kernel's gradient f32[r,r,C/G,K] from the output's gradient f[B,H',W',K].

    It correlates image and gradient: each tile has r x r outputs of an m x m kernel.
    """
    side = gradient.shape[1:3]
    m = tile(side, r, image.dtype.itemsize)
    outputs, weights, inputs = matrices(r, m)
    n, depth, filters = m + r - 1, image.shape[3] // groups, gradient.shape[3] // groups
    tiles = [-(-s // m) for s in side]

    def gradient_chunk(images, gradients):
        values = _points(inputs, _apart(images, groups), m, tiles, padding)
        factors = _points(weights, _apart(gradients, groups), m, tiles, NONE)
        values = values.reshape(n * n * groups, -1, depth).swapaxes(1, 2)
        if xla.NEW:
            # Otherwise XLA merges the transposition into the product.
            values = lax.optimization_barrier(values)
        return lax.dot_general(
            values,
            factors.reshape(n * n * groups, -1, filters),
            (((2,), (1,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        )

    # Each chunk reads and writes the sum: with many channels, chunks are larger.
    least = 4 * n * n * groups * depth * filters
    chunk = _chunk(n, tiles, groups * (depth + filters), least)
    products = sum_chunks(gradient_chunk, chunk, image, gradient)
    products = products.reshape(n, n, groups, depth, filters).swapaxes(2, 3)
    return _sandwich(outputs, products.reshape(n, n, depth, -1))


def _apart(images: jax.Array, groups: int) -> jax.Array:
    """The channels of each group as images of their own: f[B,H,W,C] -> f[G*B,H,W,C/G]."""
    if groups == 1:
        return images
    split = images.reshape(*images.shape[:3], groups, -1)
    return jnp.moveaxis(split, 3, 0).reshape(-1, *images.shape[1:3], split.shape[4])


def _together(images: jax.Array, groups: int) -> jax.Array:
    """The inverse of `_apart`: f[G*B,H,W,C/G] -> f[B,H,W,C]."""
    if groups == 1:
        return images
    split = images.reshape(groups, -1, *images.shape[1:])
    return jnp.moveaxis(split, 0, 3).reshape(*split.shape[1:4], -1)


def _chunk(n: int, tiles: Sequence[int], depth: int, least: int = 0) -> int:
    """Number of images whose points, four bytes each, fit into CHUNK_BYTES, or `least` bytes."""
    return max(1, max(CHUNK_BYTES, least) // (4 * n * n * math.prod(tiles) * depth))


def _sandwich(matrix: np.ndarray, kernel: jax.Array) -> jax.Array:
    """M k M^T over the first two axes, which swap: f[a,b,C,K] -> f32[j,i,C,K].

    One matrix product: XLA takes up to ten times as long for sums that it stacks.
    """
    n, length = matrix.shape
    both = np.einsum("ia,jb->jiab", matrix, matrix).reshape(n * n, length * length)
    values = kernel.reshape(length * length, -1).astype(jnp.float32)
    return (jnp.asarray(both, jnp.float32) @ values).reshape(n, n, *kernel.shape[2:])


def _points(matrix, image, m: int, tiles: Sequence[int], padding: Padding) -> jax.Array:
    """Transforms the image's tiles, m pixels apart, to points: f[B,H,W,C] -> f[n*n,B*y*x,C].

    One pass over rows and one over columns. Each stacks its results, which ends an XLA fusion, so
    that nothing is computed twice.
    """
    points, window = matrix.shape
    rows, columns = ((count - 1) * m + window for count in tiles)
    (top, _), (left, _) = padding
    height, width = image.shape[1:3]
    image = pad(image, ((top, rows - height - top), (left, columns - width - left)))
    for axis, count in ((1, tiles[0]), (3, tiles[1])):
        reach = (count - 1) * m + 1
        places = [lax.slice_in_dim(image, i, i + reach, m, axis) for i in range(window)]
        image = _combined(matrix, places, image.dtype)
    return image.reshape(points * points, -1, image.shape[-1])


def _combined(matrix: np.ndarray, terms, dtype, axis: int = 0) -> jax.Array:
    """Stacks sum_j M[i,j] terms[j] over i along a new axis."""

    def combination(row):
        parts = [np.float32(c) * terms[j].astype(jnp.float32) for j, c in enumerate(row) if c]
        return functools.reduce(jnp.add, parts).astype(dtype)

    return jnp.stack([combination(row) for row in matrix], axis)
