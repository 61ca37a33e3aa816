"""What has been read from JSON, held to what will be asked of it. The standard library only."""

from __future__ import annotations

from types import NoneType
from typing import Any

NUMBER = (int, float)
NUMBER_OR_NULL = (int, float, NoneType)


def fault(content: object, **kinds: Any) -> str:
    """What is wrong with an object of JSON; "" if nothing.

    Args:
      content: As `json.loads` gives it.
      **kinds: The keys that it must have, and the type, or the types, of their values.
    """
    if not isinstance(content, dict):
        return "it is no JSON object"
    for key, kind in kinds.items():
        if key not in content:
            return f"it has no {key}"
        value = content[key]
        # True is an int to Python, and none to a reader.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return f"its {key} can't be {value!r:.60}"
    return ""
