"""The form into which pictures are brought: their size, channels and how they are fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cnn_jax.data.pictures.random_resized_crop import Box

# Chooses a part of a picture, given its height and width in pixels, upright.
Part = Callable[[int, int], Box]


@dataclass(frozen=True)
class PictureForm:
    """The form into which pictures are brought.

    Attributes:
      height: Height of the result, in pixels.
      width: Width of the result, in pixels.
      channels: 3: colour; 1: greyscale.
      fit: What happens to a picture of another aspect ratio. "crop": it is resized to cover the
        result, and cropped to the centre; "pad": it is resized to fit inside, and the rest is
        black; "stretch": its aspect ratio is changed.
      decode: "full": every pixel is decoded; "draft": a JPEG with at least four times the height
        and width of the result is decoded at 1/2, 1/4 or 1/8 of its size, but never at less than
        twice the result's. It is several times faster, and changes pixels slightly.
    """

    height: int
    width: int
    channels: int = 3
    fit: Literal["crop", "pad", "stretch"] = "crop"
    decode: Literal["draft", "full"] = "full"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    def scales(self, height: float, width: float) -> tuple[float, float]:
        """The factors by which a picture's height and width are resized."""
        factors = self.height / height, self.width / width
        if self.fit == "stretch":
            return factors
        factor = max(factors) if self.fit == "crop" else min(factors)
        return factor, factor
