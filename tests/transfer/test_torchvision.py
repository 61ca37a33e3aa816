"""torchvision's weights give torchvision's logits, and initialise a net for other classes.

The logits are torchvision's own, recorded by

    TORCH_VENV/bin/python benchmarks/torchvision_reference.py --record \
        > tests/transfer/torchvision_logits.json

The weights are drawn from the names and shapes in that file, every tensor of them.
benchmarks/torchvision_scores.py compares whole nets on large images.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from drawn_state import drawn_images, drawn_state

from cnn_jax import config, models, ops
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError
from cnn_jax.training.state import state_shapes
from cnn_jax.transfer.initial_weights import load_initial_weights, with_initial_weights
from cnn_jax.transfer.torch_weights import from_torch, torch_names

RECORD = json.loads(Path(__file__).with_name("torchvision_logits.json").read_text())
CASES = {case["model"]: case for case in RECORD["cases"]}
# Compiled in half the time: each program here runs once.
FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def nested(arrays: dict[str, np.ndarray]) -> dict:
    """The variables of a net from their paths."""
    variables: dict = {"batch_stats": {}}
    for path, array in arrays.items():
        *modules, leaf = path.split("/")
        place = variables
        for module in modules:
            place = place.setdefault(module, {})
        place[leaf] = array
    return variables


def flat(tree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(p, simple=True, separator="/"): np.asarray(x) for p, x in leaves}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_torchvision_s_and_another_net_gets_all_but_the_last_layer(
    name, plan_of, tmp_path
):
    """The recorded nets have 5 classes, the net that they initialise has 2."""
    file = tmp_path / "state.npz"
    np.savez(file, **drawn_state(CASES[name]["shapes"]))
    images = drawn_images(*CASES[name]["images"])
    plan = plan_of(model=config.from_text(name, NAMES), init_from=str(file))
    facts = dataclasses.replace(plan.data, classes=("cat", "dog"), image_shape=images.shape[1:])
    plan = dataclasses.replace(plan, data=facts, model=plan.model.clone(num_classes=2))
    with ops.stock():  # traced and compiled faster
        given = load_initial_weights(plan)
        shapes = state_shapes(plan)
        scores = jax.jit(
            lambda variables, images: plan.model.clone(num_classes=5).apply(
                variables, images, train=False
            ),
            compiler_options=FAST_COMPILE,
        )(nested(given), images)
    expected = np.array(CASES[name]["logits"])
    assert abs(scores - expected).max() < 1e-4 * expected.std()

    fresh = jax.tree.map(lambda leaf: np.full(leaf.shape, 9, leaf.dtype), shapes)
    begun, said = with_initial_weights(plan, fresh, given)
    state = {"params": begun.params, "batch_stats": begun.batch_stats}
    unchanged = {path for path, leaf in flat(state).items() if (leaf == 9).all()}
    last = next(iter(unchanged)).split("/")[1]
    assert unchanged == {f"params/{last}/bias", f"params/{last}/kernel"}
    assert f"of another shape: params/{last}/bias (5, here 2), params/{last}/kernel (" in said
    assert "fresh" not in said and "left over" not in said


@pytest.mark.parametrize(
    ("make", "indices"),
    [
        (models.ImageNetVGG11, [0, 3, 6, 8, 11, 13, 16, 18]),
        (models.ImageNetVGG13, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]),
        (models.ImageNetVGG16, [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        (models.ImageNetVGG19, [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]),
    ],
)
def test_the_convolutions_of_a_vgg_have_torchvision_s_indices(make, indices):
    """Each is followed by a ReLU, each stage by a pool."""
    classifier = ["classifier.0", "classifier.3", "classifier.6"]
    assert list(torch_names(make())) == [*(f"features.{n}" for n in indices), *classifier]


@pytest.mark.parametrize(("stem", "other"), [("cifar", "imagenet"), ("imagenet", "cifar")])
def test_weights_of_the_other_stem_are_an_error_with_advice(stem, other):
    side = {"cifar": 3, "imagenet": 7}[other]
    shapes = CASES["ResNet18(stem='imagenet')"]["shapes"] | {"conv1.weight": (64, 3, side, side)}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    message = rf"conv1.weight .*\[64, 3, {side}, {side}\].*; set model.stem={other}$"
    with pytest.raises(UserError, match=message):
        from_torch(state, models.ResNet18(stem=stem), (64, 64, 3))
