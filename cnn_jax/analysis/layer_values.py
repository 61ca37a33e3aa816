"""Computes each layer's input, weights and output for an image, from the traced net."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from cnn_jax import ops
from cnn_jax.analysis import structure
from cnn_jax.analysis.activations import Apply, run_changed
from cnn_jax.analysis.layer import Layer, Volume

KINDS = ("conv", "pool", "fc")
Arrays = dict[str, Any]
# The operation that completes a layer, if it follows: biases are added, a sum becomes a mean.
COMPLETES = {"conv": "add", "fc": "add", "pool": "div"}


@dataclasses.dataclass(frozen=True)
class Window:
    """How a layer's windows lie on its input volume; each pair is vertical, then horizontal.

    Attributes:
      size: Height and width in pixels, without the gaps.
      stride: Step from window to window.
      padding: Rows added above, and columns added to the left.
      dilation: Distance of neighbouring pixels in a window.
      groups: Parts of the depth that are convolved separately.
    """

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class LayerValues:
    """A layer and its arrays for one image.

    Attributes:
      layer: The layer.
      window: How its windows lie on its input volume.
      input: f32[H,W,C]; of a fully connected layer the volume whose values it takes.
      output: f32[H',W',D]: sums of products and the biases, or what a pool gives.
      volume: f32[H',W',D]: the output after the norm, the sum and the activation that follow; the
        next layer takes this.
      kernel: f32[h,w,c,D], where a fully connected layer has the window h,w = H,W; None for a
        pool, and for weights in another arrangement.
      biases: f32[D]; zeros for a layer without biases.
    """

    layer: Layer
    window: Window
    input: np.ndarray
    output: np.ndarray
    volume: np.ndarray
    kernel: np.ndarray | None
    biases: np.ndarray


class TracedNet:
    """A net, traced once, that gives the arrays of its layers.

    Args:
      apply: (variables, f32[1,H,W,C]) -> f32[1,K], not jitted; it is traced with stock JAX
        convolutions.
      variables: The variables, or their shapes.
      image_shape: H, W, C.

    Attributes:
      layers: Convolutions, pools and fully connected layers in order of computation. Those inside
        a nested program (a scan, a checkpoint) are left out.
    """

    def __init__(self, apply: Apply, variables: Any, image_shape: Volume):
        image = jax.ShapeDtypeStruct((1, *image_shape), np.float32)
        with ops.stock():  # one primitive for each convolution and pooling
            self._program = jax.make_jaxpr(apply)(variables, image)
        self._image_shape = image.shape
        walk = structure.walk(self._program, variables, image_shape)
        equations = self._program.jaxpr.eqns
        places = {id(equation): place for place, equation in enumerate(equations)}
        found = [
            (layer, places[id(equation)])
            for layer, equation in zip(walk.layers, walk.equations, strict=True)
            if layer.kind in KINDS and id(equation) in places
        ]
        self.layers = tuple(layer for layer, _ in found)
        starts = [place for _, place in found]
        ends = [*starts[1:], len(equations)]
        self._parts = [
            _Part.of(layer.kind, equations[start:end])
            for layer, start, end in zip(self.layers, starts, ends, strict=True)
        ]

    def activations(self, variables: Any, image: jax.Array) -> list[Arrays]:
        """The input, the output and the volume of each of `layers`; jit this.

        Args:
          variables: The variables.
          image: f32[1,H,W,C].
        """
        return self._run([part.computed for part in self._parts], variables, image)

    def weights(self, variables: Any) -> list[Arrays]:
        """The kernel and the biases of each of `layers` that has them; jit this."""
        image = np.zeros(self._image_shape, np.float32)
        return self._run([part.weights for part in self._parts], variables, image)

    def _run(self, wanted: list[dict[str, core.Var]], *arguments: Any) -> list[Arrays]:
        outvars = [variable for each in wanted for variable in each.values()]
        computed = iter(run_changed(self._program, {"outvars": outvars}, *arguments))
        return [{name: next(computed) for name in each} for each in wanted]

    def values(self, number: int, activations: Arrays, weights: Arrays) -> LayerValues:
        """The arrays of `layers[number]` as volumes.

        Args:
          number: Index into `layers`.
          activations: Its entry of `activations`.
          weights: Its entry of `weights`.
        """
        layer, part = self.layers[number], self._parts[number]
        arrays = {
            name: np.asarray(array, np.float32) for name, array in (activations | weights).items()
        }
        given = arrays["input"]
        whole = given.size == math.prod(layer.input)
        volume = given.reshape(layer.input) if whole else given.reshape(1, 1, -1)
        biases = arrays.get("biases", np.zeros(layer.output[2], np.float32))
        return LayerValues(
            layer=layer,
            window=part.window(layer),
            input=volume,
            output=arrays["output"].reshape(layer.output),
            volume=arrays["volume"].reshape(layer.output),
            kernel=part.kernel(arrays.get("kernel"), volume.shape),
            biases=biases.reshape(-1),
        )


@dataclasses.dataclass(frozen=True)
class _Part:
    """The equation of a layer, and the variables of the program that hold its arrays."""

    equation: core.JaxprEqn
    computed: dict[str, core.Var]
    weights: dict[str, core.Var]

    @classmethod
    def of(cls, kind: str, equations: Sequence[core.JaxprEqn]) -> "_Part":
        """The part that begins with the layer's equation and ends before the next layer's."""
        first, *rest = equations
        module = str(first.source_info.name_stack)
        output: Any = first.outvars[0]
        volume, known = output, {output}
        weights: dict[str, Any] = {} if kind == "pool" else {"kernel": first.invars[1]}
        for equation in rest:
            given = [v for v in equation.invars if isinstance(v, core.Var)]
            if known.isdisjoint(given) or len(equation.outvars) != 1:
                continue
            made: Any = equation.outvars[0]
            same_module = str(equation.source_info.name_stack) == module
            if output in given and same_module and equation.primitive.name == COMPLETES[kind]:
                others: list[Any] = [other for other in given if other is not output]
                if kind == "pool":
                    output = made
                elif others and others[0].aval.size == output.aval.shape[-1]:
                    output, weights["biases"] = made, others[0]
            known.add(made)
            if made.aval.shape == volume.aval.shape:
                volume = made
        given_to: Any = first.invars[0]
        return cls(first, {"input": given_to, "output": output, "volume": volume}, weights)

    def kernel(self, kernel: np.ndarray | None, volume: tuple[int, ...]) -> np.ndarray | None:
        """The kernel as f32[h,w,c,D]; None if it is arranged in another way."""
        if kernel is None:
            return None
        numbers = self.equation.params["dimension_numbers"]
        if self.equation.primitive.name == "conv_general_dilated":
            depth_out, depth_in, *sides = numbers.rhs_spec
            return kernel.transpose(*sides, depth_in, depth_out)
        (left, right), _ = numbers
        given: Any = self.equation.invars[0].aval
        last = given.ndim - 1
        if kernel.ndim != 2 or (tuple(left), tuple(right)) != ((last,), (0,)):
            return None
        size = volume if last == 1 else (1, 1, volume[2])  # 3 axes more: at each pixel
        return kernel.reshape(*size, -1)

    def window(self, layer: Layer) -> Window:
        parameters = self.equation.params
        if layer.window is None or layer.stride is None:
            at_each_pixel = layer.kind == "fc" and layer.output[:2] != (1, 1)
            return Window((1, 1) if at_each_pixel else layer.input[:2])
        if self.equation.primitive.name != "conv_general_dilated":
            (top, _), (left, _) = parameters["padding"][1:3]
            return Window(layer.window, layer.stride, (top, left))
        (top, _), (left, _) = parameters["padding"]
        dilation, groups = parameters["rhs_dilation"], parameters["feature_group_count"]
        return Window(layer.window, layer.stride, (top, left), tuple(dilation), groups)
