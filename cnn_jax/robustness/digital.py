"""Digital corruptions: (rng, image f64[N,H,W,C] in 0..1, constants) -> f64[N,H,W,C]."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from cnn_jax.robustness.resampling import gaussian, sample


def contrast(rng: np.random.Generator, image: np.ndarray, factor: float) -> np.ndarray:
    """Scales each value's distance to its channel's mean over the image. Deterministic."""
    mean = image.mean((1, 2), keepdims=True)
    return (image - mean) * factor + mean


def saturate(
    rng: np.random.Generator, image: np.ndarray, factor: float, shift: float
) -> np.ndarray:
    """Replaces the saturation S of HSV by `factor` S + `shift`, clipped to 0 and 1.

    The distance of each value to the pixel's largest is proportional to S. Grey has hue 0 and turns
    reddish. Images of one channel are unchanged. Deterministic.
    """
    if image.shape[-1] == 1:
        return image
    value = image.max(-1, keepdims=True)
    distance = value - image
    most = distance.max(-1, keepdims=True)
    saturation = most / np.maximum(value, 1e-6)
    made = np.clip(saturation * factor + shift, 0, 1)
    red = np.array([0, 1, 1])
    direction = np.where(most > 0, distance / np.maximum(most, 1e-6), red)
    return value * (1 - made * direction)


def elastic_transform(
    rng: np.random.Generator, image: np.ndarray, distance: float, sigma: float, skew: float
) -> np.ndarray:
    """Skews the image, then displaces each pixel by smooth noise, with bilinear interpolation.

    Args:
      rng: Random generator.
      image: f64[N,H,W,C].
      distance: Scale of the noise, which is uniform from -1 to 1 and then blurred. This and the
        next two are fractions of the shorter side.
      sigma: Standard deviation of the blur, a Gaussian truncated at 3 sigma.
      skew: Largest displacement, along each axis, of three points near the middle.
    """
    number, height, width, _ = image.shape
    size = min(height, width)
    middle, reach = np.array([width // 2, height // 2]), size // 3
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-skew * size, skew * size, (number, 3, 2))
    ones = np.ones((number, 3, 1))
    # The map from the displaced points back to the points.
    back = np.linalg.solve(np.concatenate([moved, ones], 2), np.broadcast_to(points, moved.shape))
    y, x = np.mgrid[:height, :width]
    place = np.stack([x, y, np.ones_like(x)], -1) @ back[:, None]
    image = sample(image, place[..., 1], place[..., 0], "reflect")
    noise = rng.uniform(-1, 1, (number, height, width, 2))
    dx, dy = np.moveaxis(distance * size * gaussian(noise, sigma * size, "symmetric", 3), -1, 0)
    return sample(image, y + dy, x + dx, "symmetric")


def pixelate(rng: np.random.Generator, image: np.ndarray, share: float) -> np.ndarray:
    """Shrinks the sides to this fraction, rounded down, and enlarges again, with a box filter."""

    def change(picture: Image.Image) -> Image.Image:
        size = picture.size
        small = picture.resize((int(size[0] * share), int(size[1] * share)), Image.Resampling.BOX)
        return small.resize(size, Image.Resampling.BOX)

    return _by_pillow(image, change)


def jpeg_compression(rng: np.random.Generator, image: np.ndarray, quality: int) -> np.ndarray:
    """Encodes and decodes a JPEG of this quality with Pillow."""

    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(image, change)


def _by_pillow(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    pixels = np.round(image * 255).astype(np.uint8)
    shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    made = np.stack([np.asarray(change(Image.fromarray(each))) for each in shown])
    return made.reshape(image.shape) / 255
