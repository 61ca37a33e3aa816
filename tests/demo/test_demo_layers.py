"""What the tab Layers shows, against what volumes prints and explain draws."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax import cli, models
from cnn_jax.analysis.volumes import volumes
from cnn_jax.demo import labels
from cnn_jax.demo.layer_view import LayerView
from cnn_jax.modes.explain import explain
from cnn_jax.report import explanation_figures, figure_style
from cnn_jax.report.figures import build_first_layer_filters
from cnn_jax.report.slices import Slices
from cnn_jax.runs.trained_run import restore_plan, run_data


@pytest.fixture(scope="module")
def restored(small_run):
    return restore_plan(small_run)


@pytest.fixture(scope="module")
def view(restored):
    plan, state = restored
    return LayerView(plan, state.variables)


@pytest.fixture(scope="module")
def picture(restored):
    return run_data(restored[0]).test.images[3]


def test_the_facts_are_those_of_mode_volumes(view, small_run, tmp_path, capsys):
    arguments = ["run.py", "--mode=volumes", f"--workdir={tmp_path}"]
    assert cli.main([*arguments, "--config.model=ConvNet(widths=(4, 8), hidden=16)"]) == 0
    printed = (tmp_path / "volumes.md").read_text()
    table = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in row] for row in table[3:-1]]
    assert len(rows) == len(view.layers) == 8
    for row, layer, line in zip(rows, view.layers, view.rows, strict=True):
        facts = dict(labels.facts(layer, line))
        name, kind, volume, _, weights, biases, products, field, full = row + [""] * (9 - len(row))
        assert labels.layer_choice(0, line) == f"1. {name}: {kind}, {volume}"
        assert facts["Output volume"] == volume
        assert facts["A neuron sees (receptive field)"].split()[0] == field
        assert facts.get("Weights of the layer", "= ").rpartition("= ")[2] == weights
        assert facts.get("Biases, scales, shifts", "") == biases
        assert facts["Multiply-adds for a picture"] == (products or "0")
        if kind.startswith("conv"):
            assert facts["Weights if fully connected"] == full
    second = dict(labels.facts(view.layers[1], view.rows[1]))
    assert second["Weights of a neuron"] == "3x3x4 = 36"


def test_the_slices_are_those_that_explain_draws(view, picture, small_run, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        explanation_figures, "activations", lambda one, rows, *rest: drawn.update(enumerate(rows))
    )
    explain(small_run, [3])
    reference = iter(drawn.values())
    for number, layer in enumerate(view.layers):
        values = view.values(number, picture)
        if layer.kind == "conv":
            name, output = next(reference)
            assert name == layer.name
            np.testing.assert_allclose(values.output, output, atol=1e-5)
        if layer.kind in ("conv", "pool"):
            name, volume = next(reference)
            assert name == ("relu" if layer.kind == "conv" else "max pool")
            np.testing.assert_allclose(values.volume, volume, atol=1e-5)
    assert next(reference, None) is None


def test_the_last_volume_holds_the_scores(view, restored, picture, small_run):
    """The run's prediction is the mean over the picture and its mirror image."""
    (explained,) = explain(small_run, [3])
    last = len(view.layers) - 1
    both = [view.values(last, one).volume.ravel() for one in (picture, picture[:, ::-1])]
    scores = np.mean(both, axis=0, dtype=np.float64)
    probabilities = np.exp(scores) / np.exp(scores).sum()
    name, value = explained.best[0]
    assert restored[0].data.classes[probabilities.argmax()] == name
    assert probabilities.max() == pytest.approx(value, rel=1e-4)


def test_a_click_on_a_slice_chooses_the_neuron_that_is_drawn_there(view, picture):
    values, drawn = view.values(1, picture).volume, view.slices(1, picture)
    brightest = np.unravel_index(drawn[:, : drawn.shape[1]].argmax(), drawn.shape)
    y, x = (int(at) for at in brightest)
    while view.position(1, x, y) is None:  # white between the slices
        drawn[y, x] = 0
        y, x = (int(at) for at in np.unravel_index(drawn.argmax(), drawn.shape))
    position = view.position(1, x, y)
    assert values[position] == values.max()
    first, other = view.neurons(1, picture, position)
    assert first.activation == pytest.approx(values.max())
    assert other.activation == values[..., position[2]].min()
    np.testing.assert_array_equal(first.weights, other.weights)


def test_positions_beyond_the_volume_are_clipped_and_one_place_has_no_other(view, picture):
    assert [one.position for one in view.neurons(6, picture, (9, 9, 3))] == [(0, 0, 3)]
    assert view.neurons(2, picture, (99, 99, 99))[0].position == (15, 15, 3)
    assert len(view.neuron_pictures(0, picture, (0, 0, 0))) == 2


def test_filters_are_drawn_in_colour_or_as_slices(view, restored):
    kernels = restored[1].params
    title, first = view.filters(0)
    drawn = figure_style.picture(build_first_layer_filters, kernels["Conv_0"]["kernel"])
    np.testing.assert_array_equal(first, drawn)
    assert title == labels.FILTERS and view.filters(2) is None  # a pool
    title, second = view.filters(1)
    assert title == "## Filters: all 4, each with its 4 slices in a row"
    kernel = np.asarray(kernels["Conv_1"]["kernel"])
    slices = Slices((3, 3, 16), 16, 1.0)
    largest = np.abs(kernel).max()
    for row, column, given, filter_ in np.ndindex(kernel.shape):
        top, _, left, _ = slices.box((row, column, 4 * filter_ + given))
        grey = 127.5 + 127.5 * kernel[row, column, given, filter_] / largest
        assert abs(int(second[top, left]) - grey) <= 1
    assert view.filters(6)[0] == "## Filters: the first 8 of 16, each with its 8 slices in a row"


def test_a_click_on_a_volume_chooses_its_layer(view):
    drawn = view.blocks.picture
    (row,) = view.blocks.rows
    found = [view.layer_at(x, int(row[0] + row[1]) // 2) for x in range(drawn.shape[1])]
    assert sorted(set(found)) == list(range(8)) and found == sorted(found)
    assert view.layer_at(10, drawn.shape[0] - 1) is None  # the legend


def test_a_fully_connected_layer_at_each_pixel_has_the_weights_of_one_pixel():
    table = volumes(models.ConvNeXtAtto(num_classes=10), (32, 32, 3))
    found = {row.name: row for row in table.rows}
    layer = next(one for one in table.layers if one.kind == "fc")
    facts = dict(labels.facts(layer, found[layer.name]))
    depth = layer.input[2]
    assert layer.output[:2] != (1, 1)
    assert facts["Weights of a neuron"] == f"1x1x{depth} = {depth}"


def test_a_fully_connected_net_has_filters_of_the_size_of_the_picture(plan_of, state_of, dataset):
    plan = plan_of(model=models.MLP(hidden=(5,)))
    variables = state_of(plan).variables
    view, picture = LayerView(plan, variables), dataset.test.images[0]
    assert [layer.name for layer in view.layers] == ["Dense_0", "Dense_1"]
    kernel = variables["params"]["Dense_0"]["kernel"].reshape(8, 8, 3, 5)
    drawn = figure_style.picture(build_first_layer_filters, kernel)
    np.testing.assert_array_equal(view.filters(0)[1], drawn)
    (one,) = view.neurons(0, picture, (0, 0, 4))
    assert one.box == (0, 8, 0, 8)
    np.testing.assert_array_equal(one.weights, kernel[..., 4])
    mean, std = np.array(dataset.mean), np.array(dataset.std)
    np.testing.assert_allclose(one.patch, (picture / 255 - mean) / std, atol=1e-5)
