"""Colours an attribution map as a picture, as the figures of `--mode=explain` do."""

import numpy as np

MAP = "inferno"  # matplotlib's; its lightness rises evenly, also for the colour-blind


def strength(heat: np.ndarray) -> np.ndarray:
    """A map f[H,W], not negative, scaled to 0..1 from 0 to its 99th percentile."""
    return np.clip(heat / (np.percentile(heat, 99) or heat.max() or 1), 0, 1)


def opacity(scaled: np.ndarray) -> np.ndarray:
    """How much of the image under it a map hides, where it has these strengths."""
    return 0.8 * scaled**0.5


def heat_picture(image: np.ndarray, heat: np.ndarray, over: bool) -> np.ndarray:
    """A map, pixel by pixel and without a frame.

    Args:
      image: u8[H,W,C].
      heat: f[H,W], not negative.
      over: Whether to overlay the map on the grey image, instead of on black.

    Returns:
      u8[H,W,3].
    """
    import matplotlib

    scaled = strength(heat)
    colour = matplotlib.colormaps[MAP](scaled)[..., :3]
    if over:
        hidden = opacity(scaled)[..., None]
        grey = image.astype(np.float32).mean(-1, keepdims=True) / 255
        colour = hidden * colour + (1 - hidden) * grey
    return (colour * 255).round().astype(np.uint8)
