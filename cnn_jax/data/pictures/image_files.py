"""Reads a picture file as an array. Pillow is imported only when a file is read."""

from __future__ import annotations

import contextlib
import ctypes
import io
import math
import os
import stat
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from cnn_jax.data.pictures.picture_form import Part, PictureForm
from cnn_jax.data.pictures.picture_formats import formats
from cnn_jax.data.pictures.random_resized_crop import Box
from cnn_jax.errors import UserError, first_line

if TYPE_CHECKING:
    import PIL.Image

# A JPEG is decoded at a lower scale if that still has at least so many times the pixels' side.
DRAFT_MARGIN = 2


class BadImage(UserError):
    """A file that can't be read as a picture. The message names the file and the reason."""


class Decoded(NamedTuple):
    """A picture in the wanted form, and the size that it had.

    Attributes:
      image: u8[H,W,C].
      height: Height of the picture, upright, in pixels.
      width: Width of the picture, upright, in pixels.
    """

    image: np.ndarray
    height: int
    width: int


def read_image(path: str | os.PathLike[str], form: PictureForm) -> np.ndarray:
    """Reads a picture as u8[height,width,channels].

    The content decides the format, not the file's name. The picture is rotated by its EXIF tag; the
    first frame of an animation is read; transparent pixels become white; 16-bit greyscale keeps its
    scale; CMYK becomes RGB. Colour becomes greyscale by the weights of ITU-R BT.601. Resizing is
    bilinear with antialiasing; a picture that has the right size keeps its pixels.

    Raises:
      BadImage: The file is missing, no picture, truncated, damaged, or has more than twice
        `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb).
    """
    with quietly():
        return decode(path, form).image


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """A block in which Pillow and libtiff do not print warnings of faulty tags, which are harmless.

    Python's filter of warnings belongs to all threads, so a block in one thread surrounds others.
    """
    from PIL import _imaging

    # libtiff writes to the process's stderr, without the name of a file.
    with contextlib.suppress(AttributeError, OSError):  # a build without libtiff
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(
    path: str | os.PathLike[str],
    form: PictureForm,
    *,
    part: Part | None = None,
    verify: bool = True,
    most_pixels: int | None = None,
) -> Decoded:
    """Reads a picture like `read_image`; may be called in several threads, inside `quietly`.

    Args:
      path: The file.
      form: The form of the result.
      part: Chooses a part of the picture, which is resized to the form's size; None: `form.fit`.
      verify: Whether to compare a PNG with its checksums first.
      most_pixels: Larger pictures are refused before they are decoded; None: those that Pillow
        refuses.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise BadImage(f"{path}: not a file")
        if found.st_size == 0:
            raise BadImage(f"{path}: the file is empty")
        with open(path, "rb") as file:
            if most_pixels:
                _check_pixels(file, str(path), most_pixels)
            return _decode_file(file, str(path), form, part, verify)
    except OSError as error:
        raise BadImage(f"{path}: {_reason(error)}") from error


def decode_bytes(content: bytes, name: str, form: PictureForm, part: Part | None = None) -> Decoded:
    """Decodes a picture in memory like `decode`, without its checksums, if any.

    Args:
      content: A picture's file, from storage that has verified it.
      name: What the message of a `BadImage` starts with.
      form: The form of the result.
      part: As in `decode`.
    """
    return _decode_file(io.BytesIO(content), name, form, part, verify=False)


def _decode_file(
    file: BinaryIO, name: str, form: PictureForm, part: Part | None, verify: bool
) -> Decoded:
    from PIL import Image, UnidentifiedImageError

    try:
        with _opened(file, verify) as picture:
            height, width = _upright_size(picture)
            box = part(height, width) if part else None
            scales = form.scales(height, width)
            if box:
                scales = form.height / box.height, form.width / box.width
            if form.decode == "draft":
                _draft(picture, scales, height, width)
            picture.load()
            picture = _plain(name, picture, form.channels)
        if box:
            image = _resized_part(picture, box, (height, width), form)
        else:
            image = _fitted(picture, form)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{name}: not a picture ({', '.join(formats())})") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise BadImage(f"{name}: more than {most:,} pixels: reduce it") from error
    except MemoryError as error:
        raise BadImage(f"{name}: not enough memory is free") from error
    except Exception as error:  # on a damaged file a decoder may raise anything
        raise BadImage(f"{name}: {_reason(error)}") from error
    return Decoded(np.array(image, np.uint8).reshape(form.shape), height, width)


def _check_pixels(file: BinaryIO, name: str, most: int) -> None:
    """Raises BadImage if the header states more pixels; another fault is left to the decoder."""
    from PIL import Image

    pixels = 0
    with contextlib.suppress(Exception), Image.open(file, formats=formats()) as picture:
        pixels = picture.height * picture.width
    if pixels > most:
        raise BadImage(f"{name}: more than {most:,} pixels: reduce it")
    file.seek(0)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # Pillow raises these itself, with a message for people; others escape from a decoder.
    named = "" if isinstance(error, OSError | ValueError | SyntaxError) else type(error).__name__
    inner = ": ".join(filter(None, [named, first_line(error)]))
    return f"the file is damaged ({inner})"


@contextlib.contextmanager
def _opened(file: BinaryIO, verify: bool) -> Iterator[PIL.Image.Image]:
    from PIL import Image

    with Image.open(file, formats=formats()) as picture:
        checked = not verify or picture.format != "PNG"
        if not checked:
            picture.verify()  # its checksums, which decoding ignores; it must be opened again
        else:
            yield picture
    if not checked:
        file.seek(0)
        with Image.open(file, formats=formats()) as picture:
            yield picture


def _upright_size(picture: PIL.Image.Image) -> tuple[int, int]:
    """Height and width once the picture is rotated by its EXIF tag."""
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return picture.size if turned else (picture.height, picture.width)


def _draft(picture: PIL.Image.Image, scales: tuple[float, float], height: int, width: int) -> None:
    """Lets a JPEG be decoded at a lower scale; does nothing to other formats."""
    vertical, horizontal = scales
    least = [
        math.ceil(DRAFT_MARGIN * side * scale)
        for side, scale in ((width, horizontal), (height, vertical))
    ]
    if (picture.height, picture.width) != (height, width):
        least.reverse()
    picture.draft(None, (max(1, least[0]), max(1, least[1])))


def _plain(name: str, picture: PIL.Image.Image, channels: int) -> PIL.Image.Image:
    """The loaded picture, upright, on white, in mode L or RGB."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(picture, in_place=True)
    # In these two formats, mode I means 16-bit greyscale.
    if picture.mode.startswith("I;16") or (
        picture.mode == "I" and picture.format in ("PNG", "PPM")
    ):
        picture = _eight_bits(picture)
    if picture.mode in ("I", "F"):
        raise BadImage(f"{name}: 32-bit greyscale has no defined scale: convert it")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _resized_part(
    picture: PIL.Image.Image, box: Box, size: tuple[int, int], form: PictureForm
) -> PIL.Image.Image:
    """A part of a picture that had this size, and may be decoded at a lower scale."""
    from PIL import Image

    down, across = picture.height / size[0], picture.width / size[1]
    corners = (
        round(box.left * across),
        round(box.top * down),
        max(round((box.left + box.width) * across), round(box.left * across) + 1),
        max(round((box.top + box.height) * down), round(box.top * down) + 1),
    )
    return picture.crop(corners).resize((form.width, form.height), Image.Resampling.BILINEAR)


def _fitted(picture: PIL.Image.Image, form: PictureForm) -> PIL.Image.Image:
    from PIL import Image, ImageOps

    size, bilinear = (form.width, form.height), Image.Resampling.BILINEAR
    if form.fit == "crop":
        return ImageOps.fit(picture, size, bilinear)
    if form.fit == "pad":
        return ImageOps.pad(picture, size, bilinear)
    return picture.resize(size, bilinear)


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Converts 16-bit greyscale to 8 bits; the transparent key colour becomes white."""
    from PIL import Image

    values = np.asarray(picture).astype(np.int32)
    grey = (values + 128) // 257
    key = picture.info.get("transparency")
    if key is not None:
        grey = np.where(values == key, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))
