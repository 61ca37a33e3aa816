"""Draws the reliability diagram: accuracy against confidence, and the share of images per bin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.analysis.calibration import Reliability
from cnn_jax.report import colours, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACCURACY, _GAP = colours.BLUE, colours.VERMILLION


def reliability_diagram(found: Mapping[str, Reliability], path: str | os.PathLike[str]) -> bool:
    """Draws one panel per title, such as before and after temperature scaling.

    Returns:
      False, with nothing written, if there is none.
    """
    return figure_style.save(path, build_reliability_diagram, found)


def build_reliability_diagram(found: Mapping[str, Reliability]) -> Figure | None:
    """The figure of `reliability_diagram`, in matplotlib's current style."""
    if not found:
        return None
    figure = figure_style.figure(4.4)
    panels = figure.subplots(
        2, len(found), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
    )
    for (above, below), (title, each) in zip(panels.T, found.items(), strict=True):
        left, width = 100 * each.edges[:-1], 100 * np.diff(each.edges)
        seen = each.counts > 0
        accuracy, confidence = 100 * each.accuracy[seen], 100 * each.confidence[seen]
        bars = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
        above.bar(left[seen], accuracy, width[seen], color=_ACCURACY, label="Accuracy", **bars)
        above.vlines(
            confidence, accuracy, confidence, color=_GAP, linewidth=3, label="Gap to confidence"
        )
        above.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle="--")
        above.set(xlim=(0, 100), ylim=(0, 100), title=f"{title}\nECE {each.ece:.2%}")
        below.bar(left, 100 * each.counts / each.counts.sum(), width, color=colours.GREY, **bars)
        below.set_xlabel("Confidence (%)")
    panels[0, 0].set_ylabel("Accuracy (%)")
    panels[1, 0].set_ylabel("Images (%)")
    # Below the panels: inside, a bar of any height could cover the legend.
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
    return figure
