"""Follows an image through a traced program, and notes the layers that it meets."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend import core

Volume = tuple[int, int, int]


@dataclasses.dataclass
class Layer:
    """One layer with weights, one pooling, or one product of volumes.

    Attributes:
      name: The Flax module's path, or what the pooling is called.
      kind: "conv", "fc", "pool", "product" (of two volumes) or "norm" (any other module with
        parameters).
      window: Height and width of the window in pixels; None where there is none.
      stride: Step of the window; None where there is none.
      input: Height, width and depth of the volume that goes in.
      output: Height, width and depth of the volume that comes out.
      weights: Numbers in the kernel.
      biases: Other numbers that the layer has: biases, scales.
      multiply_adds: Multiplications with a following addition, for one image.
      receptive_field: Height and width, in pixels of the image, of what one output sees.
    """

    name: str
    kind: str
    input: Volume
    output: Volume
    receptive_field: tuple[int, int]
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0

    @property
    def fully_connected_weights(self) -> int:
        """The weights of a fully connected layer between the same two volumes."""
        return math.prod(self.input) * math.prod(self.output)


@dataclasses.dataclass(frozen=True)
class Image:
    """A value computed from the image: each sees `field` pixels; neighbours lie `jump` apart."""

    field: tuple[int, int]
    jump: tuple[int, int]
    volume: Volume


@dataclasses.dataclass(frozen=True)
class Weights:
    """A value computed from these variables alone."""

    paths: frozenset[tuple[str, ...]]


Tag = Image | Weights


class Walk:
    """Follows the image and the variables through a program, and notes the layers."""

    def __init__(self, image_size: tuple[int, int], sizes: dict[tuple[str, ...], int]):
        self.image_size, self.sizes = image_size, sizes
        self.layers: list[Layer] = []
        self._of_module: dict[tuple[str, ...], Layer] = {}
        self._counted: set[tuple[str, ...]] = set()

    def run(self, jaxpr: core.Jaxpr, arguments: Sequence[Tag | None]) -> list[Tag | None]:
        tags: dict[Any, Tag | None] = dict(zip(jaxpr.invars, arguments, strict=True))

        def tag(atom):
            return None if isinstance(atom, core.Literal) else tags.get(atom)

        for equation in jaxpr.eqns:
            inputs = [tag(atom) for atom in equation.invars]
            inner = next(_inner(equation.params), None)
            if inner is not None and equation.primitive.name == "scan":
                outputs = self._scan(equation, inner, inputs)
            elif inner is not None and len(inner.invars) == len(inputs):
                outputs = self.run(inner, inputs)
            else:
                outputs = [self._apply(equation, inputs)] * len(equation.outvars)
            tags.update(zip(equation.outvars, outputs, strict=True))
        return [tag(atom) for atom in jaxpr.outvars]

    def _scan(self, equation, body: core.Jaxpr, inputs: list[Tag | None]) -> list[Tag | None]:
        """The body as often as it is run, each time with its own share of what is stacked."""
        length = equation.params["length"]

        def whole(outer, inner) -> int:
            """How many come whole, not in one part a turn; these are the first."""
            return sum(o.aval.shape == i.aval.shape for o, i in zip(outer, inner, strict=True))

        stacked = whole(equation.invars, body.invars)
        carries = whole(equation.outvars, body.outvars)
        fixed, outputs = inputs[: stacked - carries], inputs[stacked - carries : stacked]
        for turn in range(length):
            parts = [self._share(tag, turn, length) for tag in inputs[stacked:]]
            outputs = self.run(body, [*fixed, *outputs[:carries], *parts])
        return outputs

    def _share(self, tag: Tag | None, turn: int, length: int) -> Tag | None:
        """A turn's part of variables that are stacked for a scan."""
        if not isinstance(tag, Weights):
            return tag
        shares = {}
        for path in tag.paths:
            *module, leaf = path
            module[-1] = f"{module[-1]}[{turn}]"
            shares[(*module, leaf)] = self.sizes[path] // length
        self.sizes |= shares
        return Weights(frozenset(shares))

    def _apply(self, equation, inputs: list[Tag | None]) -> Tag | None:
        images = [t for t in inputs if isinstance(t, Image)]
        paths = frozenset().union(*(t.paths for t in inputs if isinstance(t, Weights)))
        if not images:
            return Weights(paths) if paths else None
        name, shape = equation.primitive.name, equation.outvars[0].aval.shape
        before = Image(
            _pairwise(max, *(i.field for i in images)),
            _pairwise(max, *(i.jump for i in images)),
            images[0].volume,
        )
        if name == "conv_general_dilated":
            return self._convolution(equation, before, paths)
        if name == "dot_general":
            return self._dot(equation, before, paths)
        if name.startswith("reduce_window"):
            return self._pool(equation, before, name)
        if name in ("reduce_max", "reduce_sum") and tuple(equation.params["axes"]) == (1, 2):
            after = Image(self.image_size, before.jump, (1, 1, shape[-1]))
            label = {"reduce_max": "global max", "reduce_sum": "global mean"}[name]
            self._add(label, "pool", before, after)
            return after
        if name == "reshape":
            return before
        after = dataclasses.replace(before, volume=_volume(shape, before.volume))
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
        after = self._slid(
            before,
            reach,
            stride,
            tuple(out[d] for d in (*numbers.out_spec[2:], numbers.out_spec[1])),
        )
        weights = math.prod(kernel)
        products = math.prod(out) * weights // kernel[numbers.rhs_spec[0]]
        self._add_weighted("conv", paths, before, after, weights, products, window, stride)
        return after

    def _dot(self, equation, before: Image, paths) -> Image:
        out = equation.outvars[0].aval.shape
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        products = math.prod(out) * math.prod(left[axis] for axis in contracted)
        if not paths:  # of volumes, as in attention, where each place meets every other
            after = Image(self.image_size, before.jump, _volume(out, before.volume))
            module = str(equation.source_info.name_stack).split("/")[1:]
            name = "/".join(part for part in module if "->" not in part)
            self._add(name, "product", before, after, multiply_adds=products)
            return after
        flat = len(out) == 2
        after = Image(
            self.image_size if flat else before.field,
            before.jump,
            (1, 1, out[-1]) if flat else _volume(out, before.volume),
        )
        weights = math.prod(equation.invars[1].aval.shape)
        self._add_weighted("fc", paths, before, after, weights, products)
        return after

    def _pool(self, equation, before: Image, name: str) -> Image:
        window, stride = (
            tuple(equation.params[key][1:3]) for key in ("window_dimensions", "window_strides")
        )
        after = self._slid(before, window, stride, equation.outvars[0].aval.shape[1:])
        label = "max pool" if name == "reduce_window_max" else "mean pool"
        self._add(label, "pool", before, after, window=window, stride=stride)
        return after

    def _slid(self, before: Image, window, stride, volume) -> Image:
        field = [
            min(field + (size - 1) * jump, whole)
            for field, size, jump, whole in zip(
                before.field, window, before.jump, self.image_size, strict=True
            )
        ]
        return Image(tuple(field), _pairwise(math.prod, before.jump, stride), volume)

    def _add_weighted(
        self, kind, paths, before, after, weights, products, window=None, stride=None
    ):
        module = next(iter(paths))[1:-1] if paths else ()
        layer = self._add("/".join(module), kind, before, after, window=window, stride=stride)
        layer.weights, layer.multiply_adds = weights, products
        self._of_module[module] = layer
        self._counted |= paths

    def _count_parameters(self, paths, before: Image, after: Image) -> None:
        """Counts what meets the image in a sum or a product: biases, and the numbers of norms."""
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
                # Its scale met the statistics of the image first, then its bias the image itself.
                layer.input = layer.output = after.volume

    def _add(self, name, kind, before: Image, after: Image, **more) -> Layer:
        layer = Layer(name, kind, before.volume, after.volume, after.field, **more)
        self.layers.append(layer)
        return layer


def _inner(parameters: dict[str, Any]) -> Iterator[core.Jaxpr]:
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        value = parameters.get(key)
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _pairwise(function, *pairs) -> tuple[int, int]:
    first, second = zip(*pairs, strict=True)
    return function(first), function(second)


def _volume(shape: Sequence[int], before: Volume) -> Volume:
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    return (1, 1, shape[-1]) if len(shape) == 2 and shape[-1] != math.prod(before) else before
