"""The lesson's numbers, worked by hand: volumes, weights, receptive fields, full connection."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from printed import to_text

from cnn_jax import models, ops
from cnn_jax.data import Cifar10
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment
from cnn_jax.modes.volumes import in_words, lesson, markdown, show, volumes
from cnn_jax.report.volume_table import notes, to_markdown

CIFAR = (32, 32, 3)

FIELDS = (
    *("name", "what", "volume", "weights", "biases"),
    *("multiply_adds", "receptive_field", "fully_connected"),
)
# A convolution of h x w x d filters of n x n x c: n*n*c*d weights, h*w times as many products.
CONVNET = [
    ("INPUT", "", (32, 32, 3), 0, 0, 0, None, None),
    ("Conv_0", "conv 3x3", (32, 32, 16), 27 * 16, 16, 1024 * 432, (3, 3), 3072 * 16384),
    ("Conv_1", "conv 3x3", (32, 32, 16), 144 * 16, 16, 1024 * 2304, (5, 5), 16384 * 16384),
    ("max pool", "pool 2x2", (16, 16, 16), 0, 0, 0, (6, 6), None),
    ("Conv_2", "conv 3x3", (16, 16, 32), 144 * 32, 32, 256 * 4608, (10, 10), 4096 * 8192),
    ("Conv_3", "conv 3x3", (16, 16, 32), 288 * 32, 32, 256 * 9216, (14, 14), 8192 * 8192),
    ("max pool", "pool 2x2", (8, 8, 32), 0, 0, 0, (16, 16), None),
    ("Conv_4", "conv 3x3", (8, 8, 64), 288 * 64, 64, 64 * 18432, (24, 24), 2048 * 4096),
    ("Conv_5", "conv 3x3", (8, 8, 64), 576 * 64, 64, 64 * 36864, (32, 32), 4096 * 4096),
    ("max pool", "pool 2x2", (4, 4, 64), 0, 0, 0, (32, 32), None),
    ("Dense_0", "fc", (1, 1, 128), 1024 * 128, 128, 131072, (32, 32), 131072),
    ("Dense_1", "fc", (1, 1, 10), 128 * 10, 10, 1280, (32, 32), 1280),
]


def table_of(make, shape=CIFAR, **fields):
    return volumes(make(num_classes=10, **fields), shape)


def test_convnet_row_by_row():
    rows = [tuple(getattr(row, field) for field in FIELDS) for row in table_of(models.ConvNet).rows]
    assert rows == CONVNET


def test_convnet_totals():
    table = table_of(models.ConvNet)
    assert table.parameters == table.weights + table.biases == 204_570
    assert (table.weights, table.biases, table.multiply_adds) == (204_208, 362, 10_011_904)
    assert table.fully_connected == 444_596_224 + 131_072 + 1_280
    assert table.ratio == 444_596_224 / 71_856


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (models.MLP, 1_841_162),
        (models.LeNet, 62_006),
        (models.ResNet20, 269_722),
        (models.ResNet18, 11_173_962),
    ],
)
def test_the_rows_hold_every_parameter(make, parameters):
    table = table_of(make)
    assert table.parameters == table.weights + table.biases == parameters
    assert table.rows[-1].volume == (1, 1, 10)


def test_lenet_by_hand():
    table = table_of(models.LeNet)
    assert [row.receptive_field for row in table.rows[1:5]] == [(5, 5), (6, 6), (14, 14), (16, 16)]
    assert [row.volume for row in table.rows[1:5]] == [
        (28, 28, 6),
        (14, 14, 6),
        (10, 10, 16),
        (5, 5, 16),
    ]
    would = [row.fully_connected for row in table.convolutions]
    assert would == [3072 * 28 * 28 * 6, 14 * 14 * 6 * 10 * 10 * 16]
    assert table.ratio == sum(would) / (75 * 6 + 150 * 16)


def test_receptive_fields_are_the_pixels_that_a_point_depends_on(monkeypatch):
    size = 96  # large enough for no field to be cut at the border
    table = table_of(models.ConvNet, (size, size, 3))
    fields = [row.receptive_field for row in table.rows if row.kind in ("conv", "pool")]

    def mean_pool(x, window):  # every pixel of a window counts, not the largest only
        return nn.avg_pool(x, (window, window), (window, window))

    monkeypatch.setattr(ops, "max_pool", mean_pool)
    model = models.ConvNet(widths=(2, 2, 2), hidden=1, num_classes=1)
    image = jnp.ones((1, size, size, 3))
    variables = jax.tree.map(
        lambda leaf: jnp.abs(leaf) + 0.1, model.init(jax.random.key(0), image, train=False)
    )

    def points(image):
        _, kept = model.apply(variables, image, train=False, capture_intermediates=True)
        found = []
        for i in range(6):
            volume = kept["intermediates"][f"Conv_{i}"]["__call__"][0]
            found.append(volume)
            if i % 2:
                found.append(mean_pool(volume, 2))
        # Logarithms keep the sums of positive terms within range.
        return jnp.stack([jnp.log(v[0, v.shape[1] // 2, v.shape[2] // 2, 0]) for v in found])

    gradients = np.asarray(jax.jit(jax.jacrev(points))(image))[:, 0].any(axis=-1)
    extents = [
        tuple(int(np.ptp(np.flatnonzero(seen.any(axis=axis)))) + 1 for axis in (1, 0))
        for seen in gradients
    ]
    assert fields == extents


def test_residual_nets_have_their_norms_in_the_rows_of_their_convolutions():
    table = table_of(models.ResNet20)
    assert len(table.convolutions) == 19
    assert [row.kind for row in table.rows] == ["input", *["conv"] * 19, "pool", "fc"]
    assert table.rows[1].biases == 2 * 16
    assert "Biases count the scales and shifts of norms." in notes(table)
    assert notes(table_of(models.LeNet)) == []


class Normed(nn.Module):
    """A convolution with biases, and a norm."""

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(5, (3, 3))(image))
        return nn.Dense(10, use_bias=False)(x.mean((1, 2)))


def test_biases_and_the_numbers_of_the_norm_add_up():
    table = volumes(Normed(), CIFAR)
    assert [row.biases for row in table.rows] == [0, 5 + 2 * 5, 0, 0]
    assert table.weights + table.biases == table.parameters == 27 * 5 + 15 + 50


def test_shortcuts_are_rows_of_their_own():
    beside = [row for row in table_of(models.ResNet18).rows if row.what.startswith("+")]
    assert [row.what for row in beside] == ["+conv 1x1/2"] * 3
    assert [row.weights for row in beside] == [64 * 128, 128 * 256, 256 * 512]
    assert beside[0].fully_connected == 32 * 32 * 64 * 16 * 16 * 128
    assert len(table_of(models.ResNet18).convolutions) == 20


def test_weights_that_are_not_trained_are_in_the_table_and_told_apart():
    table = table_of(models.QuickNet)
    assert table.parameters == 287_408
    assert table.weights + table.biases == 287_408 + 4 * 4 * 3 * 48
    assert "287,408 of the 289,712 numbers in the table are trained" in lesson(table)[-1]


def test_the_lesson_on_small_images():
    said = lesson(table_of(models.ConvNet))
    assert said == [
        "One fully connected neuron on 32x32x3 has 3,072 weights; on 200x200x3 it has 120,000.",
        "A neuron of Conv_0 is connected to a patch of 3x3x3: 27 weights, shared by the neurons at "
        "all 32x32 places.",
        "The convolutions have 71,856 weights; fully connected layers between the same volumes "
        "would need 445 million: 6,187 times as many.",
        "The last volume is 1x1x10: the class scores.",
        "204,570 parameters are trained; one image takes 10,011,904 multiply-adds.",
    ]


def test_the_lesson_on_large_images():
    table = table_of(models.ConvNet, (200, 200, 3))
    said = "\n".join(lesson(table))
    assert "One fully connected neuron on 200x200x3 has 120,000 weights" in said
    assert "on 32x32x3 it has 3,072" in said
    assert table.rows[1].fully_connected == 120_000 * 200 * 200 * 16
    assert table.rows[-1].volume == (1, 1, 10)


def test_a_net_without_convolutions_has_only_the_first_part_of_the_lesson():
    table = table_of(models.MLP)
    assert "Dense_0 has 512 of them: 1,572,864 weights." in lesson(table)
    assert "convolutions" not in "\n".join(lesson(table))
    assert table.ratio == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (71_856, "71,856"),
        (1_000_000, "1.0 million"),
        (444_596_224, "445 million"),
        (999_700_000, "1.0 billion"),
        (8_700_000_000, "8.7 billion"),
        (41_574_400_005_120, "41.6 trillion"),
        (3_000_000_000_000_000, "3,000 trillion"),
    ],
)
def test_large_numbers_in_words(number, words):
    assert in_words(number) == words


def test_the_text_has_every_number_and_fits_a_terminal():
    text = to_text(table_of(models.ConvNet))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[4].split() == ["INPUT", "32x32x3"]
    first = "Conv_0 conv 3x3 32x32x16 432 16 442,368 3x3 50,331,648"
    assert lines[5].split() == first.split()
    assert lines[-1].split() == ["total", "204,208", "362", "10,011,904", "444,728,576"]


@pytest.mark.parametrize("make", [m for m in vars(models).values() if isinstance(m, type)])
def test_every_family_fits_a_wide_terminal(make):
    text = to_text(table_of(make))
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 32
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_large_images_widen_the_table_but_cut_nothing():
    assert "41,574,400,005,120" in to_text(table_of(models.ResNet18, (200, 200, 3)))


def test_runs_of_equal_layers_are_one_line_in_a_long_table():
    table = table_of(models.ResNet110)
    assert len(table.convolutions) == 109
    lines = to_text(table).splitlines()
    assert len(lines) == 15
    (stage,) = [line.split() for line in lines if "36 x conv 3x3" in line]
    assert stage[0] == "Block_0/Conv_0"
    assert stage[-5:] == ["82,944", "1,152", "84,934,656", "32x32", f"{36 * 16384**2:,}"]
    assert any(note.startswith("2 x:") for note in notes(table))


def test_markdown_holds_the_same_cells():
    table = table_of(models.ConvNet)
    lines = to_markdown(table).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) == 2 + 12 + 1
    assert all(
        len(row) == 8 and line[0] == line[-1] == "|" for row, line in zip(cells, lines, strict=True)
    )
    assert cells[1] == ["---", "---", *["---:"] * 6]
    assert " ".join(cells[3]) == "Conv_0 conv 3x3 32x32x16 432 16 442,368 3x3 50,331,648"
    assert cells[-1][0] == "**total**" and cells[-1][-1] == "**444,728,576**"


def test_the_markdown_of_an_experiment_is_that_of_its_net():
    experiment = Experiment(data=NoData(), model=models.ConvNet())
    assert markdown(experiment) + "\n" == to_markdown(table_of(models.ConvNet))


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


def test_rows_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        table_of(models.MLP).rows[0].name = "other"
