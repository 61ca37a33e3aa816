"""Blurs, zooms and interpolates images in NumPy; the building blocks of corruptions.

Edge modes are those of `np.pad`: "edge" repeats the last pixel, "reflect" mirrors the image about
it, "symmetric" about its outer side.
"""

import math

import numpy as np


def levels(image: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1 as whole levels from 0 to 255, rounded down: f64[...] -> f64[...]."""
    # 1e-9 keeps whole levels that float64 represents slightly too small.
    return np.floor(image * 255 + 1e-9)


def separable(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A matrix on either side of each channel: f64[N,H,W,C], [H',H], [W',W] -> f64[N,H',W',C]."""
    planes = image.transpose(0, 3, 1, 2)
    made = rows @ planes @ columns.T
    return made.transpose(0, 2, 3, 1)


def gaussian_matrix(size: int, sigma: float, mode: str, truncate: float = 4.0) -> np.ndarray:
    """The matrix f64[S,S] of a Gaussian blur along one axis, truncated at `truncate` sigmas."""
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-9)) ** 2)
    source = np.pad(np.arange(size), radius, mode=mode)  # type: ignore[call-overload]
    matrix = np.zeros((size, size))
    for place, weight in enumerate(weights / weights.sum()):
        matrix[np.arange(size), source[place : place + size]] += weight
    return matrix


def gaussian(image: np.ndarray, sigma: float, mode: str = "edge", truncate: float = 4.0):
    """Blurs f64[N,H,W,C] along both axes."""
    rows, columns = (gaussian_matrix(size, sigma, mode, truncate) for size in image.shape[1:3])
    return separable(image, rows, columns)


def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """The matrix f64[S,S] that enlarges the middle of one axis by linear interpolation.

    The middle ceil(S / factor) pixels become round(that * factor) with aligned ends, of which the
    middle S are kept.
    """
    inner = math.ceil(size / factor)
    outer = round(inner * factor)
    place = np.arange(outer) * ((inner - 1) / max(outer - 1, 1))
    below = np.minimum(place.astype(int), max(inner - 2, 0))
    first = (size - inner) // 2
    matrix = np.zeros((outer, size))
    matrix[np.arange(outer), first + below] += 1 - (place - below)
    matrix[np.arange(outer), np.minimum(first + below + 1, size - 1)] += place - below
    start = (outer - size) // 2
    return matrix[start : start + size]


def zoom(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarges the middle of images f64[N,H,W,C] to the whole image."""
    return separable(image, *(zoom_matrix(size, factor) for size in image.shape[1:3]))


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlates f64[N,H,W,C] with a kernel f[k,k], in mode "reflect".

    Zeros of the kernel take no time.
    """
    _, height, width, _ = image.shape
    edge = len(kernel) // 2
    padded = np.pad(image, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="reflect")
    made = np.zeros(image.shape)
    for top, left in np.argwhere(kernel):
        part = padded[:, top : top + height, left : left + width]
        made += kernel[top, left] * part
    return made


def sample(image: np.ndarray, y: np.ndarray, x: np.ndarray, mode: str) -> np.ndarray:
    """Interpolates images bilinearly.

    Args:
      image: f64[N,H,W,C].
      y: f[N,H',W'], rows, at most a height outside the image.
      x: f[N,H',W'], columns, at most a width outside the image.
      mode: Edge mode.

    Returns:
      f64[N,H',W',C].
    """
    number, height, width, _ = image.shape
    each = np.arange(number)[:, None, None]
    rows, columns = (
        np.pad(np.arange(size), size + 1, mode=mode)  # type: ignore[call-overload]
        for size in (height, width)
    )
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    made = np.zeros((*y.shape, image.shape[3]))
    for down, share_y in ((0, 1 - (y - top)), (1, y - top)):
        for right, share_x in ((0, 1 - (x - left)), (1, x - left)):
            row, column = rows[top + down + height + 1], columns[left + right + width + 1]
            made += (share_y * share_x)[..., None] * image[each, row, column]
    return made
