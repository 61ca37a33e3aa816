"""Reads an image file as an array. Pillow is imported only when a file is read."""

from __future__ import annotations

import os
import stat
import warnings
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.errors import UserError, first_line

if TYPE_CHECKING:
    import PIL.Image

# Pillow reads more, but starts another program for some formats, and accepts a truncated JPEG 2000
# file as complete.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip


class BadImage(UserError):
    """A file that can't be read as an image. The message names the file and the reason."""


def read_image(path: str | os.PathLike[str], height: int, width: int, channels: int) -> np.ndarray:
    """Reads an image, resized to cover height x width and cropped to its centre.

    The content decides the format, not the file's name. The image is rotated by its EXIF tag; the
    first frame of an animation is read; transparent pixels become white; 16-bit greyscale keeps its
    scale; CMYK becomes RGB. Colour becomes greyscale by the weights of ITU-R BT.601. Resizing is
    bilinear with antialiasing; an image that has the right size keeps its pixels.

    Args:
      path: The file.
      height: Height of the result, in pixels.
      width: Width of the result, in pixels.
      channels: 3: colour; 1: greyscale.

    Returns:
      u8[height,width,channels].

    Raises:
      BadImage: The file is missing, no image, truncated, damaged, or has more pixels than
        `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise BadImage(f"{path}: not a file")
        if found.st_size == 0:
            raise BadImage(f"{path}: the file is empty")
        with warnings.catch_warnings(), open(path, "rb") as file:
            # Pillow warns of faulty tags, which are harmless, and of decompression bombs.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.open(file, formats=FORMATS).verify()  # the checksums of a PNG
            file.seek(0)
            with Image.open(file, formats=FORMATS) as opened:
                picture = ImageOps.exif_transpose(opened)
                # In these two formats, mode I means 16-bit greyscale.
                if picture.mode.startswith("I;16") or (
                    picture.mode == "I" and opened.format in ("PNG", "PPM")
                ):
                    picture = _eight_bits(picture)
        if picture.mode in ("I", "F"):
            raise BadImage(f"{path}: 32-bit greyscale has no defined scale: convert it")
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{path}: not a picture ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels") from error
    except Exception as error:  # on a damaged file a decoder may raise anything
        reason = getattr(error, "strerror", None) or first_line(error)
        raise BadImage(f"{path}: {reason}") from error
    return np.array(picture, np.uint8).reshape(height, width, channels)


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Converts 16-bit greyscale to 8 bits; the transparent key colour becomes white."""
    from PIL import Image

    values = np.asarray(picture).astype(np.int32)
    grey = (values + 128) // 257
    key = picture.info.get("transparency")
    if key is not None:
        grey = np.where(values == key, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))
