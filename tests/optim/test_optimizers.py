"""Every optimiser lowers a loss and can resume; the adaptive ones equal NumPy references."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax import optim
from cnn_jax.optim import (
    LAMB,
    LARS,
    SGD,
    AdaBelief,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    LookaheadSGD,
    NAdam,
    Optax,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from cnn_jax.optim.freezing import frozen
from cnn_jax.optim.schedule_free import eval_params

# At rates for the quadratic below.
ALL = [
    LAMB(peak_lr=0.03),
    LARS(peak_lr=0.1, per_batch=None, trust=0.03),
    SGD(peak_lr=0.1),
    AdaBelief(peak_lr=0.1),
    Adagrad(peak_lr=0.5),
    Adam(peak_lr=0.1),
    AdamW(peak_lr=0.1),
    Lion(peak_lr=0.03),
    LookaheadSGD(peak_lr=0.1, bias_factor=1.0),
    NAdam(peak_lr=0.1),
    Optax("adafactor", peak_lr=0.3),
    RAdam(peak_lr=0.5),
    RMSprop(peak_lr=0.03),
    ScheduleFreeAdamW(peak_lr=0.3),
    ScheduleFreeSGD(peak_lr=0.5),
]
STEPS = 60


def constant(step):
    return jnp.ones_like(step, jnp.float32)


def factor(step):
    return 1 / (1 + step)


def test_every_optimizer_is_listed():
    """Except for Muon, which fixes the norm of filters: see test_muon.py."""
    classes = {getattr(optim, name) for name in optim.__all__}
    concrete = {c for c in classes if issubclass(c, optim.Optimizer) and not inspect.isabstract(c)}
    assert {type(optimizer) for optimizer in ALL} == concrete - {optim.Muon}


@pytest.mark.parametrize("optimizer", ALL, ids=lambda optimizer: type(optimizer).__name__)
def test_a_loss_falls_and_a_stopped_run_resumes(optimizer, params):
    """The loss is half the squared distance to a point; its gradients are noisy."""
    random = np.random.default_rng(7)
    goal = jax.tree.map(lambda p: p + random.standard_normal(p.shape).astype(np.float32), params)
    tx = optimizer.build(constant, batch_size=32, total_steps=STEPS)

    @jax.jit
    def run(params, state, noises):
        def step(carry, noise):
            now, state = carry
            gradient = jax.tree.map(lambda p, g: p - g + noise, now, goal)
            updates, state = tx.update(gradient, state, now)
            return (jax.tree.map(jnp.add, now, updates), state), None

        return jax.lax.scan(step, (params, state), noises)[0]

    def distance(now):
        return sum(
            jax.tree.leaves(jax.tree.map(lambda p, g: float(((p - g) ** 2).sum()), now, goal))
        )

    noises = 0.1 * random.standard_normal((4, STEPS // 4)).astype(np.float32)
    now, state, kept = params, tx.init(params), None
    for number, noise in enumerate(noises):
        now, state = run(now, state, noise)
        if number == 1:
            kept = jax.tree.map(np.asarray, (now, state))
    assert distance(eval_params(now, state)) < 0.25 * distance(params)

    again = kept
    for noise in noises[2:]:
        again = run(*again, noise)
    assert jax.tree.structure(again) == jax.tree.structure((now, state))
    for mine, theirs in zip(jax.tree.leaves(again), jax.tree.leaves((now, state)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


# 0.04 for 128 examples: 0.01 for the 32 of a step.
RATE = {"peak_lr": 0.04, "per_batch": 128}
ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}


def rate(step):
    return 0.01 * factor(step)


def decays(p):
    """With `decay="kernels"`."""
    return p.ndim > 1


def moments(memory, g, step):
    """Adam's running mean of g, raw and bias-corrected, and that of g squared, bias-corrected."""
    m = memory["m"] = 0.8 * memory.get("m", 0) + 0.2 * g
    v = memory["v"] = 0.95 * memory.get("v", 0) + 0.05 * g**2
    return m, m / (1 - 0.8 ** (step + 1)), v / (1 - 0.95 ** (step + 1))


def test_lion(optax_run, numpy_run, agree):
    def rule(step, path, p, g, memory):
        m = memory.get("m", 0)
        memory["m"] = 0.95 * m + 0.05 * g
        return p - rate(step) * (np.sign(0.8 * m + 0.2 * g) + 0.3 * p * decays(p))

    lion = Lion(**RATE, b1=0.8, b2=0.95, weight_decay=0.3, decay="kernels")
    agree(optax_run(lion, factor), numpy_run(rule))


def test_nadam(optax_run, numpy_run, agree):
    """Dozat 2016, algorithm 8 with a constant b1."""

    def rule(step, path, p, g, memory):
        m, _, v = moments(memory, g, step)
        t = step + 1
        ahead = 0.8 * m / (1 - 0.8 ** (t + 1)) + 0.2 * g / (1 - 0.8**t)
        return p - rate(step) * (ahead / (np.sqrt(v) + 1e-3) + 0.3 * p * decays(p))

    nadam = NAdam(**RATE, **ADAM, weight_decay=0.3, decay="kernels")
    agree(optax_run(nadam, factor), numpy_run(rule))


def test_radam(optax_run, numpy_run, agree):
    """Liu et al. 2020, algorithm 2: five of the six steps don't use the second moment."""
    longest, rectified = 2 / (1 - 0.95) - 1, set()

    def rule(step, path, p, g, memory):
        _, m, v = moments(memory, g, step)
        t = step + 1
        length = longest - 2 * t * 0.95**t / (1 - 0.95**t)
        if length > 5:
            r = (length - 4) * (length - 2) * longest
            r = np.sqrt(r / ((longest - 4) * (longest - 2) * length))
            rectified.add(step)
            m = r * m / (np.sqrt(v) + 1e-3)
        return p - rate(step) * (m + 0.3 * p)

    radam = RAdam(**RATE, **ADAM, weight_decay=0.3)
    agree(optax_run(radam, factor), numpy_run(rule))
    assert rectified == {5}


def test_adabelief(optax_run, numpy_run, agree):
    def rule(step, path, p, g, memory):
        m = memory["m"] = 0.8 * memory.get("m", 0) + 0.2 * g
        s = memory["s"] = 0.95 * memory.get("s", 0) + 0.05 * (g - m) ** 2 + 1e-3
        m, s = m / (1 - 0.8 ** (step + 1)), s / (1 - 0.95 ** (step + 1))
        return p - rate(step) * (m / (np.sqrt(s) + 1e-3) + 0.3 * p)

    belief = AdaBelief(**RATE, **ADAM, weight_decay=0.3)
    agree(optax_run(belief, factor), numpy_run(rule))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop(optax_run, numpy_run, agree, momentum):
    """As in PyTorch, the learning rate is not part of the momentum."""

    def rule(step, path, p, g, memory):
        g = g + 0.3 * p * decays(p)
        v = memory["v"] = 0.8 * memory.get("v", 0) + 0.2 * g**2
        m = memory["m"] = momentum * memory.get("m", 0) + g / (np.sqrt(v) + 1e-3)
        return p - rate(step) * m

    fields = {"b2": 0.8, "eps": 1e-3, "weight_decay": 0.3, "decay": "kernels"}
    agree(optax_run(RMSprop(**RATE, **fields, momentum=momentum), factor), numpy_run(rule))


def test_adagrad(optax_run, numpy_run, agree):
    def rule(step, path, p, g, memory):
        v = memory["v"] = memory.get("v", 0.2) + g**2
        return p - rate(step) * g / np.sqrt(v)

    agree(optax_run(Adagrad(**RATE, initial=0.2), factor), numpy_run(rule))


@pytest.mark.parametrize("decay", ["all", "kernels"])
def test_lars(optax_run, numpy_run, agree, decay):
    """You et al. 2017, algorithm 1."""

    def rule(step, path, p, g, memory):
        local = 1.0
        if decay == "all" or decays(p):
            local = 0.5 * np.linalg.norm(p) / (np.linalg.norm(g) + 0.3 * np.linalg.norm(p))
            g = g + 0.3 * p
        m = memory["m"] = 0.8 * memory.get("m", 0) + rate(step) * local * g
        return p - m

    lars = LARS(**RATE, momentum=0.8, weight_decay=0.3, trust=0.5, decay=decay)
    agree(optax_run(lars, factor), numpy_run(rule))


def test_lars_by_hand():
    """p = (3, 4), g = (6, 8), decay 1, trust .1: .1 * 5 / (10 + 5) (9, 12) = (.3, .4), times lr .5.

    A kernel of zeros follows SGD, and one without gradient and decay stays.
    """
    p = {"a": np.array([[3.0, 4]]), "zeros": np.zeros((1, 2)), "still": np.ones((1, 2))}
    g = {"a": np.array([[6.0, 8]]), "zeros": np.ones((1, 2)), "still": np.zeros((1, 2))}
    updates = []
    for weight_decay in (1.0, 0.0):
        lars = LARS(peak_lr=0.5, per_batch=None, trust=0.1, weight_decay=weight_decay)
        tx = lars.build(constant, batch_size=1, total_steps=1)
        updates.append(tx.update(g, tx.init(p), p)[0])
    np.testing.assert_allclose(updates[0]["a"], [[-0.15, -0.2]], rtol=1e-6)
    np.testing.assert_allclose(updates[0]["zeros"], [[-0.5, -0.5]], rtol=1e-6)
    np.testing.assert_array_equal(updates[1]["still"], 0)


def test_lars_has_the_state_of_older_checkpoints(params):
    tx = LARS().build(constant, batch_size=1, total_steps=1)
    before = optax.lars(lambda step: 1.0, 1e-3, trust_ratio_mask=True).init(params)
    assert paths(tx.init(params)) == paths(before)


def paths(state):
    return [
        (jax.tree_util.keystr(path), leaf.shape) for path, leaf in jax.tree.leaves_with_path(state)
    ]


@pytest.mark.parametrize("decay", ["all", "kernels"])
def test_lamb(optax_run, numpy_run, agree, decay):
    def rule(step, path, p, g, memory):
        _, m, v = moments(memory, g, step)
        u = m / (np.sqrt(v) + 1e-3)
        if decay == "all" or decays(p):
            u = u + 0.3 * p
            u = u * np.linalg.norm(p) / np.linalg.norm(u)
        return p - rate(step) * u

    agree(optax_run(LAMB(**RATE, **ADAM, weight_decay=0.3, decay=decay), factor), numpy_run(rule))


@pytest.mark.parametrize("adam", [False, True])
def test_schedule_free(optax_run, numpy_run, agree, adam):
    """Defazio et al. 2024, algorithm 1; x is the average weighted by squared learning rates."""

    def rule(step, path, p, g, memory):
        z, x = memory.get("z", p), memory.get("x", p)
        if adam:
            g = g / (np.sqrt(moments(memory, g, step)[2]) + 1e-3)
        memory["z"] = z = z - warm_rate(step) * (g + 0.3 * p)
        memory["weight"] = memory.get("weight", 0) + warm_rate(step) ** 2
        memory["x"] = x = x + warm_rate(step) ** 2 / memory["weight"] * (z - x)
        return 0.1 * z + 0.9 * x

    def warmup(step):
        return jnp.minimum(1.0, (1 + step) / 3)

    def warm_rate(step):
        return 0.01 * min(1, (1 + step) / 3)

    kind = ScheduleFreeAdamW if adam else ScheduleFreeSGD
    more = {"b2": 0.95, "eps": 1e-3} if adam else {}
    agree(optax_run(kind(**RATE, **more, weight_decay=0.3), warmup), numpy_run(rule))


def test_eval_params_by_hand():
    """A number from 4, gradients 1 and 2, rate 1: z is 3, then 1; x is 3, then 2.

    y is 3, then .75 of 2 and .25 of 1 = 1.75; clipping and other rules leave x and p as they are.
    """
    for clip_norm in (None, 10.0):
        optimizer = ScheduleFreeSGD(peak_lr=1.0, b1=0.75, clip_norm=clip_norm)
        tx = optimizer.build(constant, batch_size=1, total_steps=2)
        p, state = {"p": np.float32(4)}, tx.init({"p": np.float32(4)})
        for gradient, y, x in ((1, 3, 3), (2, 1.75, 2)):
            update, state = tx.update({"p": np.float32(gradient)}, state, p)
            p = jax.tree.map(jnp.add, p, update)
            assert float(p["p"]) == pytest.approx(y)
            assert float(eval_params(p, state)["p"]) == pytest.approx(x)
    assert eval_params(p, SGD().build(constant, batch_size=1, total_steps=2).init(p)) is p


def test_eval_params_with_frozen_parameters():
    rule = ScheduleFreeSGD(peak_lr=0.5).build(constant, batch_size=1, total_steps=3)
    runs = []
    for tx, p in (
        (rule, {"moving": np.float32(4)}),
        (frozen(rule, ("still",)), {"moving": np.float32(4), "still": np.ones(2, np.float32)}),
    ):
        state = tx.init(p)
        for _ in range(3):
            update, state = tx.update(p, state, p)
            p = jax.tree.map(jnp.add, p, update)
        runs.append(eval_params(p, state))
    alone, beside = runs
    assert beside["moving"] == alone["moving"] != 4
    np.testing.assert_array_equal(beside["still"], [1, 1])


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Lion(b1=1.0), "b1"),
        (lambda: Lion(weight_decay=-1.0), "weight_decay"),
        (lambda: Lion(decay="biases"), "decay"),
        (lambda: NAdam(b2=1.0), "b2"),
        (lambda: LARS(trust=0.0), "trust"),
        (lambda: LAMB(eps=0.0), "eps"),
        (lambda: RMSprop(b2=1.0), "b2"),
        (lambda: RMSprop(momentum=-0.1), "momentum"),
        (lambda: RMSprop(eps=0.0), "eps"),
        (lambda: RMSprop(weight_decay=-1.0), "weight_decay"),
        (lambda: RMSprop(decay="biases"), "decay"),
        (lambda: Adagrad(initial=-1.0), "initial"),
        (lambda: ScheduleFreeSGD(b1=0.0), "b1"),
        (lambda: ScheduleFreeSGD(b1=1.0), "b1"),
        (lambda: ScheduleFreeSGD(weight_decay=-1.0), "weight_decay"),
        (lambda: ScheduleFreeSGD(decay="biases"), "decay"),
        (lambda: ScheduleFreeAdamW(b2=1.0), "b2"),
        (lambda: ScheduleFreeAdamW(eps=0.0), "eps"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()
