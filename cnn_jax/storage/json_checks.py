"""Schema checks for JSON read from disk. Uses only the standard library."""

import json
import math
from types import NoneType
from typing import Any

NUMBER = (int, float)
NUMBER_OR_NULL = (int, float, NoneType)


def loads(text: bytes) -> Any:
    """Like `json.loads`, but raises ValueError if the text is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def fault(content: object, /, **kinds: Any) -> str:
    """Describes the first violation of a schema by a JSON object; "" if there is none.

    Args:
      content: The parsed JSON.
      **kinds: Type, or types, of the value of each required key. Numbers must be finite as floats.
    """
    if not isinstance(content, dict):
        return "it is not a JSON object"
    for key, kind in kinds.items():
        if key not in content:
            return f"it has no {key}"
        value = content[key]
        # In Python, True is an int.
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if wrong or (isinstance(value, NUMBER) and not _finite(value)):
            return f"its {key} can't be {value!r:.60}"
    return ""


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond the range of floats
        return False
