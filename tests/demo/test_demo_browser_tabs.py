"""The tabs Layers, Test set and Watch it train, used in a browser on a small run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from demo_browser import (
    choose,
    click_on_picture,
    number,
    open_tab,
    picture,
    text,
    until,
    until_equal,
    visible,
)

from cnn_jax.demo import labels
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.modes.explain import explain

pytestmark = pytest.mark.slow


def test_layers(browser, shown, small_run):
    view, image = shown.layer_view, shown.test_image(0)
    open_tab(browser, labels.LAYERS)
    until_equal(browser, labels.SLICES_ALT, view.slices(0, image))
    until_equal(browser, labels.VOLUMES_ALT, view.blocks.picture)
    until_equal(browser, labels.FILTERS_ALT, view.filters(0)[1])
    choose(browser, labels.LAYER, labels.layer_choice(1, view.rows[1]))
    until_equal(browser, labels.SLICES_ALT, view.slices(1, image))
    cells = [cell.text for cell in until(lambda: visible(browser, "td"), "facts")]
    for name, value in labels.facts(view.layers[1], view.rows[1]):
        assert name in cells and cells[cells.index(name) + 1] == value
    assert cells[cells.index("Weights of a neuron") + 1] == "3x3x4 = 36"

    y, x = 40, 130
    position = view.position(1, x, y)
    assert position is not None
    click_on_picture(browser, labels.SLICES_ALT, x, y)
    until(
        lambda: (
            tuple(number(browser, name) for name in (labels.ROW, labels.COLUMN, labels.CHANNEL))
            == position
        ),
        "neuron",
    )
    one, other = view.neuron_pictures(1, image, position)
    until_equal(browser, labels.NEURON_ALT, one)
    until_equal(browser, labels.OTHER_NEURON_ALT, other)

    top, bottom, middles = view.blocks.rows[0]
    third = next(middle for middle, number in middles.items() if number == 2)
    click_on_picture(browser, labels.VOLUMES_ALT, round(third), round((top + bottom) / 2))
    until_equal(browser, labels.SLICES_ALT, view.slices(2, image))


def test_the_test_set(browser, shown, small_run):
    result = evaluate(small_run)
    confusion = json.loads((small_run / "evaluation.json").read_text())["confusion"]
    classes, scored = shown.plan.data.classes, shown.scored_set
    open_tab(browser, labels.TEST_SET)
    until_equal(browser, labels.MATRIX_ALT, scored.confusion.picture)
    until_equal(browser, labels.RELIABILITY_ALT, scored.reliability)

    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    true, predicted = np.argwhere(counts)[-1].tolist()
    top, bottom, left, right = scored.confusion.matrix
    x = left + (predicted + 0.5) / 10 * (right - left)
    y = top + (true + 0.5) / 10 * (bottom - top)
    click_on_picture(browser, labels.MATRIX_ALT, round(x), round(y))
    count = confusion[true][predicted]
    title = labels.cell_title(count, count, classes[true], classes[predicted]).strip("# ")
    until(lambda: title in text(browser), title)
    until(lambda: len(visible(browser, "button.thumbnail-item")) == count, f"{count} images")

    first = scored.cell(true, predicted)[0]
    assert result.labels[first] == true and result.logits[first].argmax() == predicted
    visible(browser, "button.thumbnail-item")[0].click()
    until(
        lambda: visible(browser, "button[role=tab][aria-selected=true]")[0].text == labels.CLASSIFY,
        "Classify",
    )
    (explained,) = explain(small_run, [int(first)])
    until(lambda: explained.best[0][0] in text(browser), explained.best[0][0])


def test_watch_it_train(browser, shown):
    curves, (last,) = shown.watched_run.look()
    open_tab(browser, labels.WATCH)
    until_equal(browser, labels.CURVES_ALT, curves)
    until_equal(browser, labels.WATCH_FILTERS_ALT, last.filters)
    until_equal(browser, labels.ACTIVATIONS_ALT, last.activations)
    assert labels.WATCH_FINISHED in text(browser)
    assert picture(browser, labels.MATRIX_ALT) is None  # of another tab
