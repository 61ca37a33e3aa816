"""Digital corruptions: (rng, image f32[N,H,W,C] in 0..1, constants) -> f32[N,H,W,C]."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from cnn_jax.robustness.resampling import gaussian, sample


def contrast(rng: np.random.Generator, image: np.ndarray, factor: float) -> np.ndarray:
    """Scales the distance of each value to its channel's mean over the image; nothing random."""
    mean = image.mean((1, 2), keepdims=True)
    return (image - mean) * np.float32(factor) + mean


def saturate(
    rng: np.random.Generator, image: np.ndarray, factor: float, shift: float
) -> np.ndarray:
    """Makes S of HSV `factor` S + `shift`, cut off at 0 and 1, with H and V as they are.

    Each value's distance to the pixel's largest is in proportion to S; grey, whose hue is 0, turns
    reddish. Nothing random; an image of one channel has no S.
    """
    if image.shape[-1] == 1:
        return image
    value = image.max(-1, keepdims=True)
    distance = value - image
    most = distance.max(-1, keepdims=True)
    saturation = most / np.maximum(value, 1e-6)
    made = np.clip(saturation * factor + shift, 0, 1)
    red = np.array([0, 1, 1], np.float32)
    direction = np.where(most > 0, distance / np.maximum(most, 1e-6), red)
    return value * (1 - made * direction)


def elastic_transform(
    rng: np.random.Generator, image: np.ndarray, distance: float, sigma: float, skew: float
) -> np.ndarray:
    """Skews the image, then moves each pixel by smooth noise; bilinear.

    Args:
      rng: Random numbers.
      image: f32[N,H,W,C].
      distance: By what the noise, uniform from -1 to 1 and then blurred, is multiplied: a share of
        the shorter side, as are the two below.
      sigma: Of the blur, a Gaussian cut off at three.
      skew: Three points near the middle are moved, along each axis, by up to so much.
    """
    number, height, width, _ = image.shape
    size = min(height, width)
    middle, reach = np.array([width // 2, height // 2]), size // 3
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-skew * size, skew * size, (number, 3, 2))
    ones = np.ones((number, 3, 1))
    # The map from where the points went back to where they were.
    back = np.linalg.solve(np.concatenate([moved, ones], 2), np.broadcast_to(points, moved.shape))
    y, x = np.mgrid[:height, :width]
    place = np.stack([x, y, np.ones_like(x)], -1) @ back[:, None]
    image = sample(image, place[..., 1], place[..., 0], "reflect")
    noise = rng.uniform(-1, 1, (number, height, width, 2)).astype(np.float32)
    dx, dy = np.moveaxis(distance * size * gaussian(noise, sigma * size, "symmetric", 3), -1, 0)
    return sample(image, y + dy, x + dx, "symmetric")


def pixelate(rng: np.random.Generator, image: np.ndarray, share: float) -> np.ndarray:
    """Shrinks the sides to this share, rounded down, and enlarges again, by boxes."""

    def change(picture: Image.Image) -> Image.Image:
        size = picture.size
        small = picture.resize((int(size[0] * share), int(size[1] * share)), Image.Resampling.BOX)
        return small.resize(size, Image.Resampling.BOX)

    return _by_pillow(image, change)


def jpeg_compression(rng: np.random.Generator, image: np.ndarray, quality: int) -> np.ndarray:
    """Writes and reads a JPEG of this quality, by Pillow."""

    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(image, change)


def _by_pillow(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    pixels = np.round(image * 255).astype(np.uint8)
    shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    made = np.stack([np.asarray(change(Image.fromarray(each))) for each in shown])
    return made.reshape(image.shape).astype(np.float32) / 255
