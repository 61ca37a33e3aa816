"""Mode volumes: what `show` prints and writes, and the errors that it reports."""

from __future__ import annotations

import pytest

from cnn_jax import models
from cnn_jax.data import Cifar10
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment
from cnn_jax.modes.volumes import show


class NoData:
    """Data that can't be had: the lesson doesn't need it."""

    def resolve(self, data_dir=None):
        raise AssertionError("loaded")

    load = resolve


def test_show_prints_the_table_and_the_lesson_without_loading_data(capsys):
    show(Experiment(data=NoData(), model=models.ConvNet()))
    out = capsys.readouterr().out
    assert out.startswith("ConvNet() on 32x32x3\n")
    for part in ("50,331,648", "3,072", "120,000", "1x1x10", "6,187 times", "204,570 parameters"):
        assert part in out


def test_show_writes_picture_and_table(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    show(Experiment(data=NoData(), model=models.LeNet()), image_size=64, folder=folder)
    assert f"are in {folder}" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        "volumes.png",
        "volumes.svg",
        "volumes.md",
    }
    written = (folder / "volumes.md").read_text()
    assert "# LeNet() on 64x64x3" in written and "| Conv_0 | conv 5x5 | 60x60x6 |" in written
    assert "- The last volume is 1x1x10: the class scores." in written
    assert "LeNet() on 64x64x3" in (folder / "volumes.svg").read_text()


def test_show_takes_the_facts_of_a_run(capsys):
    facts = DataFacts("own", ("a", "b", "c"), (24, 20, 1), (0.5,), (0.2,), 9, 0, 3, "0")
    experiment = Experiment(data=Cifar10(), model=models.ConvNet())
    show(experiment, data_facts=facts)
    out = capsys.readouterr().out
    assert "on 24x20x1" in out and "1x1x3: the class scores" in out
    show(experiment, data_facts=facts, image_size=40)
    assert "on 40x40x1" in capsys.readouterr().out


def test_show_keeps_a_models_own_number_of_classes(capsys):
    show(Experiment(data=NoData(), model=models.LeNet(num_classes=7)))
    assert "1x1x7: the class scores" in capsys.readouterr().out


@pytest.mark.parametrize(("make", "smallest"), [(models.ConvNet, 8), (models.LeNet, 16)])
def test_too_small_images_are_refused_in_one_line(make, smallest):
    experiment = Experiment(data=NoData(), model=make())
    with pytest.raises(UserError) as caught:
        show(experiment, image_size=smallest - 1)
    message = str(caught.value)
    assert message.startswith(f"--image_size={smallest - 1}: model {make.__name__}(num_classes=10)")
    assert message.endswith(f"the smallest that it takes are {smallest}x{smallest}")
    assert "\n" not in message
    show(experiment, image_size=smallest)


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^--workdir=.*Not a directory$"):
        show(Experiment(data=NoData(), model=models.MLP()), folder=tmp_path / "file" / "below")
