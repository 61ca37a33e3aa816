"""Computes what the page shows of a net's layers and neurons for a picture."""

from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.layer_values import LayerValues, TracedNet
from cnn_jax.analysis.neuron import Neuron, neuron, strongest, weakest
from cnn_jax.analysis.volumes import Row, Table, volumes
from cnn_jax.demo import labels
from cnn_jax.demo.once import Once
from cnn_jax.experiment import Plan
from cnn_jax.report import block_picture, figure_style
from cnn_jax.report.block_picture import BlockPicture
from cnn_jax.report.figures import build_first_layer_filters
from cnn_jax.report.neuron_figure import build_neuron, strongest_slices
from cnn_jax.report.slices import MOST, Slices
from cnn_jax.runs.explanations import scores_of

MOST_VALUES = 512  # of a volume with height and width 1
MOST_FILTERS, MOST_SLICES = 8, 16  # of a layer that takes another layer's volume


class LayerView:
    """The layers of a trained net, and their arrays for any picture.

    Programs are compiled by the first call of `values`.

    Args:
      plan: The run's plan.
      variables: The net's weights (`TrainState.variables`).

    Attributes:
      table: The table that `--mode=volumes` prints.
      layers: The layers to choose from, those of the table whose arrays can be computed.
    """

    def __init__(self, plan: Plan, variables: Any):
        self._plan, self._variables = plan, variables
        self.table: Table = volumes(plan.model, plan.data.image_shape)
        self._net = TracedNet(scores_of(plan), variables, plan.data.image_shape)
        self.layers: tuple[Layer, ...] = self._net.layers
        self._activations = jax.jit(self._net.activations)

    @Once
    def rows(self) -> tuple[Row, ...]:
        """The row of the table for each of `layers`."""
        rest = iter(self.table.rows)
        return tuple(
            next(row for row in rest if (row.name, row.volume) == (layer.name, layer.output))
            for layer in self.layers
        )

    @Once
    def _weights(self) -> list[dict[str, np.ndarray]]:
        # Once, not for every picture: copies of a large net's kernels would take seconds.
        return jax.device_get(jax.jit(self._net.weights)(self._variables))

    def values(self, number: int, picture: np.ndarray) -> LayerValues:
        """The arrays of `layers[number]` for a picture u8[H,W,C]."""
        image = np.asarray(picture, np.float32)[None]
        computed = self._activations(self._variables, image)[number]
        return self._net.values(number, jax.device_get(computed), self._weights[number])

    def slices(self, number: int, picture: np.ndarray) -> np.ndarray:
        """The first channels of a layer's volume for a picture, side by side: u8[h,w]."""
        return self._slices(number).draw(self.values(number, picture).volume)

    def slices_shown(self, number: int) -> int:
        """How many channels `slices` shows."""
        return self._slices(number).count

    def position(self, number: int, x: int, y: int) -> tuple[int, int, int] | None:
        """Row, column and channel at a pixel of `slices`; None between two channels."""
        return self._slices(number).position(x, y)

    def _slices(self, number: int) -> Slices:
        volume = self.layers[number].output
        return Slices(volume, MOST_VALUES if volume[:2] == (1, 1) else MOST)

    def filters(self, number: int) -> tuple[str, np.ndarray] | None:
        """A layer's filters, in colour or as slices, with a title; None for a pool.

        Returns:
          The title, and u8[h,w] or u8[h,w,3].
        """
        blank = np.zeros(self._plan.data.image_shape, np.uint8)
        kernel = self.values(number, blank).kernel
        if kernel is None:
            return None
        if self.layers[number].input == blank.shape and kernel.shape[2] in (1, 3):
            drawn = figure_style.picture(build_first_layer_filters, kernel)
            return None if drawn is None else (labels.FILTERS, drawn)
        _, _, depth, count = kernel.shape
        part = kernel[:, :, :MOST_SLICES, :MOST_FILTERS]
        height, width, slices, filters = part.shape
        rows = part.transpose(0, 1, 3, 2).reshape(height, width, -1)
        # As many slices in a row as a filter has.
        layout = Slices((height, width, rows.shape[2]), rows.shape[2], slices / filters)
        title = labels.filters_of(count, filters, depth, slices)
        return title, layout.draw(rows, signed=True)

    def neurons(
        self, number: int, picture: np.ndarray, position: tuple[int, int, int]
    ) -> list[Neuron]:
        """The neuron at a position, and another one with the same weights.

        The other is where the weights give the largest activation in this picture, or the smallest
        if the first is there already. A layer of one place has no other.

        Args:
          number: Index into `layers`.
          picture: u8[H,W,C].
          position: Row, column and channel, clipped to the volume.
        """
        values = self.values(number, picture)
        row, column, channel = (
            min(max(at, 0), size - 1)
            for at, size in zip(position, values.layer.output, strict=True)
        )
        places = [(row, column, channel)]
        if values.layer.output[:2] != (1, 1):
            best = strongest(values, channel)
            places.append(best if best != places[0] else weakest(values, channel))
        return [neuron(values, place, self._plan.data.image_shape[:2]) for place in places]

    def neuron_pictures(
        self, number: int, picture: np.ndarray, position: tuple[int, int, int]
    ) -> list[np.ndarray]:
        """The neurons of `neurons`, each drawn as u8[h,w,3]."""
        found = self.neurons(number, picture, position)
        shown = strongest_slices(found[0])
        pictures = []
        for one in found:
            last = number == len(self.layers) - 1
            title = labels.neuron_title(self.layers[number], one, last)
            drawn = figure_style.picture(build_neuron, picture, one, shown, title)
            assert drawn is not None
            pictures.append(drawn)
        return pictures

    @Once
    def blocks(self) -> BlockPicture:
        """The row of volumes that `--mode=volumes` draws."""
        return block_picture.picture(self.table.layers, self.table.image_shape)

    def layer_at(self, x: int, y: int) -> int | None:
        """Index into `layers` at a pixel of `blocks`; None outside, and for one not in `layers`."""
        found = self.blocks.layer(x, y)
        return self._in_table.index(found) if found in self._in_table else None

    @Once
    def _in_table(self) -> tuple[int, ...]:
        """The index into `table.layers` of each of `layers`."""
        rest = enumerate(self.table.layers)
        return tuple(
            next(n for n, one in rest if (one.name, one.output) == (layer.name, layer.output))
            for layer in self.layers
        )
