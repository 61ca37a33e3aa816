"""Renders a net's table of volumes for the terminal and as Markdown."""

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table as RichTable

from cnn_jax.analysis.volumes import Row, Table
from cnn_jax.errors import shape_text
from cnn_jax.report.folding import folded

# Characters in a line: more than any table needs, so that no number is cut.
WIDEST = 200
# Wider tables have one space between columns instead of two.
USUAL = 80
# Wider tables have large numbers rounded in the last column.
WIDE = 100
# Longer tables are folded: first equal layers, then blocks, then stages.
MOST_LINES = 24
COLUMNS = (
    "layer",
    "kind",
    "volume",
    "values",
    "weights",
    "biases",
    "multiply-adds",
    "receptive field",
    "weights if fully connected",
)
HEADERS = (
    *COLUMNS[:6],
    "multiply-\nadds",
    "recep-\ntive\nfield",
    "weights\nif fully\nconnected",
)


def to_markdown(table: Table) -> str:
    """The table in Markdown, numbers right-aligned, the totals last."""
    *rows, last = _text(table, exactly)
    total = [f"**{cell}**" if cell else "" for cell in last]
    rule = ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (COLUMNS, rule, *rows, total))


def to_rich(table: Table) -> RichTable:
    """The table for rich's console; if it is wide, the last column is rounded."""
    rows = _text(table, exactly)
    if _width(rows, gap=1) > WIDE:
        rows = _text(table, roughly)
    made = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        padding=0 if _width(rows, gap=2) > USUAL else (0, 1),
    )
    for place, header in enumerate(HEADERS):
        made.add_column(
            header, justify="right" if place > 1 else "left", vertical="bottom", no_wrap=True
        )
    *lines, total = rows
    for row in lines:
        made.add_row(*row)
    made.add_section()
    made.add_row(*total, style="bold")
    return made


def exactly(number: int) -> str:
    """Writes a count with all its digits: 62,679,681,536."""
    return f"{number:,}"


def roughly(number: int) -> str:
    """Writes a count with three digits if it has more than nine: 6.27e+10."""
    return exactly(number) if number < 1e9 else f"{number:.2e}"


def _width(rows: Sequence[Sequence[str]], *, gap: int) -> int:
    """Characters in a line of the printed table, with this many between columns."""
    headers = [max(map(len, header.split("\n"))) for header in HEADERS]
    cells = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(map(max, headers, cells)) + gap * (len(HEADERS) - 1)


def _lines(table: Table) -> Sequence[Row]:
    """The rows, folded."""
    return folded(table.rows, MOST_LINES)


def _text(table: Table, full: Callable[[int], str]) -> list[list[str]]:
    """The cells of each row, then of the totals; `full` writes the weights of full connection."""
    return [*(_cells(row, full) for row in _lines(table)), _total(table, full)]


def _cells(row: Row, full: Callable[[int], str]) -> list[str]:
    counts = (row.values, row.weights, row.biases, row.multiply_adds)
    return [
        row.name,
        row.what,
        shape_text(row.volume),
        *(f"{count:,}" if count else "" for count in counts),
        shape_text(row.receptive_field or ()),
        full(row.fully_connected) if row.fully_connected is not None else "",
    ]


def _total(table: Table, full: Callable[[int], str]) -> list[str]:
    numbers = (table.values, table.weights, table.biases, table.multiply_adds)
    return ["total", "", "", *(f"{n:,}" for n in numbers), "", full(table.fully_connected)]


def notes(table: Table) -> list[str]:
    """Explains the signs that the table uses, and what it shows of memory and of strides."""
    whats = [row.what for row in _lines(table)]
    used = {
        "/2: stride 2.": any("/2" in what for what in whats),
        "+: a shortcut beside the layers above it.": any("+" in what for what in whats),
        "2 x: two equal layers, their numbers added.": any(" x " in what for what in whats),
        "2 layers: of one block, their numbers added.": any("layers" in what for what in whats),
        "2 blocks: with equal height and width, their numbers added.": any(
            "blocks" in what for what in whats
        ),
        "Biases count the scales and shifts of norms.": any(
            layer.kind == "norm" for layer in table.layers
        ),
    }
    megabytes = 4 * table.values / 1e6
    remarks = [
        f"The {table.values:,} values of one image take {megabytes:.3g} MB in float32; training "
        "keeps about twice as many, with their gradients."
    ]
    for layer in table.layers:
        if any(layer.uncovered):
            down, across = layer.uncovered
            remarks.append(
                f"{layer.name}: the stride does not fit {shape_text(layer.input[:2])}; no window "
                f"covers the last rows and columns ({down} and {across})."
            )
    return [note for note, is_used in used.items() if is_used] + remarks
