"""Gradient rules: examples by hand, simulated devices, and the training step."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.batch import Batch
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.models import ConvNet
from cnn_jax.optim import ASAM, SAM, SGD, Accumulate, Constant, Plain
from cnn_jax.runtime.parallel import parallel
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step, unchanged


def batch_of(*images) -> Batch:
    """A batch whose images are single numbers."""
    number = len(images)
    return Batch(
        image=jnp.array(images, jnp.float32),
        label=jnp.zeros(number, jnp.int32),
        index=jnp.arange(number),
        epoch=jnp.int32(3),
        mask=jnp.ones(number),
    )


def bowl(params, batch):
    """Loss 3/2 a^2 + 1/2 b^2 times the image; also the sum and the squared mean of the images."""
    height = 1.5 * params["kernel"] ** 2 + 0.5 * params["bias"] ** 2
    assert batch.epoch.shape == ()
    return jnp.sum(height * batch.image) / 4, (batch.image.sum(), {"mean": batch.image.mean() ** 2})


POINT = {"kernel": jnp.float32(1.0), "bias": jnp.float32(-4.0)}


def test_plain_by_hand():
    """At (1, -4) the slope is (3, -4), times the images' sum over 4."""
    gradients, (total, statistics) = Plain()(bowl, POINT, batch_of(1, 1, 2, 4), unchanged)
    assert gradients == {"kernel": 6.0, "bias": -8.0}
    assert (total, statistics) == (8, {"mean": 4})


def test_sam_by_hand():
    """From (1, -4) half a unit along (3, -4) / 5 is (1.3, -4.4), where the slope is (3.9, -4.4)."""
    gradients, (total, statistics) = SAM(rho=0.5)(bowl, POINT, batch_of(1, 1, 1, 1), unchanged)
    assert float(gradients["kernel"]) == pytest.approx(3.9)
    assert float(gradients["bias"]) == pytest.approx(-4.4)
    assert (total, statistics) == (4, {"mean": 1})


def test_asam_by_hand():
    """The kernel's size is 1 + .5, a bias's is 1: t g = (4.5, -4), of norm sqrt(36.25).

    At rho sqrt(36.25) the point is (1 + 1.5 * 4.5, -4 - 4) = (7.75, -8): the slope is (23.25, -8).
    """
    rule = ASAM(rho=np.sqrt(36.25).item(), eta=0.5)
    gradients, _ = rule(bowl, POINT, batch_of(1, 1, 1, 1), unchanged)
    assert float(gradients["kernel"]) == pytest.approx(23.25)
    assert float(gradients["bias"]) == pytest.approx(-8.0)


def test_asam_takes_its_size_from_the_weights():
    """If the loss divides weights that are k times larger by k, ASAM's gradient is divided by k.

    SAM's gradient is computed at another point.
    """

    def scaled(k, params, batch):
        return bowl(jax.tree.map(lambda p: p / k, params), batch)

    def gradient(rule, k):
        at = {"kernel": k * POINT["kernel"], "bias": jnp.float32(0)}
        return float(rule(functools.partial(scaled, k), at, batch_of(1), unchanged)[0]["kernel"])

    asam, sam = ASAM(rho=0.5, eta=1e-9), SAM(rho=0.5)
    assert gradient(asam, 10.0) == pytest.approx(gradient(asam, 1.0) / 10)
    assert gradient(sam, 10.0) != pytest.approx(gradient(sam, 1.0) / 10, rel=0.1)


@pytest.mark.parametrize("rule", [SAM(rho=0.5), ASAM(rho=0.5)])
def test_the_direction_is_that_of_the_whole_batch(rule):
    """The shares of two devices with opposing examples sum to the gradient of one device."""

    def loss(params, batch):
        # Device 0's slopes are (1, 0), device 1's (0, 1).
        slopes = params["kernel"] ** 2 * batch.image + params["bias"] ** 2 * (1 - batch.image)
        return slopes.sum(), (batch.image.sum(), {})

    def share(batch):
        gradients, _ = rule(loss, POINT, batch, lambda x: jax.lax.psum(x, "devices"))
        return jax.lax.psum(gradients, "devices")

    whole, _ = rule(loss, POINT, batch_of(1, 1, 0, 0), unchanged)
    halves = jax.tree.map(
        lambda x: x.reshape(2, 2) if x.ndim else jnp.stack([x, x]), batch_of(1, 1, 0, 0)
    )
    shared = jax.vmap(share, axis_name="devices")(halves)
    for name in whole:
        np.testing.assert_allclose(shared[name], [whole[name]] * 2, rtol=1e-6)


def test_accumulation_by_hand():
    """Parts are every second example: 1 and 3, 2 and 10; the mean of their statistics is kept."""
    rule = Accumulate(parts=2)
    gradients, (total, statistics) = rule(bowl, POINT, batch_of(1, 2, 3, 10), unchanged)
    assert gradients == {"kernel": 12.0, "bias": -16.0}
    assert total == 16
    assert statistics == {"mean": (2**2 + 6**2) / 2}


def test_sam_of_each_part():
    """Each part has its own direction, like each device in the publication."""
    at, batch = {"kernel": jnp.float32(1.0), "bias": jnp.float32(1.0)}, batch_of(1, 0, 1, 0)

    def loss(params, batch):
        height = params["kernel"] ** 2 * batch.image + params["bias"] ** 2 * (1 - batch.image)
        return height.sum() / 4, (batch.image.sum(), {})

    def gradient(rule):
        return float(rule(loss, at, batch, unchanged)[0]["kernel"])

    assert gradient(Accumulate(2, SAM(rho=0.5))) == pytest.approx(1.5)  # at (1.5, 1)
    assert gradient(SAM(rho=0.5)) == pytest.approx(1 + np.sqrt(0.125))  # at (1, 1) and .5 across


def step_of(plan, dataset, state, kind="jit"):
    """The state after the first step, and its metrics."""
    way, keys = parallel(kind, plan.experiment.batch_size), streams(0)
    order = epoch_order(keys.order, 0, len(dataset.train))
    placed = [way.place(tree) for tree in (state, Resident.of(dataset.train), order, keys)]
    after = way.lower(functools.partial(train_step, plan), *placed).compile()(*placed)
    return jax.device_get([way.fetch(tree) for tree in after])


def fields(**more):
    return {"optimizer": SGD(peak_lr=1.0, momentum=0.0), "schedule": Constant(), **more}


def test_accumulation_takes_the_step_of_the_whole_batch(plan_of, dataset, state_of, devices):
    """For a net without BatchNorm; the gradients of both convolutions run inside a loop."""
    devices(1)
    model = ConvNet(widths=(4, 8), hidden=8)
    plans = [
        plan_of(**fields(model=model, gradient=rule)) for rule in (Plain(), Accumulate(parts=4))
    ]
    state = state_of(plans[0])
    (whole, metrics), (parts, their_metrics) = (step_of(plan, dataset, state) for plan in plans)
    for mine, theirs in zip(
        jax.tree.leaves(parts.params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    assert (their_metrics.correct, their_metrics.count) == (metrics.correct, 16)
    assert float(their_metrics.loss) == pytest.approx(float(metrics.loss), rel=1e-6)


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_four_devices_give_the_result_of_one(plan_of, dataset, state_of, devices, one, kind):
    """With BatchNorm, in parts and two passes: parameters, statistics and metrics."""
    plan = plan_of(**fields(gradient=Accumulate(2, SAM(rho=0.5)), parallel=kind))
    devices(4)
    after = step_of(plan, dataset, state_of(plan), kind)
    for mine, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)


@pytest.fixture(scope="module")
def one(plan_of, dataset, state_of):
    plan = plan_of(**fields(gradient=Accumulate(2, SAM(rho=0.5))))
    with pytest.MonkeyPatch.context() as patch:
        found = jax.devices()[:1]
        patch.setattr(jax, "local_devices", lambda: found)
        return step_of(plan, dataset, state_of(plan))


def test_statistics_are_those_of_the_first_pass(plan_of, dataset, state_of, devices):
    """SAM's second pass changes neither them nor loss and accuracy."""
    devices(1)
    plans = [plan_of(**fields(gradient=rule)) for rule in (Plain(), SAM(rho=5.0))]
    state = state_of(plans[0])
    (plain, metrics), (sam, their_metrics) = (step_of(plan, dataset, state) for plan in plans)
    pairs = [(plain.batch_stats, sam.batch_stats), (metrics, their_metrics)]
    for mine, theirs in pairs:
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    moved = [
        np.asarray(p) - np.asarray(q)
        for p, q in zip(jax.tree.leaves(plain.params), jax.tree.leaves(sam.params), strict=True)
    ]
    assert max(abs(difference).max() for difference in moved) > 0.01


def test_passes():
    rules = Plain(), SAM(), ASAM(), Accumulate(), Accumulate(2, SAM())
    assert [rule.passes for rule in rules] == [1, 2, 2, 1, 2]


def test_a_batch_that_the_parts_do_not_divide_is_refused(plan_of):
    message = r"^gradient.parts must divide the 16 examples .* got 3"
    with pytest.raises(UserError, match=message):
        plan_of(gradient=Accumulate(parts=3))
    with pytest.raises(UserError, match=message):
        Accumulate(parts=3)(bowl, POINT, batch_of(*range(16)), unchanged)
    with pytest.raises(UserError, match=r"^gradient.parts must divide the 8 examples"):
        plan_of(gradient=Accumulate(2, Accumulate(3)))
    plan_of(gradient=Accumulate(parts=8))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: SAM(rho=0.0), "rho"),
        (lambda: ASAM(rho=-1.0), "rho"),
        (lambda: ASAM(eta=0.0), "eta"),
        (lambda: Accumulate(parts=0), "parts"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()


def test_frozen_parameters_are_constants_to_sam(plan_of, dataset, state_of):
    """A step at rate 1 is p - g(p + rho g / |g|), where p and g leave out frozen parameters."""
    rho, fields = 0.5, {"optimizer": SGD(peak_lr=1.0, momentum=0), "schedule": Constant()}
    plan = plan_of(gradient=SAM(rho), freeze=("Conv_0/*",), **fields)
    state = state_of(plan)
    batch = epoch_order(streams(0).order, 0, len(dataset.train))[: plan.experiment.batch_size]
    images, labels = dataset.train.images[batch], dataset.train.labels[batch]
    still = {"Conv_0": state.params["Conv_0"]}

    def loss(trained):
        variables = {"params": {**trained, **still}, "batch_stats": state.batch_stats}
        image = plan.normalize(jnp.asarray(images))
        scores, _ = plan.model.apply(variables, image, train=True, mutable=["batch_stats"])
        return -jnp.mean(jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels])

    trained = {name: value for name, value in state.params.items() if name != "Conv_0"}
    uphill = jax.grad(loss)(trained)
    length = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(uphill)))
    there = jax.tree.map(lambda p, g: p + rho / length * g, trained, uphill)
    expected = jax.tree.map(lambda p, g: p - g, trained, jax.grad(loss)(there))
    after = step_of(plan, dataset, state)[0].params
    assert jax.tree.all(jax.tree.map(np.array_equal, {"Conv_0": after["Conv_0"]}, still))
    for name, value in expected.items():
        for mine, theirs in zip(*map(jax.tree.leaves, (after[name], value)), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_counter_among_the_statistics_counts_steps_not_parts():
    def loss(params, batch):
        return params["kernel"] * batch.image.sum(), (batch.image.sum(), {"steps": jnp.int32(8)})

    _, (_, statistics) = Accumulate(2)(loss, POINT, batch_of(1, 2, 3, 4), unchanged)
    assert statistics["steps"].dtype == jnp.int32 and int(statistics["steps"]) == 8
