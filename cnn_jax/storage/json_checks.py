"""What has been read from JSON, held to what will be asked of it. The standard library only."""

from __future__ import annotations

import json
import math
from types import NoneType
from typing import Any

NUMBER = (int, float)
NUMBER_OR_NULL = (int, float, NoneType)


def loads(text: bytes) -> Any:
    """As `json.loads`, for which it is no ValueError that a text is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def fault(content: object, /, **kinds: Any) -> str:
    """What is wrong with an object of JSON; "" if nothing.

    Args:
      content: As `json.loads` gives it.
      **kinds: The keys that it must have, and the type, or the types, of their values. A number
        must be finite, and one that a float can hold.
    """
    if not isinstance(content, dict):
        return "it is no JSON object"
    for key, kind in kinds.items():
        if key not in content:
            return f"it has no {key}"
        value = content[key]
        # True is an int to Python, and none to a reader.
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if wrong or (isinstance(value, NUMBER) and not _finite(value)):
            return f"its {key} can't be {value!r:.60}"
    return ""


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int that no float can hold
        return False
