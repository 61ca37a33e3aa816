"""Training on images that are decoded when they are needed, beside the same images in memory."""

from __future__ import annotations

import dataclasses
import pickle

import jax
import numpy as np
import pytest
from photo_folders import fill
from PIL import Image
from preempted import Preempted, PreemptedAt
from same_run import bits, untimed
from small_net import Small
from small_run import QUIET

from cnn_jax.augment import Flip
from cnn_jax.data import DataInvalid, Folder
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.optim import SGD
from cnn_jax.runtime.parallel import parallel
from cnn_jax.setup import Setup
from cnn_jax.train import train
from cnn_jax.training import stream
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.feed import step_images
from cnn_jax.training.step_images import StepImages


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """47 training, 5 validation and 13 test pictures, of unequal classes."""
    return str(fill(tmp_path_factory.mktemp("pictures"), {"cat": 40, "dog": 25}))


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("cnn_jax.runs.recorder.draw_figures", lambda *_: None)


def experiment(folder, *, streamed, crop=None, size=8, **fields):
    """Six steps an epoch, the last one of seven examples."""
    usual = {
        "model": Small(),
        "augment": (Flip(),),
        "optimizer": SGD(peak_lr=0.05),
        "batch_size": 8,
        "drop_last": False,
        "epochs": 2,
        "seed": 3,
    }
    data = Folder(folder, size=size, stream=streamed, crop=crop)
    return Experiment(data=data, **(usual | fields))


def run(one, place, workers=0, **options):
    with stream.workers(workers):
        return train(one, place, console=QUIET, **options)


def assert_same(results):
    one, other = results
    assert len(bits(one.state)) > 8
    assert bits(one.state) == bits(other.state)
    assert one.summary["test_loss"] == other.summary["test_loss"]


@pytest.mark.parametrize(
    ("number", "fields"),
    [
        (1, {"sampling": "balanced"}),
        (4, {}),
        pytest.param(4, {"parallel": "pmap"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_comes_to_the_bits_of_training_in_memory(number, fields, folder, tmp_path, devices):
    devices(number)
    assert_same(
        run(experiment(folder, streamed=streamed, **fields), tmp_path / str(streamed))
        for streamed in (True, False)
    )
    assert untimed(tmp_path / "True") == untimed(tmp_path / "False")
    rows = (tmp_path / "True" / "metrics.jsonl").read_text()
    assert '"input_wait"' in rows
    assert '"input_wait"' not in (tmp_path / "False" / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_resumes_in_mid_epoch_with_another_number_of_processes(folder, tmp_path):
    one = experiment(folder, streamed=True)
    often = {"save_every_steps": 1, "log_every_steps": 1}
    with pytest.raises(Preempted):
        run(one, tmp_path / "run", workers=0, writers=[PreemptedAt(9)], **often)
    assert untimed(tmp_path / "run")[-1]["step"] == 9
    resumed = run(one, tmp_path / "run", workers=2, **often)
    assert_same([resumed, run(experiment(folder, streamed=False), tmp_path / "whole", **often)])
    assert untimed(tmp_path / "run") == untimed(tmp_path / "whole")


def source(folder, rows=None, *, seed=3, **fields) -> StepImages:
    one = experiment(folder, streamed=True, seed=seed, **fields)
    data = one.data.load()
    plan = Plan.of(one, DataFacts.of(data))
    found = step_images(plan, data.train.images, data.train.labels, parallel("jit", 8))
    if rows is not None:
        found = dataclasses.replace(found, rows=np.array(rows), last_rows=np.array(rows[:2]))
    return found


def test_a_step_is_a_function_of_the_seed_and_its_number(folder):
    crop = RandomResizedCrop()
    whole, again = (source(folder, crop=crop, size=(8, 6)) for _ in range(2))
    assert len(whole) == 12
    images, labels = whole[7]
    assert (images.shape, images.dtype) == ((8, 8, 6, 3), np.uint8)
    # In any order, and in another process.
    for other in (again, pickle.loads(pickle.dumps(whole))):
        np.testing.assert_array_equal(other[7][0], images)
        np.testing.assert_array_equal(other[7][1], labels)
    assert [len(whole[step][0]) for step in (4, 5, 6, 11)] == [8, 7, 8, 7]
    assert not np.array_equal(source(folder, crop=crop, seed=4, size=(8, 6))[7][0], images)
    # Each process of a job reads its part.
    for rows in ([0, 1, 2, 3], [4, 5, 6, 7]):
        part = source(folder, rows, crop=crop, size=(8, 6))
        np.testing.assert_array_equal(part[7][0], images[rows])
        np.testing.assert_array_equal(part[7][1], labels[rows])


def test_each_epoch_has_each_picture_once_and_crops_it_anew(folder):
    whole = source(folder)
    data = Folder(folder, size=8).load()
    every = zip(data.train.images, data.train.labels, strict=True)
    known = {image.tobytes(): label for image, label in every}
    epochs = []
    for epoch in range(2):
        steps = [whole[step] for step in range(6 * epoch, 6 * epoch + 6)]
        images = np.concatenate([images for images, _ in steps])
        labels = np.concatenate([labels for _, labels in steps])
        assert {i.tobytes(): label for i, label in zip(images, labels, strict=True)} == known
        assert len(images) == len(known)
        epochs.append(images.tobytes())
    assert epochs[0] != epochs[1]
    cropped = source(folder, crop=RandomResizedCrop(scale=(0.2, 0.5)))
    first, second = (
        np.concatenate([cropped[step][0] for step in range(start, start + 6)]) for start in (0, 6)
    )
    assert not {image.tobytes() for image in first} & {image.tobytes() for image in second}


def test_a_crop_of_the_whole_picture_is_the_picture(folder):
    """With a fixed ratio of 1 the only box of the whole area is the picture, here 16x16."""
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    for step in (0, 5, 11):
        np.testing.assert_array_equal(source(folder, crop=crop)[step][0], source(folder)[step][0])


def test_validation_and_test_are_not_cropped(folder):
    data = Folder(folder, size=8, stream=True, crop=RandomResizedCrop()).load()
    still = Folder(folder, size=8).load()
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(data, part).images, getattr(still, part).images)
    assert (data.mean, data.std, data.classes) == (still.mean, still.std, still.classes)


def test_an_evaluation_equals_that_of_images_in_memory(folder, devices):
    devices(4)
    of = {}
    for streamed in (True, False):
        setup = Setup.of(experiment(folder, streamed=streamed))
        state = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, leaf.dtype), setup.shapes)
        evaluator = Evaluator(setup.plan, state.variables, setup.data.test, batch_size=6)
        of[streamed] = evaluator(state.variables)
    assert of[True].means() == of[False].means()
    np.testing.assert_array_equal(of[True].logits, of[False].logits)
    np.testing.assert_array_equal(of[True].labels, of[False].labels)


def test_a_crop_needs_streaming(folder):
    with pytest.raises(ValueError, match="crop needs stream=True"):
        Folder(folder, crop=RandomResizedCrop())


def test_the_index_is_continued_and_follows_changes(tmp_path, capsys):
    folder = fill(tmp_path / "pictures", number=10)
    data = Folder(str(folder), size=8, stream=True)
    first = data.load()
    assert "Reading 20 pictures" in capsys.readouterr().err
    (index,) = (tmp_path / "cache").rglob("*.index")
    lines = index.read_bytes().splitlines(keepends=True)
    assert len(lines) == 20
    # A kill has cut the last line short.
    index.write_bytes(b"".join(lines[:12]) + lines[12][:20])
    assert data.load().fingerprint == first.fingerprint
    assert "Reading 8 of 20 pictures" in capsys.readouterr().err
    data.load()
    assert "Reading" not in capsys.readouterr().err
    changed = folder / "cat" / "cat0.png"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(changed)
    assert data.load().fingerprint != first.fingerprint
    assert "Reading 1 of 20 pictures" in capsys.readouterr().err


def test_unreadable_pictures_are_found_at_the_start(tmp_path, capsys):
    folder = fill(tmp_path / "pictures", number=10)
    (folder / "dog" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataInvalid, match=r"bad\.png: not a picture"):
        Folder(str(folder), size=8, stream=True).load()
    data = Folder(str(folder), size=8, stream=True, skip_bad=True).load()
    assert "bad.png" in capsys.readouterr().err
    still = Folder(str(folder), size=8, skip_bad=True).load()
    np.testing.assert_array_equal(data.train.images, still.train.images)
    np.testing.assert_array_equal(data.train.labels, still.train.labels)
