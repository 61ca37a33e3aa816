"""Figures of what a net sees: one page each, legible, with what the numbers say in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.report import explanation_figures
from cnn_jax.report.contact_sheet import build_contact_sheet
from cnn_jax.report.explanation_figures import Explained
from cnn_jax.report.predictions import Prediction, short_names


def explained(number=0, *, truth="cat 30.0%", right=False, side=32, channels=3):
    image = np.random.default_rng(number).integers(0, 256, (side, side, channels)).astype(np.uint8)
    best = (("aquarium_fish", 0.6), ("cat", 0.3), ("$dog", 0.1))
    return Explained(image, f"test {number}", "aquarium_fish 60.0%", truth, right, best)


def texts(figure):
    from matplotlib.text import Text

    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def overlapping(figure):
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for number, (one, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, one
        for other, second in boxes[number + 1 :]:
            if box.overlaps(second):
                yield one, other


def volumes(number, depth=5):
    random = np.random.default_rng(0)
    return [
        (f"Block_{n}/BatchNorm_{n} relu", random.standard_normal((8, 8, depth)))
        for n in range(number)
    ]


@pytest.mark.parametrize("number", [1, explanation_figures.MOST_VOLUMES])
def test_activations_are_a_page_with_a_row_for_each_volume(number, tmp_path):
    figure = explanation_figures.build_activations(explained(), volumes(number))
    assert not list(overlapping(figure))
    assert figure.get_figheight() < 10
    found = [text.get_text() for text in texts(figure)]
    assert "test 0: aquarium_fish 60.0%, true class: cat 30.0%" in found
    assert "Block_0/BatchNorm_0 relu\n8x8x5" in found
    assert min(text.get_fontsize() for text in texts(figure)) >= 8
    path = tmp_path / "figures" / "a.png"
    assert explanation_figures.activations(explained(), volumes(number), path) is True
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width == 1050


def test_a_row_runs_from_the_smallest_number_to_the_largest():
    """Of the slices that are shown."""
    volume = np.zeros((2, 2, 20), np.float32)
    volume[0, 1, 0], volume[1, 0, 2], volume[0, 0, 19] = 6, -2, 100
    figure = explanation_figures.build_activations(explained(), [("relu", volume)])
    (row,) = figure.axes[-1].get_images()
    mosaic = np.asarray(row.get_array())
    np.testing.assert_allclose(mosaic[[5, 5, 60], [5, 60, 5]], [0.25, 1, 0.25])
    cell = explanation_figures.CELL + explanation_figures.GAP
    np.testing.assert_allclose(mosaic[[60, 5], [2 * cell + 5, 2 * cell + 60]], [0, 0.25])
    assert mosaic.shape == (cell, explanation_figures.CHANNELS * cell)
    np.testing.assert_allclose(mosaic[explanation_figures.CELL :], 1)


@pytest.mark.parametrize("number", [1, 4, 18])
@pytest.mark.parametrize("over", [False, True])
def test_maps_stand_beside_their_images_on_one_page(number, over):
    shown = [explained(n, right=n == 1) for n in range(number)]
    heat = np.random.default_rng(0).random((number, 32, 32))
    figure = explanation_figures.build_heat_maps(shown, heat, "Saliency", over)
    assert not list(overlapping(figure))
    assert figure.get_figheight() < 10
    assert min(text.get_fontsize() for text in texts(figure)) >= 8
    found = {text.get_text(): text.get_color() for text in texts(figure)}
    assert found["test 0: aquarium_fish 60.0%\ntrue class: cat 30.0%"] == explanation_figures.WRONG
    if number > 1:
        assert found["test 1: aquarium_fish 60.0%\ncorrect"] == explanation_figures.RIGHT


def test_maps_have_a_scale_of_their_own_and_may_be_empty(tmp_path):
    heat = np.stack([np.linspace(0, 8, 1024).reshape(32, 32), np.zeros((32, 32))])
    shown = [explained(0, truth=""), explained(1, channels=1)]
    figure = explanation_figures.build_heat_maps(shown, heat, "Grad-CAM", True)
    first, second = (np.asarray(axes.get_images()[-1].get_array()) for axes in figure.axes[1::2])
    assert first.max() == 1 and first[16, 0] == pytest.approx(512 / 1023 / 0.99, rel=1e-3)
    assert second.max() == 0
    assert "test 0: aquarium_fish 60.0%" in [text.get_text() for text in texts(figure)]
    assert (
        explanation_figures.heat_maps(shown, heat, tmp_path / "h.png", "Grad-CAM", over=True)
        is True
    )


def test_nothing_is_drawn_of_nothing(tmp_path):
    empty = np.zeros((0, 8, 8))
    assert explanation_figures.activations(explained(), [], tmp_path / "a.png") is False
    assert explanation_figures.heat_maps([], empty, tmp_path / "a.png", "Saliency") is False
    assert not (tmp_path / "a.png").exists()


def test_a_map_of_zeros_says_so():
    images = [explained(number) for number in range(2)]
    heat = np.stack([np.zeros((4, 4)), np.eye(4)])
    figure = explanation_figures.build_heat_maps(images, heat, "maps", True)
    assert [text.get_text() for text in texts(figure)].count("all zero") == 1


def test_long_names_under_pictures_are_shortened_and_equal_ones_have_their_folders():
    paths = [Path(f"{folder}/0.png") for folder in ("cats", "dogs", "a_very_long_folder_name")]
    long = ("a very long name of a class", "another")
    made = [
        Prediction(path, image=explained().image, classes=long, values=(0.9, 0.1))
        for path in paths * 4
    ]
    figure = build_contact_sheet(made)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    found = [axes.title.get_text() for axes in figure.axes]
    assert "cats/0.png\na very...class 90%" in found and "dogs/0.png\na very...class 90%" in found
    assert short_names([Path("cats/0.png"), Path("cats/1.png")]) == ["0.png", "1.png"]


def test_captions_of_a_contact_sheet_differ_where_files_and_classes_do():
    paths = [Path(f"holiday_photo_from_the_beach_{number:04d}.png") for number in (11, 21, 31)]
    classes = [f"a long name of a class {letter} of many" for letter in "xyz"]
    made = [
        Prediction(path, image=explained().image, classes=(name,), values=(0.9,))
        for path, name in zip(paths, classes, strict=True)
    ]
    found = [axes.title.get_text().splitlines() for axes in build_contact_sheet(made).axes]
    files, names = zip(*(lines for lines in found if lines), strict=True)
    assert len(set(files)) == 3 and max(map(len, files)) <= 18
    assert len(set(names)) == 3 and max(map(len, names)) <= 14 + len(" 90%")


def test_names_that_no_font_can_draw_on_a_contact_sheet(no_font, second_font):
    classes = ["cat", no_font, second_font]
    made = [
        Prediction(Path(f"{name}.png"), image=explained().image, classes=(name,), values=(0.9,))
        for name in classes
    ]
    figure = build_contact_sheet(made, classes)
    found = [axes.title.get_text() for axes in figure.axes[:3]]
    assert found == ["cat.png\ncat 90%", "?.png\n#1 90%", f"{second_font}.png\n{second_font} 90%"]
    notes = figure.get_suptitle().splitlines()[1]
    assert notes == "#N: class N in the tables of --mode=evaluate"
    # Without the classes, there are no numbers.
    assert build_contact_sheet(made).axes[1].title.get_text() == "?.png\n? 90%"
    assert "\n" not in build_contact_sheet(made[:1], classes).get_suptitle()


def test_names_that_no_font_can_draw_beside_maps(no_font):
    classes = ["cat", f"dog {no_font}"]
    shown = Explained(
        explained().image, f"{no_font}.png", f"{classes[1]} 60.0%", "cat 40.0%", False,
        ((classes[1], 0.6), ("cat", 0.4)),
    )  # fmt: skip
    heat = np.ones((1, 4, 4))
    figure = explanation_figures.build_heat_maps([shown], heat, "Saliency", False, classes)
    found = [text.get_text() for text in texts(figure)]
    assert "?.png: #1 60.0%\ntrue class: cat 40.0%" in found
    notes = (
        "#N: class N in the tables of --mode=evaluate; ?: a character that no installed font has"
    )
    assert f"Saliency\n{notes}" in found
    figure = explanation_figures.build_activations(shown, volumes(1), classes)
    found = [text.get_text() for text in texts(figure)]
    assert f"?.png: #1 60.0%, true class: cat 40.0%\n{notes}" in found
    assert {"#1", "cat"} <= set(found)


@pytest.mark.parametrize("number", [1, 18])
def test_long_names_beside_maps_do_not_overlap(number):
    classes = [f"a_very_long_name_{letter}_of_a_class_of_images" for letter in "xyz"]
    best = tuple((name, 0.3) for name in classes)
    shown = [
        Explained(explained(n).image, f"photo{n:09d}.png", f"{classes[0]} 100.0%",
                  f"{classes[1]} 100.0%", False, best)
        for n in range(number)
    ]  # fmt: skip
    heat = np.ones((number, 4, 4))
    figure = explanation_figures.build_heat_maps(shown, heat, "Saliency", False)
    assert not list(overlapping(figure))
    lines = next(t.get_text() for t in texts(figure) if "true class" in t.get_text()).splitlines()
    assert lines[0] == "photo000000000.png" and lines[1] != lines[2].removeprefix("true class: ")
    figure = explanation_figures.build_activations(shown[0], volumes(1))
    assert not list(overlapping(figure))
    bars = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert len(set(bars)) == 3 and max(map(len, bars)) <= 16
