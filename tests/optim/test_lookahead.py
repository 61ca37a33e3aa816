from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from cnn_jax.optim import SGD, AdamW, Lookahead, LookaheadSGD
from cnn_jax.optim.lookahead import lookahead

TOTAL = 6  # the number of gradients


def factor(step):
    return 1 - step / TOTAL


def airbench(*, interval, slow_decay, rate=0.1, rest=TOTAL, weight_decay=0.3, bias_factor=8.0):
    """The publication's loop for one parameter: torch's SGD, synchronisation, and the last step."""

    def rule(step, path, p, g, memory):
        slow = memory.setdefault("slow", p)
        times = bias_factor if p.ndim == 1 and path != "whitening/bias" else 1
        if path != "whitening/bias" or step < rest:
            g = g + weight_decay / times * p
            m = memory["m"] = 0.85 * memory.get("m", 0) + g
            p = p - rate * times * factor(step) * (g + 0.85 * m)
        taken = step + 1
        if taken % interval == 0:
            share = slow_decay * (taken / TOTAL) ** 3
            p = memory["slow"] = share * slow + (1 - share) * p
        return memory["slow"] if taken == TOTAL else p

    return rule


@pytest.mark.parametrize("interval", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("slow_decay", [0.0, 0.95**5])
def test_lookahead_sgd_matches_airbench(optax_run, numpy_run, agree, interval, slow_decay):
    optimizer = LookaheadSGD(
        peak_lr=0.1,
        weight_decay=0.3,
        bias_factor=8.0,
        interval=interval,
        slow_decay=slow_decay,
        whitening_until=0.5,
    )
    mine = optax_run(optimizer, factor, total_steps=TOTAL)
    rule = airbench(interval=interval, slow_decay=slow_decay, rest=3)
    agree(mine, numpy_run(rule), rtol=1e-4)


def test_rate_grows_with_the_batch(optax_run, numpy_run, agree):
    optimizer = LookaheadSGD(peak_lr=0.4, per_batch=128, weight_decay=0.3, bias_factor=8.0)
    rule = airbench(interval=5, slow_decay=0.95**5, rate=0.1)
    agree(optax_run(optimizer, factor, batch_size=32, total_steps=TOTAL), numpy_run(rule), 1e-4)


def test_lookahead_by_hand():
    """SGD at rate 1 on a number from 0 with gradient -1; a half is kept, every 2 of 5 steps.

    1, 2 -> (0 + 2) / 2 = 1; 2, 3 -> (1 + 3) / 2 = 2; 3 -> the end: the slow 2.
    """
    tx = lookahead(optax.sgd(1.0), interval=2, kept=lambda step: 0.5, total_steps=5)
    p, state = np.float32(0), tx.init(np.float32(0))
    for expected in (1, 1, 2, 2, 2):
        update, state = tx.update(np.float32(-1), state, p)
        p = p + update
        assert float(p) == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9, nesterov=True), AdamW(weight_decay=0.3)])
@pytest.mark.parametrize(("interval", "slow_step"), [(2, 0.8), (3, 0.5), (4, 1.0)])
def test_lookahead_around_any_optimizer_matches_optax(
    params, gradients, optimizer, interval, slow_step
):
    """Except after the last step, which leaves the slow weights for the evaluation."""
    rule = optimizer.build(factor, batch_size=32, total_steps=TOTAL)
    mine = Lookahead(interval, slow_step).around(rule, TOTAL)
    theirs = optax.lookahead(rule, sync_period=interval, slow_step_size=slow_step)
    pair = optax.LookaheadParams.init_synced(params)
    my_state, their_state = mine.init(params), theirs.init(pair)
    for step, gradient in enumerate(gradients, start=1):
        updates, my_state = mine.update(gradient, my_state, params)
        params = optax.apply_updates(params, updates)
        updates, their_state = theirs.update(gradient, their_state, pair)
        pair = optax.apply_updates(pair, updates)
        expected = pair.slow if step == TOTAL else pair.fast
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_state_can_be_donated_with_the_parameters():
    """The slow weights have a separate buffer."""
    params = {"head": {"kernel": jax.numpy.ones((2, 3))}}
    tx = LookaheadSGD().build(factor, batch_size=8, total_steps=TOTAL)

    def step(params, state):
        updates, state = tx.update(jax.tree.map(lambda p: 0 * p, params), state, params)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(2):
        params, state = jax.jit(step, donate_argnums=(0, 1))(params, state)
    together = jax.jit(lambda: (params, tx.init(params)))()
    jax.jit(step, donate_argnums=(0, 1))(*together)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (LookaheadSGD, "peak_lr", 0.0),
        (LookaheadSGD, "momentum", 1.0),
        (LookaheadSGD, "weight_decay", -1.0),
        (LookaheadSGD, "bias_factor", 0.0),
        (LookaheadSGD, "whitening_until", 0.0),
        (LookaheadSGD, "interval", 0),
        (LookaheadSGD, "slow_decay", 1.0),
        (Lookahead, "interval", 0),
        (Lookahead, "slow_step", 0.0),
        (Lookahead, "slow_step", 1.1),
    ],
)
def test_impossible_fields_are_named(kind, field, value):
    with pytest.raises(ValueError, match=f"^{field} must"):
        kind(**{field: value})
