"""Convolution and its gradients by their definition, in float64: what the tests compare with."""

from __future__ import annotations

import numpy as np


def _padded(image, padding):
    """The image in zeros; a negative padding takes pixels away."""
    before, after = ([max(pads[side], 0) for pads in padding] for side in (0, 1))
    grown = np.pad(np.asarray(image, float), ((0, 0), *zip(before, after, strict=True), (0, 0)))
    rows, columns = (
        slice(max(-low, 0), length - max(-high, 0))
        for (low, high), length in zip(padding, grown.shape[1:3], strict=True)
    )
    return grown[:, rows, columns]


def _places(image, kernel, strides):
    """For each place of the kernel, where its products' pixels lie in the padded image."""
    height, width = (
        (length - size) // step + 1
        for length, size, step in zip(image.shape[1:3], kernel.shape[:2], strides, strict=True)
    )
    for i, j in np.ndindex(*kernel.shape[:2]):
        rows = slice(i, i + (height - 1) * strides[0] + 1, strides[0])
        columns = slice(j, j + (width - 1) * strides[1] + 1, strides[1])
        yield (i, j), (slice(None), rows, columns)


def _channels(kernel, groups):
    """For each group, its channels of the image and its filters."""
    count, filters = kernel.shape[2], kernel.shape[3] // groups
    for g in range(groups):
        yield slice(g * count, (g + 1) * count), slice(g * filters, (g + 1) * filters)


def convolution(image, kernel, strides, padding, groups=1):
    """f64[B,H',W',K]: at each place of the window, its pixels times the kernel."""
    padded, kernel = _padded(image, padding), np.asarray(kernel, float)
    out = 0.0
    for place, pixels in _places(padded, kernel, strides):
        parts = [
            padded[pixels][..., channels] @ kernel[place][:, filters]
            for channels, filters in _channels(kernel, groups)
        ]
        out = out + np.concatenate(parts, -1)
    return out


def gradients(image, kernel, gradient, strides, padding, groups=1):
    """Those of the image and the kernel: each product gives to its two factors."""
    padded, kernel = _padded(image, padding), np.asarray(kernel, float)
    gradient, to_kernel = np.asarray(gradient, float), np.zeros_like(kernel)
    # On a canvas that holds the image whole, and the padding around it.
    height, width = image.shape[1:3]
    (top, bottom), (left, right) = ((max(a, 0), max(b, 0)) for a, b in padding)
    canvas = np.zeros((len(image), height + top + bottom, width + left + right, image.shape[3]))
    inner = canvas[
        :,
        max(-padding[0][0], 0) : canvas.shape[1] - max(-padding[0][1], 0),
        max(-padding[1][0], 0) : canvas.shape[2] - max(-padding[1][1], 0),
    ]
    for place, pixels in _places(padded, kernel, strides):
        for channels, filters in _channels(kernel, groups):
            seen, given = padded[pixels][..., channels], gradient[..., filters]
            to_kernel[place][:, filters] = np.tensordot(seen, given, ((0, 1, 2), (0, 1, 2)))
            inner[pixels][..., channels] += given @ kernel[place][:, filters].T
    return canvas[:, top : top + height, left : left + width], to_kernel


def error(got, expected) -> float:
    """The largest difference, in standard deviations of what is expected."""
    return float(np.abs(np.asarray(got, float) - expected).max() / np.std(expected))
