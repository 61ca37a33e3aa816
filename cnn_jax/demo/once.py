"""A cached property that is computed once, also if several readers ask for it at the same time."""

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once(functools.cached_property[T]):
    """A `cached_property` whose computation other threads wait for."""

    def __init__(self, compute: Callable[[Any], T]):
        super().__init__(compute)
        self._computing = threading.RLock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        with self._computing:
            return super().__get__(instance, owner)
