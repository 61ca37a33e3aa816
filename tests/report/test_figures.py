"""The figures say what the numbers say, at page width, and leave matplotlib as it was."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cnn_jax.report import figures

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def training(epochs, *splits):
    return [
        {"step": 10 * epoch, "epoch": epoch, "split": split, "learning_rate": 0.1}
        | {"loss": 2 / epoch + i / 10, "accuracy": 1 - 0.5 / epoch - i / 100}
        for epoch in range(1, epochs + 1)
        for i, split in enumerate(splits)
    ]


def counts(classes, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 5, (classes, classes)) + 90 * np.eye(classes, dtype=int)


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_a_class_may_be_called_like_a_formula(tmp_path):
    names = (r"$\bad{$", "$1")
    assert figures.confusion_matrix(np.eye(2, dtype=int), names, tmp_path / "f.png") is True
    assert set(names) <= set(texts(figures.build_confusion_matrix(np.eye(2, dtype=int), names)))


def smallest_text(figure):
    from matplotlib.text import Text

    return min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text())


def recorded(build, built):
    def recording(*args):
        built.append(build(*args))
        return built[-1]

    return recording


def picture(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert round(image.info["dpi"][0]) == 150
        assert image.width == 1050
        return np.asarray(image.convert("RGB"))


def test_learning_curves_draw_each_split_and_name_it_at_its_end():
    rows = [*training(8, "train", "validation"), *training(8, "test")[-2:]]
    figure = figures.build_learning_curves(rows)
    loss, accuracy = figure.axes
    lines = loss.get_lines()
    np.testing.assert_allclose(lines[0].get_xdata(), range(1, 9))
    np.testing.assert_allclose(lines[0].get_ydata(), [2 / e for e in range(1, 9)])
    np.testing.assert_allclose(
        accuracy.get_lines()[1].get_ydata(), [99 - 50 / e for e in range(1, 9)]
    )
    assert [len(line.get_xdata()) for line in lines] == [8, 8, 1]
    assert len({line.get_color() for line in lines}) == 3
    assert {"train 93.8 %", "validation 92.8 %", "test 93.8 %", "Epoch"} <= set(texts(figure))
    assert {"train 0.250", "validation 0.350", "test 0.250"} <= set(texts(figure))


def test_line_names_never_overlap():
    from matplotlib.text import Annotation

    rows = [
        {"epoch": epoch, "split": split, "loss": 1.0, "accuracy": 0.5}
        for epoch in (1, 2)
        for split in ("train", "validation", "test")
    ]
    figure = figures.build_learning_curves(rows)
    figure.draw_without_rendering()
    for axes in figure.axes:
        names = [child for child in axes.get_children() if isinstance(child, Annotation)]
        boxes = sorted((name.get_window_extent() for name in names), key=lambda box: box.y0)
        assert len(boxes) == 3
        assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize(
    "rows",
    [
        training(1, "train"),
        training(5, "train"),
        training(300, "train", "validation"),
        training(1, "test"),
        [*training(3, "train"), {"epoch": 4, "split": "train", "loss": None, "accuracy": None}],
        [{"epoch": 1, "split": "train", "loss": 2.0}],
    ],
    ids=["one point", "no validation", "long", "only test", "a null", "no accuracy"],
)
def test_learning_curves_of_every_kind_of_run(tmp_path, rows):
    path = tmp_path / "figures" / "learning_curves.png"
    assert figures.learning_curves(rows, path) is True
    assert picture(path).std() > 5


@pytest.mark.parametrize("rows", [[], [{"epoch": 1, "split": "train", "loss": None}]])
def test_no_learning_curves_without_numbers(tmp_path, rows):
    assert figures.learning_curves(rows, tmp_path / "a.png") is False
    assert not (tmp_path / "a.png").exists()


def test_confusion_matrix_shows_per_cent_of_the_true_class():
    table = np.array([[8, 2], [5, 15]])
    figure = figures.build_confusion_matrix(table, ("cat", "dog"), title="Test")
    axes, side = figure.axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "80.0", (1, 0): "20.0", (0, 1): "25.0", (1, 1): "75.0"}
    assert [bar.get_width() for bar in side.patches] == [80, 75]
    assert [bar.get_y() + bar.get_height() / 2 for bar in side.patches] == pytest.approx([0, 1])
    assert axes.get_ylim() == side.get_ylim() == (1.5, -0.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert "Test: 76.67 % of 30 images correct" in texts(figure)


@pytest.mark.parametrize(("classes", "numbers"), [(1, True), (20, True), (21, False), (100, False)])
def test_confusion_matrices_of_many_classes_have_no_numbers_in_the_cells(classes, numbers):
    names = [f"class {i}" for i in range(classes)]
    figure = figures.build_confusion_matrix(counts(classes), names)
    assert bool(figure.axes[0].texts) is numbers
    assert ("class 0" in texts(figure)) is (classes <= 30)


@pytest.mark.parametrize("classes", [30, 31, 100])
def test_axes_of_many_classes_have_numbers_and_a_colour_bar(classes, tmp_path):
    names = [f"class {i}" for i in range(classes)]
    figure = figures.build_confusion_matrix(counts(classes), names, "Test")
    axes, side, *bars = figure.axes
    numbers = [f"#{number}" for number in range(0, classes, 5)]
    for axis in (axes.xaxis, axes.yaxis):
        ticks = dict(
            zip(
                axis.get_majorticklocs(), (t.get_text() for t in axis.get_ticklabels()), strict=True
            )
        )
        named = classes == 30
        expected = names if named else numbers
        assert ticks == dict(zip(range(0, classes, 1 if named else 5), expected, strict=True))
    assert [bar.get_ylabel() for bar in bars] == ["Images of the true class (%)"] * (classes > 30)
    assert len(side.patches) == classes
    assert ("#N: class N in the tables" in figure.get_suptitle()) is (classes > 30)
    assert figures.confusion_matrix(counts(classes), names, tmp_path / "c.png") is True
    assert picture(tmp_path / "c.png").std() > 5


def test_of_hundreds_of_classes_the_most_confused_pairs_are_drawn(tmp_path):
    names = [f"class {i}" for i in range(101)]
    table = 50 * np.eye(101, dtype=int)
    for number in range(1, 36):
        table[number, number + 1] = number
    table[90] *= 2
    table[90, 3] = 35
    figure = figures.build_confusion_matrix(table, names, "Test")
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:3] == [
        "class 35 \u2192 class 36", "class 90 \u2192 class 3", "class 34 \u2192 class 35",
    ]  # fmt: skip
    assert [bar.get_width() for bar in axes.patches] == [35, 35, *range(34, 6, -1)]
    assert [text.get_text() for text in axes.texts[:2]] == ["35 (41.2 %)", "35 (25.9 %)"]
    assert "The 30 most confused of 36 confused pairs" in figure.get_suptitle()
    assert figures.confusion_matrix(table, names, tmp_path / "c.png") is True
    assert picture(tmp_path / "c.png").std() > 5
    right = figures.build_confusion_matrix(50 * np.eye(101, dtype=int), names)
    assert right.get_suptitle() == "100.00 % of 5,050 images correct\nNo errors"


def test_a_class_that_no_font_can_draw_has_its_number(no_font, second_font):
    names = ("cat", f"dog {no_font}", f"fish {second_font}")
    figure = figures.build_confusion_matrix(np.eye(3, dtype=int), names)
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["cat", "#1", names[2]]
    assert figure.get_suptitle().endswith("\n#N: class N in the tables of --mode=evaluate")
    many = [f"class {i}" for i in range(100)] + [no_font]
    table = np.eye(101, dtype=int)
    table[100, 7] = 5
    figure = figures.build_confusion_matrix(table, many)
    assert "#100 \u2192 class 7" in texts(figure)
    assert "#N: class N in evaluation.json, counted from 0" in figure.get_suptitle()
    drawable = figures.build_confusion_matrix(np.eye(2, dtype=int), names[::2])
    assert "#" not in "".join(texts(drawable))


def test_names_on_the_axes_are_short_and_differ():
    names = [f"a class with a very long name that ends in {number}" for number in range(3)]
    figure = figures.build_confusion_matrix(np.eye(3, dtype=int), names)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == 3 and max(map(len, labels)) <= 22


def test_confusion_matrix_of_a_class_without_images_is_drawn(tmp_path):
    table = counts(10)
    table[3] = 0
    with np.errstate(all="raise"):
        assert figures.confusion_matrix(table, CLASSES, tmp_path / "c.png", "Test") is True
    assert picture(tmp_path / "c.png").std() > 5


def test_confusion_matrix_of_no_image_and_of_the_wrong_shape(tmp_path):
    assert figures.confusion_matrix(np.zeros((10, 10), int), CLASSES, tmp_path / "c.png") is False
    assert not (tmp_path / "c.png").exists()
    with pytest.raises(ValueError, match="counts must be 10 x 10"):
        figures.confusion_matrix(counts(9), CLASSES, tmp_path / "c.png")


def test_filters_are_scaled_one_by_one_around_mid_grey():
    kernel = np.zeros((2, 2, 3, 3), np.float32)
    kernel[0, 0, :, 0] = (4, 0, -2)
    kernel[1, 1, 2, 1] = -0.001
    figure = figures.build_first_layer_filters(kernel)
    mosaic = np.asarray(figure.axes[0].get_images()[0].get_array())
    height, width = mosaic.shape[0] - 6, mosaic.shape[1] // 3
    np.testing.assert_allclose(mosaic[5, 5], (1, 0.5, 0.25))
    np.testing.assert_allclose(mosaic[height - 5, 5], 0.5)
    np.testing.assert_allclose(mosaic[height - 5, 2 * width - 10], (0.5, 0.5, 0))
    np.testing.assert_allclose(mosaic[5, 2 * width + 5], 0.5)
    np.testing.assert_allclose(mosaic[:, width - 3], 1)


@pytest.mark.parametrize(
    ("shape", "title"),
    [
        ((3, 3, 3, 64), "64 filters of 3x3x3"),
        ((5, 5, 1, 6), "6 filters of 5x5x1"),
        ((7, 7, 3, 256), "256 filters of 7x7x3"),
        ((3, 3, 3, 300), "The first 256 of 300 filters"),
        ((100, 100, 3, 2), "2 filters"),
        ((1, 1, 3, 1), "1 filters"),
    ],
)
def test_filters_of_every_size(tmp_path, shape, title):
    kernel = np.random.default_rng(0).standard_normal(shape)
    assert any(title in text for text in texts(figures.build_first_layer_filters(kernel)))
    assert figures.first_layer_filters(kernel, tmp_path / "f.png") is True
    assert picture(tmp_path / "f.png").std() > 5


@pytest.mark.parametrize("shape", [(3, 3, 16, 4), (48, 10), (3, 3, 12, 8)])
def test_no_filters_of_a_layer_that_does_not_see_pixels(tmp_path, shape):
    assert figures.first_layer_filters(np.ones(shape), tmp_path / "f.png") is False
    assert figures.first_layer_filters(np.full((3, 3, 3, 4), np.nan), tmp_path / "f.png") is False
    assert not (tmp_path / "f.png").exists()


def test_text_is_legible_and_the_callers_settings_neither_matter_nor_change(tmp_path, monkeypatch):
    import sys

    import matplotlib

    # Other libraries may import pyplot; the figures must not.
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    built = []
    for name in ("build_learning_curves", "build_confusion_matrix", "build_first_layer_filters"):
        monkeypatch.setattr(figures, name, recorded(getattr(figures, name), built))
    with matplotlib.rc_context({"font.size": 3, "xtick.labelsize": 2, "savefig.bbox": "tight"}):
        before = matplotlib.rcParams.copy()
        figures.learning_curves(training(3, "train", "validation"), tmp_path / "a.png")
        figures.confusion_matrix(counts(20), [f"class {i}" for i in range(20)], tmp_path / "b.png")
        figures.first_layer_filters(np.ones((3, 3, 3, 8)), tmp_path / "c.png")
        assert matplotlib.rcParams.copy() == before
    assert "matplotlib.pyplot" not in sys.modules
    assert len(built) == 3
    assert min(smallest_text(figure) for figure in built) >= 8
    for name in "abc":
        picture(tmp_path / f"{name}.png")
