from __future__ import annotations

import itertools
import re

import jax
import numpy as np
import pytest

from cnn_jax.optim import Muon
from cnn_jax.optim.muon import orthogonalize

TOTAL = 8  # the whitening bias is fixed from step 3 (of the 6 taken)


def factor(step):
    return 1 - step / TOTAL


def newton_schulz(matrix, steps):
    """Jordan et al. 2024, for a matrix with at least as many columns as rows."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def airbench(step, path, p, g, memory, *, peak_lr, per_batch_scale=1.0):
    """airbench94's optimisers, for the mean loss over 2000 examples."""
    if p.ndim == 4:
        m = memory["m"] = 0.6 * memory.get("m", 0) + g
        filters = (g + 0.6 * m).reshape(-1, p.shape[-1]).T
        towards = newton_schulz(filters, 3).T.reshape(p.shape)
        p = p * np.sqrt(p.shape[-1]) / np.linalg.norm(p)
        return p - peak_lr * factor(step) * towards
    peak = 50.0 if p.ndim == 1 else 70.0
    share = max(0, 1 - step / 3) if path == "whitening/bias" else factor(step)
    # decay times learning rate is 4e-3 at the peak, whatever the peak
    g = g + 4e-3 / peak * p
    m = memory["m"] = 0.85 * memory.get("m", 0) + g
    return p - peak * per_batch_scale * share * (g + 0.85 * m)


FIELDS = {"bias_lr": 50.0, "head_lr": 70.0, "whitening_until": 0.375}


@pytest.mark.parametrize(("batch_size", "per_batch"), [(2000, None), (500, None), (500, 1000)])
def test_muon_matches_airbench(optax_run, numpy_run, agree, batch_size, per_batch):
    optimizer = Muon(peak_lr=0.24, per_batch=per_batch, **FIELDS)
    mine = optax_run(optimizer, factor, batch_size=batch_size, total_steps=TOTAL)
    fields = {
        "peak_lr": 0.24 * (batch_size / per_batch if per_batch else 1),
        "per_batch_scale": batch_size / 2000,
    }
    agree(mine, numpy_run(lambda *a: airbench(*a, **fields)), rtol=1e-4)


def test_whitening_bias_becomes_fixed(optax_run):
    """Step 3 is the first that does not change it."""
    after = optax_run(Muon(**FIELDS), factor, total_steps=TOTAL)
    moves = [
        abs(now["whitening/bias"] - before["whitening/bias"]).max()
        for before, now in itertools.pairwise(after)
    ]
    assert min(moves[:2]) > 1
    assert max(moves[2:]) < 1e-3


def test_filters_keep_their_norm(optax_run):
    """At a negligible learning rate, a step rescales each kernel to the norm sqrt(C_out)."""
    for step in optax_run(Muon(peak_lr=1e-9, **FIELDS), factor, total_steps=TOTAL):
        assert np.linalg.norm(step["conv/kernel"]) == pytest.approx(np.sqrt(5), rel=1e-5)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_orthogonalize(shape):
    """Singular vectors don't change; singular values move close to 1."""
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out = np.asarray(jax.jit(lambda m: orthogonalize(m, 5))(matrix), float)
    u, _, v = np.linalg.svd(matrix.astype(float), full_matrices=False)
    values = np.diag(u.T @ out @ v.T)
    np.testing.assert_allclose(u * values @ v, out, atol=1e-3)
    assert (values > 0.5).all()
    assert (values < 1.3).all()
    wide = matrix if shape[0] <= shape[1] else matrix.T
    expected = newton_schulz(wide.astype(float), 5)
    np.testing.assert_allclose(out if wide is matrix else out.T, expected, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("smallest", [1.0, 1e-2, 1e-4])
def test_orthogonalize_small_singular_values(steps, smallest):
    """Rounding errors must not swamp small singular values, which the iteration amplifies.

    Those of convolution gradients span orders of magnitude.
    """
    random = np.random.default_rng(0)
    u = np.linalg.qr(random.standard_normal((48, 48)))[0]
    v = np.linalg.qr(random.standard_normal((100, 48)))[0]
    matrix = (u * np.geomspace(1, smallest, 48)) @ v.T
    out = jax.jit(lambda m: orthogonalize(m, steps))(matrix.astype(np.float32))
    expected = newton_schulz(matrix.astype(np.float32).astype(float), steps)
    assert np.linalg.norm(out - expected) < 3e-5 * np.linalg.norm(expected)


def test_only_two_products_touch_the_wide_matrix():
    program = str(jax.make_jaxpr(lambda m: orthogonalize(m, 3))(np.ones((4, 9), np.float32)))
    assert program.count("dot_general[") == 2 + 9
    assert len(re.findall(r":f32\[4,9\] = dot_general", program)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"peak_lr": 0.0}, "peak_lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"sgd_momentum": -0.1}, "sgd_momentum"),
        ({"iterations": 0}, "iterations"),
        ({"bias_lr": float("nan")}, "bias_lr"),
        ({"head_lr": -1.0}, "head_lr"),
        ({"sgd_per_batch": 0}, "sgd_per_batch"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"whitening_until": 0.0}, "whitening_until"),
    ],
)
def test_impossible_fields_are_named(fields, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        Muon(**fields)


def test_a_kernel_of_zeros_can_be_trained():
    """The last convolution of a residual branch often starts at zero; it can't be rescaled."""
    params = {"Conv_0": {"kernel": np.zeros((3, 3, 2, 4), np.float32)}}
    gradients = jax.tree.map(np.ones_like, params)
    tx = Muon(peak_lr=0.24).build(factor, batch_size=8, total_steps=TOTAL)
    updates, _ = tx.update(gradients, tx.init(params), params)
    moved = updates["Conv_0"]["kernel"]
    assert np.isfinite(moved).all() and (moved < 0).all()
