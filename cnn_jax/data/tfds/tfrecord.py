"""Reads TFRecord files, and verifies their checksums, without TensorFlow.

A file is a sequence of records. A record is its length (u64), the masked CRC-32C of these 8 bytes
(u32), its bytes, and the masked CRC-32C of its bytes (u32), all little-endian.
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK = 0xA282EAD8


class RecordDamaged(Exception):
    """A record fails its checksum, or the file ends within it. The message says where."""


def read_records(path: Path, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yields the records number `start` to `stop` (excluded; None: all) of a file.

    Raises:
      RecordDamaged: A checksum is wrong, or the file is cut short.
      OSError: The file can't be read.
    """
    with open(path, "rb") as file:
        yield from itertools.islice(_records(file), start, stop)


def _records(file: BinaryIO) -> Iterator[bytes]:
    import google_crc32c

    def verify(content: bytes, masked: int, place: int) -> None:
        checksum = google_crc32c.value(content)
        rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
        if (rotated + _MASK) & 0xFFFFFFFF != masked:
            raise RecordDamaged(f"wrong checksum at byte {place:,}")

    while True:
        place = file.tell()
        header = file.read(_HEADER.size)
        if not header:
            return
        if len(header) < _HEADER.size:
            raise RecordDamaged(f"cut short at byte {place + len(header):,}")
        length, checksum = _HEADER.unpack(header)
        verify(header[:8], checksum, place)
        content = file.read(length)
        footer = file.read(_FOOTER.size)
        if len(content) < length or len(footer) < _FOOTER.size:
            raise RecordDamaged(f"cut short at byte {file.tell():,}")
        (checksum,) = _FOOTER.unpack(footer)
        verify(content, checksum, place + _HEADER.size)
        yield content
