"""What `--robustness` measures, against the same done by hand on a small net."""

from __future__ import annotations

import functools
import io

import jax
import numpy as np
import pytest
from prepared_folder import write_prepared
from rich.console import Console

from cnn_jax.data import Cifar10, Shapes, Split, shifted
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.models import MLP
from cnn_jax.robustness import attacks
from cnn_jax.robustness.batched_attacks import Attacker
from cnn_jax.robustness.corruptions import CHUNK, KINDS, corrupt, generator
from cnn_jax.robustness.stress_test import corrupted, spread, stress
from cnn_jax.terminal.timed_progress import TimedProgress
from cnn_jax.training.step import image_scores


@pytest.fixture(scope="module")
def plan():
    """An MLP on 32x32 images of CIFAR-10's classes."""
    facts = DataFacts(
        name="cifar10",
        classes=Cifar10.source.classes,
        image_shape=(32, 32, 3),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        train=100,
        validation=0,
        test=23,
        fingerprint="0",
    )
    return Plan.of(Experiment(data=Shapes(), model=MLP((8,)), batch_size=10), facts)


@pytest.fixture(scope="module")
def variables(plan, state_of):
    return state_of(plan).variables


@pytest.fixture(scope="module")
def scores(plan, variables):
    """From pixels f32[B,H,W,C] of 0..1 to scores."""
    return jax.jit(lambda image: image_scores(plan, variables, 255 * image))


@pytest.fixture(scope="module")
def test_set(scores):
    """Images that the net gets right, but for every fifth."""
    images = np.random.default_rng(0).integers(0, 256, (23, 32, 32, 3)).astype(np.uint8)
    labels = np.asarray(scores(images / np.float32(255))).argmax(1)
    labels = np.where(np.arange(23) % 5 == 4, (labels + 1) % 10, labels)
    return Split(images, labels.astype(np.int32))


@pytest.mark.parametrize("count", [1, 4])
def test_survivors_are_those_of_20_steps_in_one_go(
    plan, variables, scores, test_set, devices, count
):
    """Batches, stages, and leaving out what is fooled already change nothing."""
    devices(count)
    right = np.flatnonzero(np.arange(23) % 5 != 4)
    attacker = Attacker(plan, variables, test_set, right, batch_size=8, seed=3)
    pixels, labels = test_set.images / np.float32(255), test_set.labels
    attack = jax.jit(functools.partial(attacks.pgd, scores))
    reported, found = [], []
    for epsilon in (0.2 / 255, 0.6 / 255):
        counts = attacker(epsilon, reported.append)
        fast = scores(attacks.fgsm(scores, pixels, labels, epsilon)).argmax(1) == labels
        start = attacks.random_start(jax.random.key(3), pixels, np.arange(23), epsilon)
        expected = {"fgsm": int(np.asarray(fast)[right].sum())}
        for steps in (10, 20):
            _, fooled = attack(start, pixels, labels, epsilon, 2 / 255, steps)
            expected[f"pgd{steps}"] = int((~np.asarray(fooled))[right].sum())
        assert counts == expected
        assert counts["pgd20"] <= counts["fgsm"]
        found.append(counts["pgd20"])
    assert 0 < found[1] < found[0]
    assert sum(reported) == pytest.approx(2 * attacker.seconds)


def test_a_corruption_does_not_depend_on_what_else_is_measured():
    images = np.random.default_rng(0).integers(0, 256, (CHUNK + 3, 4, 4, 1)).astype(np.uint8)
    split = Split(images, np.zeros(CHUNK + 3, np.int32))
    made = corrupted(split, "gaussian_noise", 2).images
    for chunk, part in enumerate((slice(0, CHUNK), slice(CHUNK, None))):
        rng = generator(0, "gaussian_noise", 2, chunk)
        np.testing.assert_array_equal(made[part], corrupt("gaussian_noise", images[part], 2, rng))
    assert len(np.unique(made[:3].astype(int) - images[:3])) > 1
    alone = corrupted(Split(images[:CHUNK], split.labels[:CHUNK]), "gaussian_noise", 2).images
    np.testing.assert_array_equal(made[:CHUNK], alone)


def test_images_are_spread_over_the_split():
    np.testing.assert_array_equal(spread(10, 4), [0, 2, 5, 7])
    for images in (None, 10, 11):
        np.testing.assert_array_equal(spread(10, images), np.arange(10))


def test_all_that_is_measured(plan, variables, scores, test_set, tmp_path):
    shown = 255 - test_set.images
    labels = np.asarray(scores(shown / np.float32(255))).argmax(1)
    labels[:3] = (labels[:3] + 1) % 10
    write_prepared(tmp_path, shifted.NEW, "v6", shown, labels)
    console = Console(file=io.StringIO(), width=110)
    right = np.arange(23) % 5 != 4
    found = stress(
        plan, variables, test_set, right, batch_size=8, data_dir=str(tmp_path), console=console
    )
    said = console.file.getvalue()
    assert "robustness on 23 test images: about " in said
    assert f"CIFAR-10-C: not prepared ({tmp_path}/cifar10_corrupted)\n" in said
    assert found["cifar10_c"] is None
    assert found["cifar10_1"] == {"v6": pytest.approx(20 / 23)}
    assert found["examples"] == 23
    assert found["clean_accuracy"] == found["views"]["none"] == pytest.approx(19 / 23)

    def accuracy(images):
        right = np.asarray(scores(images / np.float32(255))).argmax(1) == test_set.labels
        return pytest.approx(right.mean())

    assert found["corruptions"]["accuracy"].keys() == KINDS.keys()
    for kind, severity in (("impulse_noise", 5), ("jpeg_compression", 1)):
        made = corrupt(kind, test_set.images, severity, generator(0, kind, severity, 0))
        assert found["corruptions"]["accuracy"][kind][severity - 1] == accuracy(made)
    counted = list(found["corruptions"]["accuracy"].values())[:14]
    assert found["corruptions"]["mean_accuracy"] == pytest.approx(np.mean(counted))
    assert found["attacks"]["accuracy"].keys() == {"2/255", "8/255", "16/255"}
    for each in found["attacks"]["accuracy"].values():
        assert each["pgd20"] <= each["pgd10"] <= each["fgsm"] <= found["clean_accuracy"]
    assert found["attacks"]["accuracy"]["16/255"]["pgd20"] == 0


def test_progress_reports_the_time_left():
    now = [0.0]
    console = Console(file=io.StringIO(), width=80)
    with TimedProgress(100, console, clock=lambda: now[0]) as progress:
        for second in range(10, 60, 10):  # it goes twice as fast as expected
            now[0] = second
            progress.done(20, "views")
    assert console.file.getvalue().splitlines() == [
        "views  40% done  36 s left",  # 60 s expected, at (20 + 10) / (40 + 10) of that
        "views  80% done  11 s left",  # 20 s expected, at (40 + 10) / (80 + 10)
    ]
