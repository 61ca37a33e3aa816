"""Twenty-eight picture files as users have them: odd but good ones, and ones that can't be read."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """u8[H,W,3]: red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = columns * 255 // max(width - 1, 1)
    image[..., 1] = rows * 255 // max(height - 1, 1)
    return image


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def bomb() -> bytes:
    """A PNG of a few bytes that says that it is 60,000 pixels high and wide."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")


def write_good(folder: Path) -> list[Path]:
    """Writes files that can be read; their paths."""
    rgb = Image.fromarray(picture())
    grey16 = Image.fromarray((picture()[..., 0].astype(np.uint16)) * 257)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # orientation: a quarter turn
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(picture()[..., 1]))
    files = {
        "plain.png": encoded(rgb, "PNG"),
        "plain.jpg": encoded(rgb, "JPEG"),
        "UPPER.JPEG": encoded(rgb, "JPEG"),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "turned.jpg": encoded(rgb, "JPEG", exif=rotated),
        "palette.png": encoded(rgb.quantize(16), "PNG"),
        "see_through_palette.png": encoded(rgb.quantize(16), "PNG", transparency=0),
        "alpha.png": encoded(alpha, "PNG"),
        "grey_alpha.png": encoded(alpha.convert("LA"), "PNG"),
        "grey.png": encoded(rgb.convert("L"), "PNG"),
        "grey16.png": encoded(grey16, "PNG"),
        "one_bit.png": encoded(rgb.convert("1"), "PNG"),
        "two_frames.gif": encoded(rgb, "GIF", save_all=True, append_images=[rgb.rotate(180)]),
        "web.webp": encoded(rgb, "WEBP", lossless=True),
        "scan.tiff": encoded(rgb, "TIFF"),
        "old.bmp": encoded(rgb, "BMP"),
        "really_a_png.jpg": encoded(rgb, "PNG"),
        "one_pixel.png": encoded(rgb.crop((0, 0, 1, 1)), "PNG"),
        "strip.png": encoded(rgb.resize((2000, 3)), "PNG"),
        "name with spaces, \u00fc and \u732b.png": encoded(rgb, "PNG"),
        "$x^$ [b]tags[b] \udcff.png": encoded(rgb, "PNG"),
    }
    return [_written(folder / name, content) for name, content in files.items()]


def write_bad(folder: Path) -> list[Path]:
    """Writes files that can't be read; their paths."""
    whole = encoded(Image.fromarray(picture()), "PNG")
    files = {
        "empty.png": b"",
        "text.png": b"this is no picture\n",
        "cut_short.png": whole[: len(whole) // 2],
        "cut_short.jpg": encoded(Image.fromarray(picture(300, 300)), "JPEG")[:2000],
        "bomb.png": bomb(),
        "notes.txt": b"to do: label the pictures\n",
    }
    return [_written(folder / name, content) for name, content in files.items()]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
