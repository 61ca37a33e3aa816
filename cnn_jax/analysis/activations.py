"""The volumes that a net makes on its way from images to scores: to look at, and to cut it at.

They are read off the traced program, like the layers of structure.py, so that what a net does
between its modules (activations, pools, sums) counts too, and any function of images will do.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from cnn_jax import ops

Apply = Callable[[Any, jax.Array], jax.Array]
# Primitives that are steps of their own, and what they are called.
STEPS = {
    "reduce_window_max": "max pool",
    "reduce_window_sum": "mean pool",
    "concatenate": "concatenate",
}


@dataclasses.dataclass(frozen=True)
class Volume:
    """What one step of a net makes of an image.

    Attributes:
      module: Path of the Flax module that makes it, such as "Block_3/Conv_0"; "": the net itself.
      function: Which function or pool makes it there, such as "relu"; "": the module as a whole.
      shape: Height, width and depth.
    """

    module: str
    function: str
    shape: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.module} {self.function}".strip()


class Program:
    """A net as a program that stops at its volumes, or starts from one of them.

    A volume f[B,H,W,C] is what a module, an activation or a pool makes of the images, from the
    first convolution on; what has a height and width of one, or of another shape than the images,
    is no volume here.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K]; not jitted, since a program is cut between the
        steps of its outermost level. It is traced with the library's own convolutions.
      variables: What it is applied to, or their shapes.
      images: Images of the size and the number that it is applied to, or their shape.

    Attributes:
      volumes: In the order of the program; empty where there is no convolution.
    """

    def __init__(self, apply: Apply, variables: Any, images: Any):
        with ops.stock():  # one primitive for each convolution and pooling
            self._program = jax.make_jaxpr(apply)(variables, images)
        found = _volumes(self._program.jaxpr, images.shape)
        self.volumes = tuple(volume for volume, _ in found)
        self._places = [place for _, place in found]

    def activations(self, variables: Any, images: jax.Array) -> list[jax.Array]:
        """The volumes of these images, f[B,H,W,C] each."""
        return self._run({"outvars": self._places}, variables, images)

    def scores(
        self, number: int, volume: jax.Array, variables: Any, images: jax.Array
    ) -> jax.Array:
        """The scores f32[B,K], were the volume of this number f[B,H,W,C] the given one."""
        jaxpr, place = self._program.jaxpr, self._places[number]
        rest = [equation for equation in jaxpr.eqns if place not in equation.outvars]
        changes = {"invars": [*jaxpr.invars, place], "eqns": rest}
        return self._run(changes, variables, images, volume)[0]

    def _run(self, changes: dict[str, Any], *arguments: Any) -> list[jax.Array]:
        jaxpr = self._program.jaxpr
        names = jaxpr.debug_info.with_unknown_names()
        changed = core.ClosedJaxpr(jaxpr.replace(**changes, debug_info=names), self._program.consts)
        return core.jaxpr_as_fun(changed)(*jax.tree.leaves(arguments))


def overview(volumes: Sequence[Volume], most: int) -> list[int]:
    """The numbers of at most so many volumes that show a net from its start to its end.

    All, or else what its outermost modules and the functions between them make. If those are still
    too many, convolutions and norms whose result a function takes up are left out, and of what
    remains as many are taken at equal distances.
    """
    if len(volumes) <= most:
        return list(range(len(volumes)))

    def outermost(number: int) -> str | int:
        return volumes[number].module.partition("/")[0] or number

    runs = [list(run) for _, run in itertools.groupby(range(len(volumes)), outermost)]
    if len(runs) > most:
        runs = [run for run in runs if len(run) > 1 or volumes[run[0]].function] or runs
    evenly = np.linspace(0, len(runs) - 1, min(most, len(runs))).round().astype(int)
    return [runs[number][-1] for number in evenly]


def _volumes(jaxpr: core.Jaxpr, images: Sequence[int]) -> list[tuple[Volume, core.Var]]:
    """Each volume made of images of this shape, and the program's variable that holds it."""
    found: list[tuple[Volume, core.Var]] = []
    of_images, convolved = {jaxpr.invars[-1]}, False
    for equation in jaxpr.eqns:
        if not any(isinstance(v, core.Var) and v in of_images for v in equation.invars):
            continue
        of_images |= set(equation.outvars)
        convolved |= equation.primitive.name == "conv_general_dilated"
        place, *others = equation.outvars
        shape: tuple[int, ...] = getattr(place.aval, "shape", ())
        if not convolved or others or len(shape) != 4 or shape[0] != images[0]:
            continue
        _, height, width, depth = shape
        if height * width == 1 or not _is_picture((height, width), images[1:3]):
            continue
        module, function = _module(equation), _function(equation)
        if not function and found and found[-1][0].module == module:
            # Arithmetic goes on with what the module or the function before it has begun.
            function = found.pop()[0].function
        elif not function and not module:
            function = equation.primitive.name
        found.append((Volume(module, function, (height, width, depth)), place))
    return found


def _is_picture(size: tuple[int, int], image: Sequence[int]) -> bool:
    """Whether these are height and width in the image's proportion, give or take a pixel.

    Four axes alone don't tell: those of attention are images, places, heads, depth.
    """
    height, width = size
    one_pixel = max(image)
    return abs(height * image[1] - width * image[0]) <= one_pixel


def _module(equation: core.JaxprEqn) -> str:
    """The scope that Flax gives a module's equations, without the net's own name."""
    return str(equation.source_info.name_stack).partition("/")[2]


def _function(equation: core.JaxprEqn) -> str:
    """The name of a pool, or of a function that JAX traces as a program of its own, as it does
    activations; "" for arithmetic."""
    inner = equation.params.get("call_jaxpr") or equation.params.get("jaxpr")
    name = inner.jaxpr.debug_info.func_name if isinstance(inner, core.ClosedJaxpr) else ""
    return STEPS.get(equation.primitive.name) or ("" if name.startswith("_") else name)
