"""What the devices exchange in a training step, counted in the compiled program."""

from __future__ import annotations

import dataclasses
import re

import jax
import pytest

from cnn_jax.experiment import Plan
from cnn_jax.models import ConvNet, QuickNet, ResNet20
from cnn_jax.runtime.parallel import parallel
from cnn_jax.training.state import state_shapes
from cnn_jax.training.tracing import lowered_step

COLLECTIVES = [
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
]


def collectives(program: str) -> dict[str, list[str]]:
    """The shapes that each kind of collective operation returns, by its name in XLA's text."""
    found = {}
    for kind in COLLECTIVES:
        found[kind] = re.findall(rf"= (\S.*?) {kind}(?:-start)?\(", program)
    return {kind: shapes for kind, shapes in found.items() if shapes}


@pytest.mark.parametrize(
    ("model", "norms"),
    [(ResNet20(width=8), 19), (QuickNet(), 4), (ConvNet(), 0)],
    ids=["ResNet20", "QuickNet", "ConvNet"],
)
def test_a_step_exchanges_statistics_and_gradients_only(plan_of, devices, model, norms):
    """No images, no activations: two sums for each sequential BatchNorm, and three for the rest."""
    devices(2)
    plan = plan_of(model=model)
    data = dataclasses.replace(plan.data, image_shape=(32, 32, 3))
    plan = Plan.of(plan.experiment, data)
    program = lowered_step(plan, parallel("jit", 16), state_shapes(plan)).compile().as_text()
    found = collectives(program)
    assert list(found) == ["all-reduce"]
    assert len(found["all-reduce"]) <= 2 * norms + 3
    of_kernels = sum("f32[3,3," in shapes for shapes in found["all-reduce"])
    # On a CPU, the XLA of jax 0.10 drops the barrier before the sum: it sums in one or two.
    assert of_kernels == 1 or (of_kernels == 2 and jax.__version_info__ < (0, 11))
