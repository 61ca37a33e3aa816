"""Walks through a traced program from the image to the scores and lists the layers on the path."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jax.extend import core

from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.analysis.spans import WHOLE, Spans, union, windows


@dataclasses.dataclass(frozen=True)
class Image:
    """A value computed from the image.

    Attributes:
      sees: The rows and the columns of the image that its entries see.
      volume: Height, width and depth.
      padded: Rows at the bottom and columns at the right that an operation of its own has added.
    """

    sees: Spans
    volume: Volume
    padded: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class Weights:
    """A value computed only from the variables at these paths."""

    paths: frozenset[tuple[str, ...]]


Tag = Image | Weights


class Walk:
    """Propagates tags through a program's equations and collects `layers` in order.

    Args:
      image_size: Height and width of the image.
      sizes: Number of entries of each variable, by its path.

    Attributes:
      layers: The layers.
      equations: The equation that computes each layer, without its biases.
    """

    def __init__(self, image_size: tuple[int, int], sizes: dict[tuple[str, ...], int]):
        self.image_size, self.sizes = image_size, sizes
        self.layers: list[Layer] = []
        self.equations: list[core.JaxprEqn] = []
        self._of_module: dict[tuple[str, ...], Layer] = {}
        self._counted: set[tuple[str, ...]] = set()

    def run(self, jaxpr: core.Jaxpr, arguments: Sequence[Tag | None]) -> list[Tag | None]:
        tags: dict[Any, Tag | None] = dict(zip(jaxpr.invars, arguments, strict=True))

        def tag(atom):
            return None if isinstance(atom, core.Literal) else tags.get(atom)

        for equation in jaxpr.eqns:
            inputs = [tag(atom) for atom in equation.invars]
            inner = _inner(equation.params)
            if inner is not None and equation.primitive.name == "scan":
                outputs = self._scan(equation, inner, inputs)
            elif inner is not None and len(inner.invars) == len(inputs):
                outputs = self.run(inner, inputs)
            else:
                self._equation = equation
                outputs = [self._apply(equation, inputs)] * len(equation.outvars)
            tags.update(zip(equation.outvars, outputs, strict=True))
        return [tag(atom) for atom in jaxpr.outvars]

    def _scan(self, equation, body: core.Jaxpr, inputs: list[Tag | None]) -> list[Tag | None]:
        """Walks through the body once per iteration, with that slice of the stacked inputs."""
        length = equation.params["length"]

        def whole(outer, inner) -> int:
            """Counts the arguments, always the first ones, that are not sliced per iteration."""
            return sum(o.aval.shape == i.aval.shape for o, i in zip(outer, inner, strict=True))

        stacked = whole(equation.invars, body.invars)
        carries = whole(equation.outvars, body.outvars)
        fixed, outputs = inputs[: stacked - carries], inputs[stacked - carries : stacked]
        for iteration in range(length):
            slices = [self._slice(tag, iteration, length) for tag in inputs[stacked:]]
            outputs = self.run(body, [*fixed, *outputs[:carries], *slices])
        return outputs

    def _slice(self, tag: Tag | None, iteration: int, length: int) -> Tag | None:
        if not isinstance(tag, Weights):
            return tag
        slices = {}
        for path in tag.paths:
            *module, leaf = path
            module[-1] = f"{module[-1]}[{iteration}]"
            slices[(*module, leaf)] = self.sizes[path] // length
        self.sizes |= slices
        return Weights(frozenset(slices))

    def _apply(self, equation, inputs: list[Tag | None]) -> Tag | None:
        images = [t for t in inputs if isinstance(t, Image)]
        paths = frozenset().union(*(t.paths for t in inputs if isinstance(t, Weights)))
        if not images:
            return Weights(paths) if paths else None
        if not equation.outvars:  # a debug print of a custom net
            return None
        name, shape = equation.primitive.name, equation.outvars[0].aval.shape
        before = Image(union([i.sees for i in images]), images[0].volume, images[0].padded)
        if name == "conv_general_dilated":
            return self._convolution(equation, before, paths)
        if name == "dot_general":
            return self._dot(equation, before, paths)
        if name.startswith("reduce_window"):
            return self._pool(equation, before)
        if name in ("reduce_max", "reduce_sum") and tuple(equation.params["axes"]) == (1, 2):
            after = Image(WHOLE, (1, 1, shape[-1]))
            self._add(f"global {_pooling(name)}", "pool", before, after)
            return after
        if name == "reshape":
            return before
        after = dataclasses.replace(before, volume=_volume(shape, before.volume))
        if name == "pad" and len(shape) == 4:
            low, high, _ = zip(*equation.params["padding_config"][1:3], strict=True)
            sees, padded = windows(before.sees, low), _pairwise(sum, before.padded, high)
            after = dataclasses.replace(after, sees=sees, padded=padded)
        if name == "slice" and len(shape) == 4:
            left_out = [-start for start in equation.params["start_indices"][1:3]]
            stride = (equation.params["strides"] or (1,) * 4)[1:3]
            after = dataclasses.replace(after, sees=windows(before.sees, left_out, stride=stride))
        self._count_parameters(paths, before, after)
        return after

    def _convolution(self, equation, before: Image, paths) -> Image:
        numbers = equation.params["dimension_numbers"]
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        window = tuple(kernel[d] for d in numbers.rhs_spec[2:])
        stride = tuple(equation.params["window_strides"])
        reach = tuple(
            (size - 1) * dilation + 1
            for size, dilation in zip(window, equation.params["rhs_dilation"], strict=True)
        )
        volume = tuple(out[d] for d in (*numbers.out_spec[2:], numbers.out_spec[1]))
        padding = [low for low, _ in equation.params["padding"]]
        weights = math.prod(kernel)
        return self._add_weighted(
            "conv",
            paths,
            before,
            Image(windows(before.sees, padding, reach, stride), volume),
            window=window,
            stride=stride,
            weights=weights,
            multiply_adds=math.prod(out) * weights // kernel[numbers.rhs_spec[0]],
            uncovered=_uncovered(
                before,
                reach=reach,
                stride=stride,
                padding=equation.params["padding"],
                dilation=equation.params["lhs_dilation"],
            ),
        )

    def _dot(self, equation, before: Image, paths) -> Image:
        out = equation.outvars[0].aval.shape
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        products = math.prod(out) * math.prod(left[axis] for axis in contracted)
        if not paths:  # a product of two volumes, as in attention
            after = Image(WHOLE, _volume(out, before.volume))
            module = str(equation.source_info.name_stack).split("/")[1:]
            name = "/".join(part for part in module if "->" not in part)
            self._add(name, "product", before, after, multiply_adds=products)
            return after
        flat = len(out) == 2
        after = Image(
            WHOLE if flat else before.sees,
            (1, 1, out[-1]) if flat else _volume(out, before.volume),
        )
        weights = math.prod(equation.invars[1].aval.shape)
        return self._add_weighted(
            "fc", paths, before, after, weights=weights, multiply_adds=products
        )

    def _pool(self, equation, before: Image) -> Image:
        window, stride, padding, dilation = (
            tuple(equation.params[key][1:3])
            for key in ("window_dimensions", "window_strides", "padding", "base_dilation")
        )
        low = [before_first for before_first, _ in padding]
        sees = windows(before.sees, low, window, stride)
        after = Image(sees, equation.outvars[0].aval.shape[1:])
        label = f"{_pooling(equation.primitive.name)} pool"
        uncovered = _uncovered(
            before, reach=window, stride=stride, padding=padding, dilation=dilation
        )
        self._add(label, "pool", before, after, window=window, stride=stride, uncovered=uncovered)
        return after

    def _add_weighted(self, kind, paths, before: Image, after: Image, **more) -> Image:
        module = next(iter(paths))[1:-1] if paths else ()
        self._of_module[module] = self._add("/".join(module), kind, before, after, **more)
        self._counted |= paths
        return after

    def _count_parameters(self, paths, before: Image, after: Image) -> None:
        """Counts variables that enter elementwise: biases, and scales and shifts of norms."""
        for path in sorted(paths - self._counted):
            self._counted.add(path)
            if path[0] != "params":
                continue
            module = path[1:-1]
            if module not in self._of_module:
                self._of_module[module] = self._add("/".join(module), "norm", before, after)
            layer = self._of_module[module]
            layer.biases += self.sizes[path]
            if layer.kind == "norm" and math.prod(after.volume) > math.prod(layer.output):
                # The scale was applied to the statistics first; the bias is to the volume itself.
                layer.input = layer.output = after.volume

    def _add(self, name, kind, before: Image, after: Image, **more) -> Layer:
        field = _pairwise(lambda axis: axis[0].side(axis[1]), after.sees, self.image_size)
        layer = Layer(name, kind, before.volume, after.volume, field, sees=after.sees, **more)
        self.layers.append(layer)
        self.equations.append(self._equation)
        return layer


def _uncovered(before: Image, *, reach, stride, padding, dilation) -> tuple[int, int]:
    """Rows and columns at the end of a volume that no window covers; see `Layer`."""
    found = []
    for axis in (0, 1):
        low, high = padding[axis]
        rest = (before.volume[axis] + low + high - reach[axis]) % stride[axis]
        gaps = reach[axis] < stride[axis] or dilation[axis] > 1
        # Padding is at the very end, so it is the first to be left out.
        found.append(0 if gaps else max(0, rest - high - before.padded[axis]))
    return found[0], found[1]


def _inner(parameters: dict[str, Any]) -> core.Jaxpr | None:
    values = (parameters.get(key) for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"))
    jaxprs = (getattr(value, "jaxpr", value) for value in values)
    return next((jaxpr for jaxpr in jaxprs if isinstance(jaxpr, core.Jaxpr)), None)


def _pooling(primitive: str) -> str:
    # JAX computes a mean as a sum and a division.
    return "max" if primitive.endswith("_max") else "mean"


def _pairwise(function, *pairs) -> tuple[int, int]:
    first, second = zip(*pairs, strict=True)
    return function(first), function(second)


def _volume(shape: Sequence[int], before: Volume) -> Volume:
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    return (1, 1, shape[-1]) if len(shape) == 2 and shape[-1] != math.prod(before) else before
