"""Draws the images of `Shapes`: figures by signed distances, with colour, clutter and noise.

Pixels are computed only with operations that IEEE 754 rounds exactly (+ - * / sqrt, minimum,
maximum) and rounded sines and cosines of whole degrees, so they are equal on all machines.

The signed distances (negative inside, in units of the figure's radius) follow Inigo Quilez,
"2D distance functions", https://iquilezles.org/articles/distfunctions2d/.
"""

from collections.abc import Callable

import numpy as np

CLUTTER = 3  # strokes behind each figure
TILT = 40  # degrees, largest rotation of a figure


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    across, along = np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height)
    outside = _length(np.maximum(across, 0), np.maximum(along, 0))
    return outside + np.minimum(np.maximum(across, along), 0)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Folds the five points onto one edge, by reflections at multiples of 36 degrees."""
    x = np.abs(x)
    for side in (0.809017, -0.809017):
        mirror_x, mirror_y = np.float32(side), np.float32(-0.587785)
        ahead = 2 * np.maximum(mirror_x * x + mirror_y * y, 0)
        x, y = x - ahead * mirror_x, y - ahead * mirror_y
    x, y = np.abs(x), y - np.float32(1.1)
    edge_x, edge_y = np.float32(0.24), np.float32(-0.67)
    along = (x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y)
    along = np.minimum(np.maximum(along, 0), 1)
    distance = _length(x - edge_x * along, y - edge_y * along)
    return np.where(y * edge_x - x * edge_y > 0, distance, -distance)


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.abs(x) * np.float32(0.62), y * np.float32(0.62) + np.float32(0.58)
    lobe = _length(x - np.float32(0.25), y - np.float32(0.75)) - np.float32(0.35355339)
    half = np.maximum(x + y, 0) * np.float32(0.5)
    point = np.minimum(_length(x, y - 1), _length(x - half, y - half))
    point = np.where(x > y, point, -point)
    return np.where(x + y > 1, lobe, point) / np.float32(0.62)


# Signed distance of each figure, by class name: f32[...], f32[...] -> f32[...].
FIGURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: _length(x, y) - np.float32(0.82),
    "square": lambda x, y: _box(x, y, 0.74, 0.74),
    "triangle": lambda x, y: (
        np.maximum(np.float32(0.8660254) * np.abs(x) - np.float32(0.5) * y, y) - np.float32(0.52)
    ),
    "cross": lambda x, y: np.minimum(_box(x, y, 0.98, 0.3), _box(x, y, 0.3, 0.98)),
    "star": _star,
    "heart": _heart,
    "crescent": lambda x, y: np.maximum(
        _length(x, y) - np.float32(0.95), np.float32(0.75) - _length(x - np.float32(0.5), y)
    ),
    "ring": lambda x, y: np.abs(_length(x, y) - np.float32(0.75)) - np.float32(0.2),
    "frame": lambda x, y: np.abs(_box(x, y, 0.66, 0.66)) - np.float32(0.18),
    "bar": lambda x, y: _box(x, y, 0.98, 0.27),
}


def draw(random: np.random.Generator, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws images of figures, with classes as balanced as possible.

    Args:
      random: Random generator.
      number: Number of images.
      size: Height and width in pixels.

    Returns:
      images u8[N,size,size,3] and labels i32[N].
    """
    labels = (np.argsort(random.random(number), kind="stable") % len(FIGURES)).astype(np.int32)
    figure_colour, ground_colour = _colours(random, number)
    image = np.empty((number, size, size, 3), np.float32)
    image[:] = ground_colour[:, None, None, :]
    image += _slope(random, number, size)

    for _ in range(CLUTTER):
        _paint(image, _stroke(random, number, size), _uniform(random, (number, 3), 0, 255))
    _paint(image, _figure(random, labels, size), figure_colour)
    _paint(image, _stroke(random, number, size), ground_colour)

    strength = _uniform(random, (number, 1, 1, 1), 0.03, 0.18)
    first, second = random.integers(0, 256, (2, *image.shape), dtype=np.uint8)
    image += strength * (first.astype(np.float32) - second)
    return (np.clip(image, 0, 255) + np.float32(0.5)).astype(np.uint8), labels


def _uniform(
    random: np.random.Generator, shape: tuple[int, ...], low: float, high: float
) -> np.ndarray:
    return (low + (high - low) * random.random(shape)).astype(np.float32)


def _colours(random: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours of figure and background, f32[N,3] each: the figure is brighter in every channel."""
    brighter = _uniform(random, (number, 1), 80, 170) * _uniform(random, (number, 3), 0.4, 1)
    ground = (255 - brighter) * _uniform(random, (number, 3), 0, 1)
    return ground + brighter, ground


def _grid(number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres, f32[N,size,size] views of x and y."""
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    shape = (number, size, size)
    return np.broadcast_to(centres, shape), np.broadcast_to(centres[:, None], shape)


def _direction(
    random: np.random.Generator, number: int, most: int = 180
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of random whole degrees in -most..most, f32[N,1,1] each."""
    angle = np.arange(-most, most + 1) * (np.pi / 180)
    chosen = random.integers(0, len(angle), (number, 1, 1))
    cosine, sine = np.round(np.cos(angle), 6), np.round(np.sin(angle), 6)
    return cosine[chosen].astype(np.float32), sine[chosen].astype(np.float32)


def _figure(random: np.random.Generator, labels: np.ndarray, size: int) -> np.ndarray:
    """Coverage of each pixel by the figure, f32[N,size,size] in 0..1."""
    number = len(labels)
    radius = _uniform(random, (number, 1, 1), 0.27 * size, 0.4 * size)
    reach = np.float32(0.5) * size - np.float32(0.9) * radius
    shift_x, shift_y = _uniform(random, (2, number, 1, 1), -1, 1) * reach + np.float32(0.5) * size
    cosine, sine = _direction(random, number, TILT)
    x, y = _grid(number, size)
    x, y = (x - shift_x) / radius, (y - shift_y) / radius
    x, y = cosine * x + sine * y, cosine * y - sine * x
    cover = np.empty_like(x)
    for label, distance in enumerate(FIGURES.values()):
        chosen = labels == label
        cover[chosen] = distance(x[chosen], y[chosen])
    return np.clip(np.float32(0.5) - cover * radius, 0, 1)


def _stroke(random: np.random.Generator, number: int, size: int) -> np.ndarray:
    """Coverage of each pixel by a short stroke or a dot, f32[N,size,size] in 0..1."""
    centre_x, centre_y = _uniform(random, (2, number, 1, 1), 0, size)
    half_length = _uniform(random, (number, 1, 1), 0, 0.16 * size)
    half_width = _uniform(random, (number, 1, 1), 0.4, 1.3)
    cosine, sine = _direction(random, number)
    x, y = _grid(number, size)
    x, y = x - centre_x, y - centre_y
    along = cosine * x + sine * y
    beyond = along - np.minimum(np.maximum(along, -half_length), half_length)
    return np.clip(np.float32(0.5) + half_width - _length(beyond, cosine * y - sine * x), 0, 1)


def _slope(random: np.random.Generator, number: int, size: int) -> np.ndarray:
    """A linear brightness gradient of the background, f32[N,size,size,1]."""
    cosine, sine = _direction(random, number)
    strength = _uniform(random, (number, 1, 1), 0, 40 / size)
    x, y = _grid(number, size)
    middle = np.float32(0.5) * size
    return (strength * (cosine * (x - middle) + sine * (y - middle)))[..., None]


def _paint(image: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Blends a colour f32[N,3] into the image in place, by coverage f32[N,size,size]."""
    image += cover[..., None] * (colour[:, None, None, :] - image)
