"""Draws a benchmark: the time of a step's parts, epoch time by data size, speed by batch size."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnn_jax.report import colours, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(result: Mapping[str, Any], path: str | os.PathLike[str]) -> bool:
    """Draws the content of `benchmark.json` to a PNG file; returns whether it was drawn."""
    return figure_style.save(path, build, result)


def build(result: Mapping[str, Any]) -> Figure:
    """The figure of `draw`, in matplotlib's current style."""
    sizes = result["batch_sizes"]
    made = figure_style.figure(5.4 if sizes else 3.0)
    if sizes:
        places: Any = made.subplot_mosaic([["parts", "epochs"], ["sizes", "sizes"]])
        _draw_sizes(places["sizes"], sizes)
    else:
        places = made.subplot_mosaic([["parts", "epochs"]])
    _draw_parts(places["parts"], result["parts"], 1e-3 * result["train_step_ms_p50"])
    _draw_epochs(places["epochs"], result["epochs"])
    made.suptitle(
        f"{result['model']} on {result['dataset']}, batch {result['batch_size']}, "
        f"{result['precision']}\n{result['device']}"
    )
    return made


def _draw_parts(axes: Axes, parts: Sequence[Mapping[str, Any]], step: float) -> None:
    rows = [*((row["part"], 1e3 * row["seconds"], colours.BLUE) for row in parts)]
    rows.insert(_parts_of_step(parts), ("whole step", 1e3 * step, colours.VERMILLION))
    names, lengths, fills = zip(*rows, strict=True)
    bars = axes.barh(names, [max(length, 0) for length in lengths], color=fills, height=0.7)
    axes.bar_label(bars, [_short(length) for length in lengths], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(lengths))
    axes.set_xlabel("Milliseconds per step")
    axes.tick_params(axis="y", length=0)


def _parts_of_step(parts: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["of_step"] for row in parts)


def _draw_epochs(axes: Axes, epochs: Sequence[Mapping[str, Any]]) -> None:
    data = [row["data"] for row in epochs]
    seconds = [row["epoch_seconds"] for row in epochs]
    axes.plot(
        [0, data[-1]], [0, data[-1] * seconds[0] / data[0]], "--", color=colours.GREY, linewidth=1
    )
    axes.plot(data, seconds, "o", color=colours.BLUE, clip_on=False)
    for x, y in zip(data, seconds, strict=True):
        axes.annotate(f"{_short(y)} s", (x, y), (-5, 5), textcoords="offset points", ha="right")
    axes.set_xticks(data, [f"{x}x" for x in data])
    axes.set_xlim(-0.1 * data[-1], 1.05 * data[-1])  # room for the first label
    axes.set_ylim(0, max(seconds) * 1.15)
    axes.set_xlabel("Training data (dashed: proportional)")
    axes.set_ylabel("Seconds per epoch")


def _draw_sizes(axes: Axes, sizes: Sequence[Mapping[str, Any]]) -> None:
    names = [f"{row['batch_size']:,}" for row in sizes]
    speeds = [row["train_images_per_second"] for row in sizes]
    bars = axes.bar(names, speeds, color=colours.BLUE, width=0.6)
    axes.bar_label(bars, [f"{speed:,.0f}" for speed in speeds], padding=2, fontsize=8)
    axes.set_ylim(0, 1.12 * max(speeds))
    axes.set_xlabel("Batch size")
    axes.set_ylabel("Training images per second")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
