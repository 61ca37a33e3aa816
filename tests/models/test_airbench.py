"""The airbench nets and QuickNet against a direct implementation."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models, ops
from cnn_jax.analysis.structure import forward_flops, parameter_count
from cnn_jax.models.airbench_layers import pooled_conv
from cnn_jax.models.whitening import Whitening
from cnn_jax.training.state import INIT_IMAGES

IMAGE = (32, 32, 3)


def smooth_images(*shape, seed=0):
    """Images whose neighbouring pixels are correlated, as in photographs."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    return (noise.cumsum(1).cumsum(2) / 8).astype(np.float32)


def moved(tree, seed=1):
    """Slightly perturbed variables, so that no bias, mean or variance is trivial."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + random.uniform(0, 0.3, x.shape).astype(np.float32), tree)


@pytest.mark.parametrize(
    ("build", "published"),
    [(models.Airbench93, 569_016), (models.Airbench94, 1_971_640), (models.Airbench96, 9_915_704)],
)
def test_the_published_counts_hold_the_whitening_filters(build, published):
    """1,971,640 is published for airbench94 and 9.92 million for airbench96. They count the filters
    and the norms' biases, but not the norms' scales, which are 1."""
    model = build(num_classes=10)
    assert parameter_count(model, IMAGE) + 2 * 12 * 12 == published


def test_fewer_operations_than_published():
    """108 MFLOP are published for airbench93: with the rows and columns that pools drop."""
    unused = [(31, 30, 24, 64), (15, 14, 64, 128), (7, 6, 128, 128)]
    saved = sum(18 * (a**2 - b**2) * before * after for a, b, before, after in unused)
    flops = forward_flops(models.Airbench93(num_classes=10), IMAGE)
    assert flops + saved == pytest.approx(108.4e6, rel=0.001)


def plain(model, variables, image, train):
    """The scores by the published definition, with stock JAX operations."""
    params, stats = variables["params"], variables["batch_stats"]
    quick = isinstance(model, models.QuickNet)
    gelu = functools.partial(nn.gelu, approximate=False)
    convolutions = 2 if quick else model.convolutions
    layer = iter(range(len(model.widths) * convolutions))

    def conv(x, kernel, stride=1, padding="SAME"):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=numbers
        )

    def norm(x, number):
        name = f"BatchNorm_{number}"
        mean, var = stats[name]["mean"], stats[name]["var"]
        if train:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) / jnp.sqrt(var + 1e-12) + params[name]["bias"]

    x = conv(image, stats["whitening"]["kernel"], 2 if quick else 1, "VALID")
    x = gelu(x + params["whitening"]["bias"] if "whitening" in params else x)
    for _ in model.widths:
        number = next(layer)
        x = conv(x, params[f"Conv_{number}"]["kernel"])
        x = gelu(norm(nn.max_pool(x, (2, 2), (2, 2)), number))
        before = x
        for more in range(1, convolutions):
            number = next(layer)
            x = norm(conv(x, params[f"Conv_{number}"]["kernel"]), number)
            x = gelu(x + before if more == 2 else x)
    divisor = model.widths[-1] if quick or model.start == "muon" else 9
    return x.max((1, 2)) @ params["head"]["kernel"] / divisor


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        models.Airbench(widths=(5, 7, 6), num_classes=4),
        models.Airbench(widths=(5, 7, 6), convolutions=3, start="sgd", num_classes=4),
        models.Airbench(widths=(5, 7, 6), whitening_bias=False, num_classes=4),
        models.QuickNet(filters=6, widths=(5, 7), num_classes=4),
    ],
    ids=["two", "three", "without a bias", "quicknet"],
)
def test_scores_and_gradients_equal_a_direct_implementation(model, train):
    images = smooth_images(6, 24, 18, 3)  # pools meet odd and even sides

    @jax.jit
    def initial(images):
        return model.init(jax.random.key(0), images, train=False)

    variables = moved(initial(images))

    def mine(variables):
        return model.apply(variables, images, train=train, mutable=["batch_stats"])[0]

    def theirs(variables):
        return plain(model, variables, images, train)

    if not train:
        scores, expected = (jax.jit(way)(variables) for way in (mine, theirs))
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=2e-5)
        return

    def differentiated(way):
        def loss(params):
            scores = way({**variables, "params": params})
            return (scores**2).sum(), scores

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    (gradients, scores), (expected_gradients, expected) = map(differentiated, (mine, theirs))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=2e-5)
    paths, _ = jax.tree_util.tree_flatten_with_path(gradients)
    for (path, gradient), wanted in zip(paths, jax.tree.leaves(expected_gradients), strict=True):
        scale = abs(wanted).max()
        np.testing.assert_allclose(
            gradient, wanted, rtol=0.01, atol=1e-3 * scale, err_msg=str(path)
        )


class Pooled(nn.Module):
    @nn.compact
    def __call__(self, volume):
        return pooled_conv(volume, 5)


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("sides", [(8, 6), (7, 6), (2, 7), (31, 15), (3, 3)])
def test_the_convolution_computes_only_what_the_pool_reads(sides, stock):
    volume = smooth_images(4, *sides, 3)
    variables = Pooled().init(jax.random.key(0), volume)
    kernel = variables["params"]["Conv_0"]["kernel"]
    with ops.stock(stock):
        out = Pooled().apply(variables, volume)
    padded = np.pad(volume, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(float)
    whole = sum(
        padded[:, r : r + sides[0], c : c + sides[1]] @ np.asarray(kernel[r, c], float)
        for r, c in np.ndindex(3, 3)
    )
    height, width = sides[0] // 2, sides[1] // 2
    kept = whole[:, : 2 * height, : 2 * width].reshape(4, height, 2, width, 2, 5)
    np.testing.assert_allclose(out, kept.max((2, 4)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [models.Airbench93, models.Airbench94, models.Airbench96])
def test_training_starts_as_published(build):
    model = build(num_classes=50)

    @jax.jit
    def initial(images):
        return model.init(jax.random.key(0), images, train=False)["params"]

    params = initial(smooth_images(2, 9, 9, 3))
    bias, head = params["whitening"]["bias"], params["head"]["kernel"]
    if build is models.Airbench94:
        assert float(head.std()) == pytest.approx(1, rel=1e-4)
        assert float(abs(bias).max()) <= 12**-0.5
        assert float(bias.std()) == pytest.approx(36**-0.5, rel=0.4)
    else:
        bound = head.shape[0] ** -0.5
        assert 0.95 * bound < float(abs(head).max()) <= bound
        assert not bias.any()
    for name, layer in params.items():
        assert not name.startswith("BatchNorm") or not layer["bias"].any()
        assert set(layer) == {"bias"} if "Norm" in name or name == "whitening" else {"kernel"}


@pytest.mark.parametrize(("build", "kept"), [(models.Airbench94, 0.6), (models.Airbench96, 0.9)])
def test_running_statistics_have_the_published_momentum(build, kept):
    model = build(num_classes=2).clone(widths=(3, 3, 3))
    images = smooth_images(8, 12, 12, 3)
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(images)
    _, updates = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))(
        variables, images
    )
    whitened = Whitening(filters=24, window=2, stride=1).apply(
        {
            "params": variables["params"]["whitening"],
            "batch_stats": variables["batch_stats"]["whitening"],
        },
        images,
    )
    kernel = variables["params"]["Conv_0"]["kernel"]
    numbers = ("NHWC", "HWIO", "NHWC")
    x = jax.lax.conv_general_dilated(
        nn.gelu(whitened, approximate=False), kernel, (1, 1), "SAME", dimension_numbers=numbers
    )
    x = nn.max_pool(x, (2, 2), (2, 2))
    np.testing.assert_allclose(
        updates["batch_stats"]["BatchNorm_0"]["mean"],
        (1 - kept) * x.mean((0, 1, 2)),
        rtol=1e-3,
        atol=1e-5,
    )


def test_whitening_uses_the_first_images():
    images = smooth_images(8, 8, 8, 3)

    def kernel(given, **fields):
        layer = Whitening(filters=6, window=2, stride=1, **fields)
        return layer.init(jax.random.key(0), given)["batch_stats"]["kernel"]

    np.testing.assert_array_equal(kernel(images, images=3), kernel(images[:3]))
    assert abs(kernel(images) - kernel(images[:3])).max() > 1e-3
    assert Whitening(6, 2, 1).images == INIT_IMAGES == 5000


def test_half_precision_keeps_the_statistics_in_single():
    model = models.Airbench(widths=(5, 7, 6), num_classes=4)
    images = smooth_images(6, 12, 12, 3)

    @jax.jit
    def run(images):
        variables = model.init(jax.random.key(0), images, train=False)
        half = {
            "params": jax.tree.map(lambda p: p.astype(jnp.bfloat16), variables["params"]),
            "batch_stats": variables["batch_stats"],
        }
        both = []
        for given, image in ((variables, images), (half, images.astype(jnp.bfloat16))):
            both.append(model.apply(given, image, train=True, mutable=["batch_stats"]))
        return both

    (scores, _), (half_scores, updates) = run(images)
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(half_scores, scores, atol=0.1)
    assert float(jnp.abs(scores).max()) > 0.3

    layer = Whitening(filters=24, window=2, stride=1)
    variables = layer.init(jax.random.key(0), images)
    out = layer.apply(variables, images.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    expected = layer.apply(variables, images)
    assert jnp.linalg.norm(out - expected) < 0.03 * jnp.linalg.norm(expected)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"widths": (4, 0)}, r"widths\[1\]"),
        ({"convolutions": 4}, "convolutions"),
        ({"momentum": 1.0}, "momentum"),
        ({"start": "adam"}, "start"),
        ({"num_classes": 0}, "num_classes"),
    ],
)
def test_impossible_fields_are_named(fields, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        models.Airbench(**fields)


def test_images_that_are_too_small_are_an_error():
    shape = jax.ShapeDtypeStruct((1, 8, 9, 3), jnp.float32)
    model = models.Airbench(num_classes=2)
    with pytest.raises(ValueError, match="pool needs a larger volume"):
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), shape)
    shape = jax.ShapeDtypeStruct((1, 9, 9, 3), jnp.float32)
    jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), shape)
