"""Half precision: the net computes in bfloat16, everything that is kept stays float32."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.models import Airbench94, AllCNN, ConvNeXt, QuickNet, ResNet20, SEResNet
from cnn_jax.optim import SGD, Constant, Muon
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import eval_step, scores, train_step


def with_precision(plan, precision):
    return dataclasses.replace(
        plan, experiment=dataclasses.replace(plan.experiment, precision=precision)
    )


def step_of(plan, dataset):
    """The first step as a function of the state alone."""
    keys, data = streams(0), jax.device_put(Resident.of(dataset.train))
    order = epoch_order(keys.order, 0, len(dataset.train))
    return lambda state: train_step(plan, state, data, order, keys)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.fixture(scope="module")
def plan(plan_of):
    return plan_of(optimizer=SGD(peak_lr=1.0, momentum=0), schedule=Constant())


def test_a_step_agrees_with_float32(plan, dataset, state_of):
    state = state_of(plan)
    moves, losses = [], []
    for precision in ("float32", "bfloat16"):
        after, sums = jax.jit(step_of(with_precision(plan, precision), dataset))(state)
        moves.append(flat(after.params) - flat(state.params))
        losses.append(sums.means()["loss"])
        assert {leaf.dtype.name for leaf in jax.tree.leaves(after.params)} == {"float32"}
        assert {leaf.dtype.name for leaf in jax.tree.leaves(after.batch_stats)} == {"float32"}
    cosine = moves[0] @ moves[1] / np.linalg.norm(moves[0]) / np.linalg.norm(moves[1])
    assert 0.999 < cosine < 1 - 1e-9  # the same step, but for rounding
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("model", [QuickNet(), ResNet20(width=4)], ids=["quicknet", "resnet"])
def test_every_convolution_is_in_half_precision(model, plan_of, dataset, state_of):
    image = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    plan = with_precision(plan_of(model=model, optimizer=Muon()), "bfloat16")
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: plan.model.init(k, x, train=False), key, image)

    def score(variables, image):
        return scores(plan, variables, image, train=True, mutable=["batch_stats"])

    logits, updates = jax.eval_shape(score, variables, image)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype.name for leaf in jax.tree.leaves(updates)} == {"float32"}
    lines = str(jax.jit(score).lower(variables, image).as_text()).splitlines()
    convolved = [line for line in lines if "stablehlo.convolution" in line]
    assert convolved
    assert all("xbf16>" in line and "xf32>" not in line for line in convolved)


class Mine(nn.Module):
    """A user's net: Flax's own layers, with biases."""

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.relu(nn.Dense(8)(nn.Conv(8, (3, 3))(image)))
        return nn.Dense(10)(nn.ConvTranspose(8, (2, 2))(x).mean(axis=(1, 2)))


@pytest.mark.parametrize(
    "model",
    [
        Mine(),
        AllCNN(),
        ConvNeXt(depths=(1,), widths=(16,)),
        SEResNet(blocks=(1,)),
        Airbench94(widths=(8,)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_gradients_summed_over_all_places_agree_with_float32(model, plan_of):
    """Each bias and scale by itself: among all parameters, the kernels' gradients hide them."""
    random = np.random.default_rng(0)
    image = jnp.asarray(random.normal(size=(64, 32, 32, 3)), jnp.float32)
    plan = plan_of(model=model)
    variables = jax.jit(lambda: plan.model.init(jax.random.key(1), image, train=False))()

    def loss(params, planned):
        logits, _ = scores(
            planned,
            {**variables, "params": params},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(2)},
        )
        return jax.nn.log_softmax(logits)[:, 0].mean()

    gradients = []
    for precision in ("float32", "bfloat16"):
        planned = with_precision(plan, precision)
        found = jax.jit(jax.grad(functools.partial(loss, planned=planned)))(variables["params"])
        gradients.append(jax.tree_util.tree_leaves_with_path(found))
    for (path, expected), (_, rounded) in zip(*gradients, strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith(("bias", "scale")):
            share = float((expected * rounded).sum() / (expected * expected).sum())
            assert share == pytest.approx(1, abs=0.06), name


def test_the_scores_of_an_evaluation_are_float32(plan, dataset, state_of):
    state = state_of(plan)
    data, index = jax.device_put(Resident.of(dataset.test)), jnp.arange(8)
    found = [
        eval_step(with_precision(plan, precision), state.variables, data, index)
        for precision in ("float32", "bfloat16")
    ]
    scores_found = [np.asarray(logits) for _, logits in found]
    assert scores_found[1].dtype == np.float32
    np.testing.assert_allclose(*scores_found, atol=0.03 * np.abs(scores_found[0]).max())
    # Not rounded to half precision on the way out: some digits are beyond its eight bits.
    rounded = scores_found[1].astype(jnp.bfloat16).astype(np.float32)
    assert (rounded != scores_found[1]).any()
