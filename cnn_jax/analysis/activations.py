"""Computes a net's activations and the scores that follow from changed activations.

Both come from the traced program, so activations, pools and sums between the modules are included,
and any function of images can be analysed.
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
# Primitives that count as functions, and their names in messages and captions.
STEPS = {
    "reduce_window_max": "max pool",
    "reduce_window_sum": "mean pool",
    "concatenate": "concatenate",
}


@dataclasses.dataclass(frozen=True)
class Volume:
    """The output of one step of a net.

    Attributes:
      module: Path of its Flax module, such as "Block_3/Conv_0"; "": the net itself.
      function: Function or pool that computes it, such as "relu"; "": the module as a whole.
      shape: Height, width and depth.
    """

    module: str
    function: str
    shape: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.module} {self.function}".strip()


class Program:
    """A traced net that can stop at its volumes, or start from one of them.

    A volume f[B,H,W,C] is the output of a module, an activation or a pool from the first
    convolution on. Outputs of 1x1, or of another aspect ratio than the images, are left out.

    Args:
      apply: (variables, f32[B,H,W,C]) -> f32[B,K]; not jitted, since a program is cut between the
        steps of its outermost level. It is traced with stock JAX convolutions.
      variables: The variables, or their shapes.
      images: A batch of images, or its shape.

    Attributes:
      volumes: The volumes in order of computation; empty without a convolution.
    """

    def __init__(self, apply: Apply, variables: Any, images: Any):
        with ops.stock():  # one primitive for each convolution and pooling
            self._program = jax.make_jaxpr(apply)(variables, images)
        found = _volumes(self._program.jaxpr, images.shape)
        self.volumes = tuple(volume for volume, _ in found)
        self._outputs = [output for _, output in found]

    def activations(self, variables: Any, images: jax.Array) -> list[jax.Array]:
        """The activations of these images, f[B,H,W,C] for each of `volumes`."""
        return self._run({"outvars": self._outputs}, variables, images)

    def scores(
        self, number: int, volume: jax.Array, variables: Any, images: jax.Array
    ) -> jax.Array:
        """The scores f32[B,K] with `volumes[number]` replaced by `volume`, f[B,H,W,C]."""
        jaxpr, output = self._program.jaxpr, self._outputs[number]
        rest = [equation for equation in jaxpr.eqns if output not in equation.outvars]
        changes = {"invars": [*jaxpr.invars, output], "eqns": rest}
        return self._run(changes, variables, images, volume)[0]

    def _run(self, changes: dict[str, Any], *arguments: Any) -> list[jax.Array]:
        return run_changed(self._program, changes, *arguments)


def run_changed(
    program: core.ClosedJaxpr, changes: dict[str, Any], *arguments: Any
) -> list[jax.Array]:
    """Runs a traced program of which some fields, such as its `outvars`, are replaced."""
    jaxpr = program.jaxpr
    changed = jaxpr.replace(**changes, debug_info=jaxpr.debug_info.with_unknown_names())
    run = core.jaxpr_as_fun(core.ClosedJaxpr(changed, program.consts))
    return run(*jax.tree.leaves(arguments))


def overview(volumes: Sequence[Volume], most: int) -> list[int]:
    """Indices of at most `most` volumes that show a net from its input to its output.

    If there are more, only the outputs of the outermost modules and of the functions between them
    remain. If those are still too many, convolutions and norms that a function follows are dropped,
    and the rest is sampled at equal distances.
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
    """Each volume computed from images of this shape, and the program's variable that holds it."""
    found: list[tuple[Volume, core.Var]] = []
    of_images, convolved = {jaxpr.invars[-1]}, False
    for equation in jaxpr.eqns:
        if not any(isinstance(v, core.Var) and v in of_images for v in equation.invars):
            continue
        of_images |= set(equation.outvars)
        convolved |= equation.primitive.name == "conv_general_dilated"
        output, *others = equation.outvars
        shape: tuple[int, ...] = getattr(output.aval, "shape", ())
        if not convolved or others or len(shape) != 4 or shape[0] != images[0]:
            continue
        _, height, width, depth = shape
        if height * width == 1 or not _is_picture((height, width), images[1:3]):
            continue
        module, function = _module(equation), _function(equation)
        if not function and found and found[-1][0].module == module:
            # Arithmetic belongs to the module or function before it.
            function = found.pop()[0].function
        elif not function and not module:
            function = equation.primitive.name
        found.append((Volume(module, function, (height, width, depth)), output))
    return found


def _is_picture(size: tuple[int, int], image: Sequence[int]) -> bool:
    """Whether height and width have the image's aspect ratio, to within one pixel.

    Four axes alone are no proof: the axes in attention are images, positions, heads and depth.
    """
    height, width = size
    one_pixel = max(image)
    return abs(height * image[1] - width * image[0]) <= one_pixel


def _module(equation: core.JaxprEqn) -> str:
    # Flax scopes are "Net/Block_3/Conv_0"; the net's own name is left out.
    return str(equation.source_info.name_stack).partition("/")[2]


def _function(equation: core.JaxprEqn) -> str:
    """The name of a pool, or of a function that JAX traces as a nested program, as it does with
    activations; "" for arithmetic."""
    inner = equation.params.get("call_jaxpr") or equation.params.get("jaxpr")
    name = inner.jaxpr.debug_info.func_name if isinstance(inner, core.ClosedJaxpr) else ""
    return STEPS.get(equation.primitive.name) or ("" if name.startswith("_") else name)
