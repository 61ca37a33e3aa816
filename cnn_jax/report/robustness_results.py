"""Shows the results of a robustness evaluation as tables and figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from cnn_jax.data import shifted
from cnn_jax.report import colours, figure_style, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A marker per attack: the lines differ without colour too.
_ATTACKS = {
    "fgsm": ("FGSM", colours.BLUE, "o"),
    "pgd10": ("PGD, 10 steps", colours.ORANGE, "s"),
    "pgd20": ("PGD, 20 steps", colours.VERMILLION, "D"),
}


def to_tables(found: Mapping[str, Any]) -> list[Table]:
    """The tables of the results of `stress`: views, corruptions, other test sets, attacks."""
    clean = f"{found['clean_accuracy']:.1%}"
    views = [[name, f"{value:.2%}"] for name, value in found["views"].items()]
    made = [tables.table(["views", "accuracy"], views)]

    corruptions = found["corruptions"]
    rows = [
        [kind, *(f"{value:.1%}" for value in values), f"{np.mean(values):.1%}"]
        for kind, values in corruptions["accuracy"].items()
    ]
    mean = f"{corruptions['mean_accuracy']:.1%}"
    rows.append([f"mean of the first {corruptions['kinds_in_the_mean']}", *5 * [""], mean])
    left_out = " and ".join(corruptions["left_out"])
    columns = ["corruption, severity", *"12345", "mean"]
    made.append(tables.table(columns, rows, f"Accuracy ({clean} clean), without {left_out}"))

    for dataset, key in shifted.KEYS.items():
        if found.get(key):
            rows = [[name, f"{value:.2%}"] for name, value in found[key].items()]
            made.append(tables.table([shifted.NAMES[dataset], "accuracy"], rows))

    attacks = found["attacks"]["accuracy"]
    rows = [
        [name, *(f"{each[attack]:.1%}" for attack in _ATTACKS)] for name, each in attacks.items()
    ]
    columns = ["L-infinity", *(title for title, *_ in _ATTACKS.values())]
    made.append(tables.table(columns, rows, f"Accuracy under attack ({clean} clean)"))
    return made


def robustness(found: Mapping[str, Any], path: str | os.PathLike[str]) -> bool:
    """Draws the accuracy under each corruption and severity, and under attack."""
    return figure_style.save(path, build_robustness, found)


def build_robustness(found: Mapping[str, Any]) -> Figure | None:
    """The figure of `robustness`, in matplotlib's current style."""
    figure = figure_style.figure(5.4)
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    _draw_corruptions(left, found)
    _draw_attacks(right, found)
    views = "" if found["tta"] == "none" else f", views: {found['tta']}"
    figure.suptitle(f"Accuracy (%) on {found['examples']:,} test images{views}")
    return figure


def _draw_corruptions(axes: Axes, found: Mapping[str, Any]) -> None:
    accuracy = found["corruptions"]["accuracy"]
    clean = 100 * found["clean_accuracy"]
    percent = 100 * np.array([[found["clean_accuracy"], *values] for values in accuracy.values()])
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=max(clean, 1) * 1.1, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > 0.65 * clean else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(np.arange(6), ["clean", *"12345"])
    axes.set_yticks(np.arange(len(accuracy)), [name.replace("_", " ") for name in accuracy])
    mean = found["corruptions"]["mean_accuracy"]
    counted = found["corruptions"]["kinds_in_the_mean"]
    axes.axhline(counted - 0.5, color="white", linewidth=3)
    axes.set(xlabel="Severity")
    axes.set_title(f"Corruptions: mean of the upper {counted} is {mean:.1%}", fontsize=9)


def _draw_attacks(axes: Axes, found: Mapping[str, Any]) -> None:
    accuracy = found["attacks"]["accuracy"]
    clean = 100 * found["clean_accuracy"]
    radii = [0, *(int(name.partition("/")[0]) for name in accuracy)]
    for attack, (title, colour, marker) in _ATTACKS.items():
        values = [clean, *(100 * each[attack] for each in accuracy.values())]
        axes.plot(
            radii, values, color=colour, marker=marker, markersize=4, label=title, clip_on=False
        )
    axes.set(xlim=(0, max(radii)), ylim=(0, 100), xticks=radii)
    axes.set_xlabel("L-infinity radius (of 255)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.legend(frameon=False)
    axes.set_title("Attacks", fontsize=9)


def corruption_examples(
    shown: Mapping[str, Sequence[np.ndarray]], path: str | os.PathLike[str]
) -> bool:
    """Draws an image under each kind of corruption.

    Args:
      shown: By kind, the image u8[H,W,C] clean and at severities 1 to 5.
      path: The PNG file.
    """
    return figure_style.save(path, build_corruption_examples, shown)


def build_corruption_examples(shown: Mapping[str, Sequence[np.ndarray]]) -> Figure | None:
    """The figure of `corruption_examples`: two columns of kinds, severities from left to right."""
    if not shown:
        return None
    kinds = list(shown)
    half = -(-len(kinds) // 2)
    figure = figure_style.figure(0.42 * half + 0.5)
    for axes, part in zip(figure.subplots(1, 2), (kinds[:half], kinds[half:]), strict=True):
        rows = [np.concatenate([_framed(image) for image in shown[kind]], 1) for kind in part]
        blank = np.full_like(_framed(shown[kinds[0]][0]), 255)
        rows += [np.concatenate([blank] * len(shown[kinds[0]]), 1)] * (half - len(part))
        mosaic = np.concatenate(rows).squeeze()
        axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        height, width = blank.shape[:2]
        axes.set_yticks(
            height * (np.arange(len(part)) + 0.5), [kind.replace("_", " ") for kind in part]
        )
        columns = len(shown[kinds[0]])
        axes.set_xticks(width * (np.arange(columns) + 0.5), ["clean", *map(str, range(1, columns))])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _framed(image: np.ndarray) -> np.ndarray:
    """The image with a white border of two pixels."""
    return np.pad(image, ((2, 2), (2, 2), (0, 0)), constant_values=255)
