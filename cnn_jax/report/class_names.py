"""Class names for figures and tables; a number stands for a name that cannot be drawn.

A class has the same number, its index, in every figure and table.
"""

from collections.abc import Iterable, Sequence

from cnn_jax.report import fonts

MOST_NAMED = 30  # classes whose names fit on an axis
MOST_LISTED = 100  # classes that a table of the terminal lists


def drawn(name: str, classes: Sequence[str] = ()) -> str:
    """The name as figures show it.

    If no installed font has all of its characters, this is the number of the class, such as "#3";
    if it is not one of the classes, each missing character becomes "?".
    """
    if fonts.can_draw(name):
        return name
    if name in classes:
        return f"#{classes.index(name)}"
    return "".join(character if fonts.can_draw(character) else "?" for character in name)


def in_figures(classes: Sequence[str]) -> list[str]:
    """The names as figures show them."""
    fonts.can_draw("".join(classes))  # searches the fonts once for all characters
    return [drawn(name, classes) for name in classes]


def in_tables(classes: Sequence[str]) -> list[str]:
    """The names as tables show them: "#3 cat" if a figure of these classes may show the number."""
    if len(classes) <= MOST_NAMED and fonts.can_draw("".join(classes)):
        return list(classes)
    return [f"#{number} {name}" for number, name in enumerate(classes)]


def note(names: Iterable[str], classes: Sequence[str] = ()) -> str:
    """Explains the signs that `drawn` shows for these names; "" if they are drawn unchanged."""
    changed = [name for name in names if not fonts.can_draw(name)]
    parts = []
    if any(name in classes for name in changed):
        listed = len(classes) <= MOST_LISTED
        where = "the tables of --mode=evaluate" if listed else "evaluation.json, counted from 0"
        parts.append(f"#N: class N in {where}")
    if any(name not in classes for name in changed):
        parts.append("?: a character that no installed font has")
    return "; ".join(parts)
