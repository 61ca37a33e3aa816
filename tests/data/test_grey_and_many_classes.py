"""Grey images of another size, and many classes, go through every part of the program."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cnn_jax.analysis import volumes
from cnn_jax.augment import Cutout, Flip, Jitter, RandomCrop
from cnn_jax.data import Cifar10, Cifar100, Folder, Mnist, Shapes, arrays
from cnn_jax.data.dataset import digest
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP, ConvNet
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.optim import SGD
from cnn_jax.report import tables
from cnn_jax.train import train

QUIET = Console(quiet=True)


@pytest.fixture
def kept(amend, apart, tmp_path):
    """A function that puts random images where a data set's are kept; gives the data folder."""

    def keep(cls):
        amend(cls, sizes={"train": 48, "test": 20}, digests=None)
        random, held = np.random.default_rng(0), {}
        for split, size in cls.source.sizes.items():
            shape = (size, *cls.source.image_shape)
            held[f"{split}_images"] = random.integers(0, 256, shape).astype(np.uint8)
            held[f"{split}_labels"] = np.arange(size, dtype=np.int32) % len(cls.source.classes)
        record = {name: digest(array) for name, array in held.items()}
        arrays.write(cls.source.folder(tmp_path) / "arrays", held, record)
        return str(tmp_path)

    return keep


def test_grey_images_of_28_pixels(kept, tmp_path):
    data_dir = kept(Mnist)
    experiment = Experiment(
        data=Mnist(validation=8),
        model=MLP(hidden=(4,)),
        augment=(Flip(), RandomCrop(2, fill="reflect"), Cutout(4), Jitter()),
        optimizer=SGD(peak_lr=0.1),
        batch_size=8,
        epochs=1,
    )
    train(experiment, tmp_path / "run", data_dir=data_dir, console=QUIET)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["dataset"] == "mnist" and summary["finished"]
    facts = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert facts["image_shape"] == [28, 28, 1] and len(facts["mean"]) == 1
    evaluate(tmp_path / "run", data_dir=data_dir, console=QUIET)
    for name in ("confusion_matrix", "first_layer_filters", "learning_curves"):
        with Image.open(tmp_path / "run" / "figures" / f"{name}.png") as figure:
            figure.load()


def test_a_confusion_matrix_of_a_hundred_classes_fits_the_terminal():
    classes = Cifar100.source.classes
    counts = np.diag(np.full(100, 90))
    counts[3, 7], counts[3, 9] = 8, 2
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(tables.confusion(counts, classes))
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert lines[0] == ["true", "class", "accuracy", "predicted", "as", "times"]
    assert [line[:2] for line in lines[2:]] == [[f"#{n}", name] for n, name in enumerate(classes)]
    assert lines[2 + 3] == ["#3", "bear", "90.0%", "#7", classes[7], "8"]
    assert lines[2 + 4] == ["#4", "beaver", "100.0%", ".", "."]


@pytest.mark.parametrize(
    ("data", "shape", "classes"),
    [
        (Mnist(), (28, 28, 1), 10),
        (Cifar100(), (32, 32, 3), 100),
        (Cifar10(), (32, 32, 3), 10),
        (Shapes(), (32, 32, 3), 10),
        (Folder("anywhere", size=40, channels=1), (40, 40, 1), 10),
    ],
)
def test_volumes_are_those_of_the_data_that_is_named(data, shape, classes):
    table = volumes.of_experiment(Experiment(data=data, model=ConvNet()))
    assert table.image_shape == shape
    assert table.rows[-1].volume == (1, 1, classes)
