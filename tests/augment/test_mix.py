from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from noise import batch
from program import TINY

from cnn_jax.augment import CutMix, Flip, Mixup, RandomCrop
from cnn_jax.cli import main
from cnn_jax.data import Shapes
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.experiment import Experiment
from cnn_jax.losses import MulticlassHinge, Softmax
from cnn_jax.models import MLP, LeNet
from cnn_jax.runtime.batch_axis import BATCH_AXIS
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import scores, train_step

SEEDS = np.arange(2000)
SIDE = 8  # 64 pixels: shares of the image are exact in f32


def given(size=12):
    """Labels as weights of 10 classes; neighbours differ."""
    made = batch(size, height=SIDE, width=SIDE)
    return dataclasses.replace(made, label=np.eye(10, dtype=np.float32)[made.label])


@functools.cache
def over_seeds(augment):
    """A batch of four mixed in many steps: images [N,4,8,8,3] and labels [N,4,10]."""
    few = given(4)
    mixed = jax.jit(jax.vmap(lambda seed: augment(jax.random.key(seed), few)))(SEEDS)
    return np.asarray(mixed.image), np.asarray(mixed.label)


def before(array) -> np.ndarray:
    """Each example's partner."""
    return np.asarray(array)[[-1, *range(len(array) - 1)]]


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_averages_each_example_with_the_one_before(alpha):
    few = given(4)
    image, partner = np.asarray(few.image, float), before(few.image).astype(float)
    for mixed, label in zip(*(x[:50] for x in over_seeds(Mixup(alpha))), strict=True):
        weight = label[0, 0]  # of class 0, which the first example has
        np.testing.assert_allclose(mixed, weight * image + (1 - weight) * partner, atol=1e-3)
        expected = weight * few.label + (1 - weight) * before(few.label)
        np.testing.assert_allclose(label, expected, atol=1e-6)
    assert mixed.dtype == label.dtype == np.float32


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_s_weight_is_from_a_beta_distribution(alpha):
    """Of mean 1/2 and variance 1 / (4 (2 alpha + 1)); quantiles by NumPy."""
    weight = over_seeds(Mixup(alpha))[1][:, 0, 0]
    theirs = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    assert abs(weight.mean() - 0.5) < 0.04
    assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
        np.quantile(weight, quantiles), np.quantile(theirs, quantiles), atol=0.05
    )


def boxes():
    """What each step has pasted: (first row, first column, height, width), and the shares kept."""
    few = given(4)
    partner, found, kept = before(few.image), [], []
    for mixed, label in zip(*over_seeds(CutMix(probability=1.0)), strict=True):
        pasted = (mixed != few.image).any((0, -1))
        places = np.argwhere(pasted)
        first, last = (places.min(0), places.max(0) + 1) if len(places) else ([0, 0], [0, 0])
        rectangle = np.zeros((SIDE, SIDE), bool)
        rectangle[first[0] : last[0], first[1] : last[1]] = True
        np.testing.assert_array_equal(pasted, rectangle)
        expected = np.where(rectangle[..., None], partner, few.image)
        np.testing.assert_array_equal(mixed, expected)
        share = 1 - pasted.mean()
        assert label[0, 0] == share
        np.testing.assert_array_equal(label, share * few.label + (1 - share) * before(few.label))
        found.append([*first, *np.subtract(last, first)])
        kept.append(share)
    assert mixed.dtype == np.uint8
    return np.array(found), np.array(kept)


def authors_box(random) -> list[int]:
    """A rectangle as the program of Yun et al. draws it, for alpha = 1."""
    side = int(SIDE * (1 - random.beta(1, 1)) ** 0.5)
    edges = []
    for centre in random.integers(SIDE, size=2):
        edges.append(np.clip([centre - side // 2, centre + side // 2], 0, SIDE))
    (top, bottom), (left, right) = edges
    return [top, left, bottom - top, right - left]


def test_cutmix_pastes_a_rectangle_of_the_one_before():
    """Labels have the share of pixels; sizes and places as in the authors' program, border and all.

    That it is clipped: sizes are odd only there.
    """
    mine, kept = boxes()
    random = np.random.default_rng(0)
    theirs = np.array([authors_box(random) for _ in range(20_000)])
    for i in (2, 3):
        ours, others = (np.bincount(x[:, i], minlength=9) / len(x) for x in (mine, theirs))
        np.testing.assert_allclose(ours, others, atol=0.03)
    area = theirs[:, 2] * theirs[:, 3] / SIDE**2
    assert abs(kept.mean() - (1 - area.mean())) < 0.02
    assert abs(kept.std() - area.std()) < 0.02
    filled = (mine[:, 2:] > 0).all(1), (theirs[:, 2:] > 0).all(1)
    np.testing.assert_allclose(mine[filled[0], :2].mean(0), theirs[filled[1], :2].mean(0), atol=0.2)
    odd = mine[mine[:, 2] % 2 == 1]
    assert len(odd) > 100
    assert ((odd[:, 0] == 0) | (odd[:, 0] + odd[:, 2] == SIDE)).all()


def test_cutmix_mixes_some_batches_only():
    few = given(4)
    image, label = over_seeds(CutMix(probability=0.3))
    always = over_seeds(CutMix(probability=1.0))[0]
    changed, of_those = ((x != few.image).any((1, 2, 3, 4)).mean() for x in (image, always))
    assert abs(changed / of_those - 0.3) < 0.05
    as_given = (image == few.image).all((1, 2, 3, 4))
    assert (label[as_given] == few.label).all()


@pytest.mark.parametrize("augment", [Mixup(), CutMix(probability=1.0)], ids=repr)
def test_a_batch_that_is_split_has_the_same_partners(augment, devices):
    """Four devices, by `pmap` and by a sharded batch under `jit`."""
    devices(4)
    whole, found = given(12), jax.local_devices()

    def mix(image, label):
        out = augment(jax.random.key(5), whole.replace(image=image, label=label))
        return out.image, out.label

    arrays = whole.image, whole.label
    image, label = jax.jit(mix)(*arrays)
    assert (np.asarray(image) != whole.image).any()

    mapped = jax.pmap(mix, BATCH_AXIS, devices=found)
    images, labels = mapped(*(x.reshape(4, 3, *x.shape[1:]) for x in arrays))
    np.testing.assert_array_equal(np.reshape(images, whole.image.shape), image)
    np.testing.assert_array_equal(np.reshape(labels, whole.label.shape), label)

    mesh = Mesh(found, (BATCH_AXIS,), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    images, labels = jax.jit(mix)(*jax.device_put(arrays, split))
    np.testing.assert_array_equal(images, image)
    np.testing.assert_array_equal(labels, label)


def test_a_step_learns_from_mixed_labels(plan_of, dataset, state_of):
    """The loss is w times that of the own label and 1 - w times that of the partner's."""
    plan = plan_of(model=MLP(hidden=()), augment=(Flip(), Mixup()), batch_size=16)
    state, keys = state_of(plan), streams(0)
    order = epoch_order(keys.order, 0, 70)
    data = Resident.of(dataset.train)
    _, metrics = jax.jit(functools.partial(train_step, plan))(state, data, order, keys)

    @jax.jit
    def mixed(data, index):
        key = jax.random.fold_in(keys.augment, 0)
        rows = Flip()(jax.random.fold_in(key, 0), data.batch(index, jnp.int32(0)))
        rows = rows.replace(label=jax.nn.one_hot(rows.label, 10))
        rows = Mixup()(jax.random.fold_in(key, 1), rows)
        image = plan.normalize(rows.image)
        return rows.label, scores(plan, state.variables, image, train=False)[0]

    own = dataset.train.labels[np.asarray(order[:16])]
    label, logits = mixed(data, order[:16])
    first = next(i for i in range(16) if own[i] != own[i - 1])
    weight = float(label[first, own[first]])
    losses = weight * Softmax()(logits, own) + (1 - weight) * Softmax()(logits, np.roll(own, 1))
    assert float(metrics.loss) == pytest.approx(float(losses.sum()), rel=1e-4)
    larger = own if weight > 0.5 else np.roll(own, 1)
    assert int(metrics.correct) == (np.asarray(logits).argmax(-1) == larger).sum()


def test_class_numbers_can_not_be_mixed():
    for augment in (Mixup(), CutMix()):
        with pytest.raises(ValueError, match=r"^label must be weights of classes"):
            jax.eval_shape(augment, jax.random.key(0), batch(4))


def experiment(**fields):
    return Experiment(data=Shapes(), model=LeNet(), **fields)


@pytest.mark.parametrize("augment", [Mixup(), CutMix()], ids=repr)
def test_mixing_needs_a_loss_for_it(augment):
    experiment(augment=(Flip(), augment))
    experiment(augment=(Flip(),), loss=MulticlassHinge())
    with pytest.raises(ValueError, match=rf"{type(augment).__name__}.*MulticlassHinge"):
        experiment(augment=(Flip(), augment), loss=MulticlassHinge())


def test_mixing_comes_last():
    experiment(augment=(Flip(), Mixup(), CutMix()))
    with pytest.raises(ValueError, match=r"^augment must have RandomCrop before Mixup"):
        experiment(augment=(Flip(), Mixup(), CutMix(), RandomCrop()))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--config.loss=MulticlassHinge"], ("Mixup", "MulticlassHinge")),
        (["--config.augment.1=Flip"], ("Flip", "Mixup")),
    ],
)
def test_on_the_command_line_it_is_told_in_one_line(flags, named, capsys, tmp_path):
    mixed = "--config.augment=(Mixup(), CutMix(), CutMix())"
    assert main(["run.py", *TINY, mixed, *flags, f"--workdir={tmp_path}/run"]) == 2
    said = capsys.readouterr()
    (error,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert all(name in error for name in named)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Mixup(alpha=0), "alpha"),
        (lambda: CutMix(alpha=-1.0), "alpha"),
        (lambda: CutMix(probability=1.5), "probability"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()
