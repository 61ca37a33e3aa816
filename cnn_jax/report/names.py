"""Shortens names for captions and column headers, so that different names stay different."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain

from rich.cells import cell_len

# Names shorter than this many columns have no room for "..." and for a beginning and an end.
_ROOMY = 12
_END = 5  # the last characters, such as "1.png", stay


def shorten(names: Sequence[str], most: int, keys: Sequence[Hashable] | None = None) -> list[str]:
    """Shortens each name to at most `most` columns; a Chinese character fills two.

    A long name loses its middle. Names that would then be equal keep more of their ends; if that is
    not enough, they lose the beginning that they share. As a last resort they are numbered.

    Args:
      names: The names.
      most: Columns of the longest result.
      keys: What each name stands for; by default the name itself. Equal names of different keys
        are numbered.
    """
    keys = names if keys is None else keys
    named = dict(zip(keys, names, strict=True))
    ends = range(_END, most - 2, 2) if most >= _ROOMY else range(most)
    texts: dict[Hashable, str] = {}
    equal = [list(named)]
    for end in ends:
        texts |= {key: _without_middle(named[key], most, end) for key in chain(*equal)}
        equal = _equal(texts)
    for _ in range(3):  # each round splits groups of equal texts into smaller ones
        for group in equal:
            start = _shared([named[key] for key in group])
            if all(start < len(named[key]) for key in group):
                texts |= {key: _without_beginning(named[key], most, start) for key in group}
        equal = _equal(texts)
    taken = set(texts.values())
    for group in equal:
        number = 1
        for key in group:
            while (text := _numbered(named[key], most, number)) in taken:
                number += 1
            texts[key] = text
            taken.add(text)
    return [texts[key] for key in keys]


def _equal(texts: dict[Hashable, str]) -> list[list[Hashable]]:
    """The groups of keys whose texts are equal."""
    groups: dict[str, list[Hashable]] = {}
    for key, text in texts.items():
        groups.setdefault(text, []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def _shared(names: Sequence[str]) -> int:
    """The number of characters that all names begin with."""
    columns = enumerate(zip(*names, strict=False))
    return next((i for i, column in columns if len(set(column)) > 1), min(map(len, names)))


def _without_middle(name: str, most: int, end: int) -> str:
    """The beginning and the last `end` columns; the beginning alone if `end` is 0."""
    if cell_len(name) <= most:
        return name
    if not end:
        return _fitting(name, most)
    last = _fitting(reversed(name), end)[::-1]
    mark = _mark(most)
    return _fitting(name, most - len(mark) - cell_len(last)) + mark + last


def _without_beginning(name: str, most: int, start: int) -> str:
    if cell_len(name) <= most:
        return name
    return _without_middle(_mark(most) + name[start:], most, _END if most >= _ROOMY else 0)


def _numbered(name: str, most: int, number: int) -> str:
    number_text = f"({number})"
    return _without_middle(name, most - len(number_text), 0) + number_text


def _mark(most: int) -> str:
    return "..." if most >= _ROOMY else "."


def _fitting(characters: Iterable[str], columns: int) -> str:
    """The first characters that fill at most `columns` columns."""
    text = ""
    for character in characters:
        if cell_len(text + character) > columns:
            break
        text += character
    return text
