"""One picture file as an array. Pillow is imported only when a file is read."""

from __future__ import annotations

import os
import stat
import warnings
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.errors import UserError, first_line

if TYPE_CHECKING:
    import PIL.Image

# Not all that Pillow can read: for some formats it starts another program, and it takes a JPEG 2000
# file that was cut short for a whole one.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What their files are called.
EXTENSIONS = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip


class BadImage(UserError):
    """A file that can't be read as a picture; the one-line message names it and says why."""


def read_image(path: str | os.PathLike[str], height: int, width: int, channels: int) -> np.ndarray:
    """Reads a picture, resized so that it just covers the size, and cut about its centre.

    The format is told by the content, whatever the file's name. A picture is turned upright as its
    EXIF tag says; of an animation the first frame is taken; what is transparent lies on white; grey
    of 16 bits keeps its scale; CMYK becomes RGB. Grey is made of colour by the weights of ITU-R
    BT.601. Resizing is bilinear, over all pixels that one of the result covers; a picture of the
    very size keeps its pixels.

    Args:
      path: The file.
      height: Of the result, in pixels.
      width: Of the result, in pixels.
      channels: 3 for colour, 1 for grey.

    Returns:
      u8[height,width,channels].

    Raises:
      BadImage: no such file, not a picture, cut short, damaged, or of more pixels than
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
            # Pillow warns of a faulty tag, which harms no pixel, and of a bomb.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.open(file, formats=FORMATS).verify()  # the checksums of a PNG
            file.seek(0)
            with Image.open(file, formats=FORMATS) as opened:
                picture = ImageOps.exif_transpose(opened)
                # In these two, whole numbers stand for grey of 16 bits.
                if picture.mode.startswith("I;16") or (
                    picture.mode == "I" and opened.format in ("PNG", "PPM")
                ):
                    picture = _eight_bits(picture)
        if picture.mode in ("I", "F"):
            raise BadImage(f"{path}: what black and white are in pixels of 32 bits is not known")
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
    """Grey of 16 bits as grey of 8; white is what its key colour makes transparent."""
    from PIL import Image

    values = np.asarray(picture).astype(np.int32)
    grey = (values + 128) // 257
    key = picture.info.get("transparency")
    if key is not None:
        grey = np.where(values == key, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))
