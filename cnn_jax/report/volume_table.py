"""Renders a net's table of volumes for the terminal and as Markdown."""

from collections.abc import Sequence

from rich import box
from rich.table import Table as RichTable

from cnn_jax.analysis.volumes import Row, Table
from cnn_jax.errors import shape_text
from cnn_jax.report.folding import folded

# Characters in a line: more than any table needs, so that no number is cut.
WIDEST = 200
# Wider tables have no space between columns.
USUAL = 100
# Longer tables are folded: first equal layers, then blocks, then stages.
MOST_LINES = 24
COLUMNS = (
    "layer",
    "kind",
    "volume",
    "weights",
    "biases",
    "multiply-adds",
    "receptive field",
    "weights if fully connected",
)
HEADERS = (
    *COLUMNS[:5],
    "multiply-\nadds",
    "recep-\ntive\nfield",
    "weights\nif fully\nconnected",
)


def to_markdown(table: Table) -> str:
    """The table in Markdown, numbers right-aligned, the totals last."""
    rows = [_cells(row) for row in _lines(table)]
    total = [f"**{cell}**" if cell else "" for cell in _total(table)]
    rule = ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (COLUMNS, rule, *rows, total))


def to_rich(table: Table) -> RichTable:
    """The table for rich's console."""
    rows = [_cells(row) for row in _lines(table)]
    total = _total(table)
    width = sum(max(map(len, column)) + 2 for column in zip(*rows, total, strict=True))
    padding = 0 if width > USUAL else (0, 1)
    made = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        padding=padding,
    )
    for place, header in enumerate(HEADERS):
        made.add_column(
            header, justify="right" if place > 1 else "left", vertical="bottom", no_wrap=True
        )
    for row in rows:
        made.add_row(*row)
    made.add_section()
    made.add_row(*total, style="bold")
    return made


def _lines(table: Table) -> Sequence[Row]:
    """The rows, folded."""
    return folded(table.rows, MOST_LINES)


def _cells(row: Row) -> list[str]:
    counts = (row.weights, row.biases, row.multiply_adds)
    return [
        row.name,
        row.what,
        shape_text(row.volume),
        *(f"{count:,}" if count else "" for count in counts),
        shape_text(row.receptive_field or ()),
        f"{row.fully_connected:,}" if row.fully_connected is not None else "",
    ]


def _total(table: Table) -> list[str]:
    numbers = (table.weights, table.biases, table.multiply_adds)
    return ["total", "", "", *(f"{n:,}" for n in numbers), "", f"{table.fully_connected:,}"]


def notes(table: Table) -> list[str]:
    """Explains the signs that the table uses."""
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
    return [note for note, is_used in used.items() if is_used]
