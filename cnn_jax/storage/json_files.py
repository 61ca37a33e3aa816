"""Writes values as JSON files, atomically."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.storage.files import write_atomically


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes a value as indented JSON, atomically and with its keys in their own order.

    Args:
      path: The file; its folder exists.
      value: Mappings, sequences, strings, numbers, booleans, None; NumPy and JAX scalars and
        arrays become numbers and lists, and a number that is not finite becomes null.

    Raises:
      TypeError: If the value holds anything else.
    """
    text = json.dumps(to_plain(value), indent=2, allow_nan=False, ensure_ascii=False)
    # A lone surrogate, of a name that is no UTF-8, becomes the escape that JSON has for it.
    write_atomically(Path(path), text.encode(errors="backslashreplace") + b"\n")


def to_plain(value: Any) -> Any:
    """Converts a value to JSON's own types; NumPy and JAX values by their `tolist`."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    raise TypeError(f"cannot write {type(value).__name__} {value!r} as JSON")
