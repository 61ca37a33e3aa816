"""Draws a net as a row of blocks, in a picture in which its layers can be found again."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.report import figure_style
from cnn_jax.report.block_figure import DOTS, build_with_rows, save_as, style


@dataclasses.dataclass(frozen=True, eq=False)
class BlockPicture:
    """A drawn net in which layers can be found.

    Attributes:
      picture: u8[h,w,3].
      rows: For each row of blocks its top and bottom, and the layers' indices by the middles of
        their blocks; in pixels.
    """

    picture: np.ndarray
    rows: tuple[tuple[float, float, dict[float, int]], ...]

    def layer(self, x: int, y: int) -> int | None:
        """Index of the layer whose block is nearest in the row at a pixel; None outside."""
        for top, bottom, layers in self.rows:
            if top <= y < bottom and layers:
                return layers[min(layers, key=lambda middle: abs(middle - x))]
        return None


def picture(layers: Sequence[Layer], image_shape: Volume) -> BlockPicture:
    """The picture that `block_figure.draw` draws, without a title."""
    with style():
        figure, rows = build_with_rows(layers, image_shape, "")
        drawn = figure_style.pixels(save_as(figure, "png"))
    height = len(drawn)
    places = []
    for bottom, top, solids in rows:
        middles = {
            DOTS * (solid.left + solid.right) / 2: solid.block.layer
            for solid in solids
            if solid.block.layer is not None
        }
        places.append((height - DOTS * top, height - DOTS * bottom, middles))
    return BlockPicture(drawn, tuple(places))
