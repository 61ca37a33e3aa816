"""Draws how a convolution's windows cover one row of its input, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_jax.report import colours, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 40  # pixels of a row, with its padding, that can be told apart


def build_windows(side: int, window: int, padding: int, stride: int) -> Figure | None:
    """The figure of a row of W pixels and its windows, in matplotlib's current style.

    Args:
      side: W, pixels of the row.
      window: F, pixels of a window.
      padding: P, zeros added at each end.
      stride: S, the step between windows in pixels.

    Returns:
      None if the row with its padding has more than 40 pixels, or no window fits.
    """
    full = side + 2 * padding
    if full > MOST or window > full:
        return None
    starts = range(0, full - window + 1, stride)
    covered = starts[-1] + window
    lanes = min(len(starts), -(-window // stride))  # windows that overlap lie in separate lanes
    figure = figure_style.figure(0.9 + 0.22 * lanes)
    axes = figure.subplots()
    for place in range(full):
        padded = not padding <= place < padding + side
        left_out = place >= covered
        axes.barh(
            0,
            1,
            left=place,
            height=0.8,
            color=colours.VERMILLION if left_out else "white" if padded else colours.SKY,
            edgecolor="#555555",
            linewidth=0.6,
        )
        if padded:
            axes.text(place + 0.5, 0, "0", ha="center", va="center", fontsize=7)
    for number, start in enumerate(starts):
        lane = 1 + 0.5 * (number % lanes)
        axes.barh(lane, window - 0.2, left=start + 0.1, height=0.32, color=colours.BLUE)
    axes.set(xlim=(-0.2, full + 0.2), ylim=(1 + 0.5 * lanes, -0.6), yticks=[], xticks=[])
    axes.spines[:].set_visible(False)
    windows = "1 window" if len(starts) == 1 else f"{len(starts)} windows"
    notes = [f"{windows} of {window}, step {stride}"]
    if covered < full:
        notes.append(f"{full - covered} of the {full} pixels left over (orange)")
    axes.set_title(": ".join(notes), fontsize=9)
    return figure
