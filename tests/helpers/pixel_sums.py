"""Blurs, enlargement and colour changes of images, written out pixel by pixel."""

from __future__ import annotations

import colorsys
import math

import numpy as np


def grey(value, number=20):
    """So many even images."""
    return np.full((number, 32, 32, 3), value, np.uint8)


def levels(made):
    """As published: cut off at 0 and 1, and the fraction of a level dropped."""
    return np.clip(made, 0, 1) * 255


def close(made, expected, most=1.0):
    """Within so many levels: a value next to a whole number may fall either way."""
    assert np.abs(made.astype(float) - np.floor(levels(expected) + 1e-9)).max() <= most


def edge(place, size):
    return min(max(place, 0), size - 1)


def symmetric(place, size):
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


def reflect(place, size):
    place = abs(place)
    return place if place < size else 2 * size - 2 - place


def blurred_naively(image, sigma, truncate, outside):
    """A Gaussian, one axis after the other; `outside` says which pixel stands for a place."""
    radius = int(truncate * sigma + 0.5)
    weights = [
        math.exp(-0.5 * (k / sigma) ** 2) if sigma else 1.0 for k in range(-radius, radius + 1)
    ]
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        size = len(image)
        image = np.stack(
            [
                sum(w * image[outside(i + k, size)] for k, w in enumerate(weights, -radius))
                / sum(weights)
                for i in range(size)
            ]
        )
        image = np.moveaxis(image, 0, axis)
    return image


def enlarged(plane, factor):
    """The middle of f[S,S], by linear interpolation row by row and column by column."""
    size = len(plane)
    inner = math.ceil(size / factor)
    first = (size - inner) // 2
    plane = plane[first : first + inner, first : first + inner]
    places = np.linspace(0, inner - 1, round(inner * factor))
    for _ in range(2):
        plane = np.stack([np.interp(places, np.arange(inner), row) for row in plane]).T
    start = (len(places) - size) // 2
    return plane[start : start + size, start : start + size]


def by_hsv(image, change):
    """Each pixel through the standard library's HSV."""
    rows = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p)))
        for p in image.reshape(-1, 3).tolist()
    ]
    return np.array(rows).reshape(image.shape)
