from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.optim import SGD, Adam, AdamW


def factor(step):
    return 1 / (1 + step)


def constant(step):
    return 1.0 + 0 * step


def sgd(rate, momentum, nesterov, weight_decay, decays=lambda p: True):
    """PyTorch's rule: weight decay is added to the gradient before the momentum."""

    def rule(step, path, p, g, memory):
        g = g + weight_decay * p * decays(p)
        m = memory["m"] = momentum * memory.get("m", 0) + g
        return p - rate(step) * (g + momentum * m if nesterov else m)

    return rule


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.1), (0.5, 0.0), (0.0, 0.1)])
def test_sgd(optax_run, numpy_run, agree, momentum, nesterov, weight_decay):
    fields = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    rule = sgd(lambda step: 0.1 * factor(step), **fields)
    agree(optax_run(SGD(peak_lr=0.1, **fields), factor), numpy_run(rule))


def test_sgd_by_hand():
    """Two steps on a number: p=1, g=2 then 1, lr .1, momentum .9, weight decay .5.

    g = 2 + .5 = 2.5; m = 2.5; p = .75. Then g = 1 + .375 = 1.375; m = 2.25 + 1.375 = 3.625;
    p = .3875.
    """
    optimizer = SGD(peak_lr=0.1, momentum=0.9, weight_decay=0.5)
    tx = optimizer.build(constant, batch_size=1, total_steps=2)
    p, state = np.float32(1), tx.init(np.float32(1))
    for gradient, expected in ((2, 0.75), (1, 0.3875)):
        update, state = tx.update(np.float32(gradient), state, p)
        p = p + update
        assert float(p) == pytest.approx(expected)


def test_sgd_that_decays_kernels_alone(optax_run, numpy_run, agree):
    rule = sgd(constant_rate(0.1), 0.9, False, 0.1, decays=lambda p: p.ndim > 1)
    optimizer = SGD(peak_lr=0.1, weight_decay=0.1, decay="kernels")
    agree(optax_run(optimizer, constant), numpy_run(rule))


def constant_rate(rate):
    return lambda step: rate


def test_rate_grows_with_the_batch(optax_run, numpy_run, agree):
    """A quarter at batch size 32 with `per_batch=128`; unchanged without `per_batch`."""
    quarter = numpy_run(sgd(constant_rate(0.025), 0.9, False, 0.0))
    agree(optax_run(SGD(peak_lr=0.1, per_batch=128), constant, batch_size=32), quarter)
    whole = numpy_run(sgd(constant_rate(0.1), 0.9, False, 0.0))
    agree(optax_run(SGD(peak_lr=0.1), constant, batch_size=32), whole)
    assert SGD(peak_lr=0.1, per_batch=128).peak(512) == pytest.approx(0.4)


def adam(rate, weight_decay=0.0, decays=lambda p: True, b1=0.8, b2=0.95, eps=1e-3):
    def rule(step, path, p, g, memory):
        m = memory["m"] = b1 * memory.get("m", 0) + (1 - b1) * g
        v = memory["v"] = b2 * memory.get("v", 0) + (1 - b2) * g**2
        m, v = m / (1 - b1 ** (step + 1)), v / (1 - b2 ** (step + 1))
        return p - rate(step) * (m / (np.sqrt(v) + eps) + weight_decay * p * decays(p))

    return rule


FIELDS = {"peak_lr": 0.01, "b1": 0.8, "b2": 0.95, "eps": 1e-3}


def test_adam(optax_run, numpy_run, agree):
    rule = adam(lambda step: 0.01 * factor(step))
    agree(optax_run(Adam(**FIELDS), factor), numpy_run(rule))


def test_adamw_decays_apart_from_the_gradient(optax_run, numpy_run, agree):
    rule = adam(lambda step: 0.01 * factor(step), weight_decay=0.3)
    agree(optax_run(AdamW(**FIELDS, weight_decay=0.3), factor), numpy_run(rule))
    rule = adam(lambda step: 0.01, weight_decay=0.3, decays=lambda p: p.ndim > 1)
    kernels = AdamW(**FIELDS, weight_decay=0.3, decay="kernels")
    agree(optax_run(kernels, constant), numpy_run(rule))


@pytest.mark.parametrize("clip_norm", [1.0, 1e3])
def test_gradients_are_scaled_down_to_the_norm(optax_run, numpy_run, agree, gradients, clip_norm):
    """The norm covers all gradients, before weight decay; smaller gradients don't change."""
    norms = [
        np.sqrt(sum((g**2).sum() for part in t.values() for g in part.values())) for t in gradients
    ]
    plain = sgd(constant_rate(0.1), 0.9, False, 0.1)

    def rule(step, path, p, g, memory):
        return plain(step, path, p, g * min(1, clip_norm / norms[step]), memory)

    optimizer = SGD(peak_lr=0.1, weight_decay=0.1, clip_norm=clip_norm)
    agree(optax_run(optimizer, constant), numpy_run(rule))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: SGD(peak_lr=-1.0), "peak_lr"),
        (lambda: SGD(peak_lr=float("nan")), "peak_lr"),
        (lambda: SGD(per_batch=0), "per_batch"),
        (lambda: SGD(clip_norm=0.0), "clip_norm"),
        (lambda: SGD(momentum=1.0), "momentum"),
        (lambda: SGD(weight_decay=-0.1), "weight_decay"),
        (lambda: SGD(decay="biases"), "decay"),
        (lambda: Adam(b1=-0.1), "b1"),
        (lambda: Adam(b2=1.0), "b2"),
        (lambda: Adam(eps=0.0), "eps"),
        (lambda: AdamW(weight_decay=float("inf")), "weight_decay"),
        (lambda: AdamW(decay="biases"), "decay"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()
