"""What the tab Classify computes, against predict, explain and evaluate."""

from __future__ import annotations

import io
import json
import os

import jax
import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.pictures.image_files import BadImage
from cnn_jax.demo import classifier as classifier_file
from cnn_jax.demo.chosen import chosen_test_image
from cnn_jax.demo.classifier import Classifier
from cnn_jax.demo.shown import GRAD_CAM, SALIENCY, SMOOTH_GRAD
from cnn_jax.export import export, load
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.modes.explain import explain
from cnn_jax.modes.predict import predict
from cnn_jax.report import explanation_figures
from cnn_jax.robustness.corruptions import KINDS, corrupt, generator


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a photo.png"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (40, 57, 3), np.uint8)).save(path)
    return path


def test_values_without_calibration_are_those_of_predict(shown, photo):
    (expected,) = predict(shown.scorer, [str(photo)], top=10)
    picture = shown.classifier.read(photo, photo.name)
    np.testing.assert_array_equal(picture, expected.image)
    values = shown.classifier.values(shown.classifier.scores(picture), calibrated=False)
    best = sorted(values, key=values.get, reverse=True)
    assert tuple(best) == expected.classes
    np.testing.assert_allclose([values[name] for name in best], expected.values, rtol=1e-6)


def test_calibrated_values_are_at_the_temperature_of_evaluate(shown, small_run, photo):
    evaluate(small_run)
    content = json.loads((small_run / "evaluation.json").read_text())
    temperature = content["calibration"]["temperature"]
    assert shown.classifier.temperature == temperature
    scores = shown.classifier.scores(shown.classifier.read(photo, "photo"))
    values = shown.classifier.values(scores, calibrated=True)
    expected = np.asarray(jax.nn.softmax(scores / temperature))
    np.testing.assert_allclose(list(values.values()), expected, rtol=1e-5)
    assert list(values) == list(shown.plan.data.classes)


def test_maps_are_those_that_explain_draws(shown, small_run, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        explanation_figures,
        "heat_maps",
        lambda explained, heat, path, title, **_: drawn.update({path.name: heat[0]}),
    )
    explain(small_run, [3])
    picture = shown.test_image(3)
    scores = shown.classifier.scores(picture)
    for kind in (SALIENCY, SMOOTH_GRAD, GRAD_CAM):
        heat = drawn[f"{kind}.png"]
        strength = np.clip(heat / np.percentile(heat, 99), 0, 1)
        shade = shown.map_of(kind, picture, scores).astype(float)
        assert shade.shape == (32, 32, 3)
        if kind == GRAD_CAM:  # where it is zero, the grey picture shows
            grey = picture.mean(-1)[strength == 0]
            np.testing.assert_allclose(shade[strength == 0].T, [grey] * 3, atol=1)
        else:  # inferno becomes brighter with the value
            light = shade.sum(-1).ravel()
            assert (
                np.corrcoef(np.argsort(np.argsort(light)), np.argsort(np.argsort(heat.ravel())))[
                    0, 1
                ]
                > 0.99
            )


def test_a_corruption_is_that_of_the_robustness_measurement(shown):
    picture = shown.test_image(5)
    for kind in ("gaussian_noise", "fog", "jpeg_compression"):
        expected = corrupt(kind, picture[None], 4, generator(0, kind, 4, 0))[0]
        np.testing.assert_array_equal(shown.classifier.seen(picture, kind, 4), expected)
        assert not np.array_equal(expected, picture)
    assert shown.classifier.seen(picture, "", 4) is picture
    assert len(KINDS) > 15


def test_a_test_image_has_its_number_and_class(shown):
    chosen = chosen_test_image(shown, 2)
    name = shown.plan.data.classes[shown.test_label(2)]
    assert chosen.name == f"test 2, true class: {name}"
    np.testing.assert_array_equal(chosen.image, shown.test_image(2))


def bad_files(folder):
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "PNG")
    files = {
        "text.png": (b"hello", "not a picture"),
        "empty.png": (b"", "the file is empty"),
        "cut.png": (content.getvalue()[:-30], "the file is damaged"),
    }
    for name, (written, reason) in files.items():
        (folder / name).write_bytes(written)
        yield folder / name, reason
    Image.new("1", (10_000, 5_000)).save(folder / "large.png")
    yield folder / "large.png", "more than 25,000,000 pixels"


def test_a_bad_file_is_one_line_without_its_folder(shown, tmp_path):
    for path, reason in bad_files(tmp_path):
        with pytest.raises(BadImage, match=reason) as raised:
            shown.classifier.read(path, path.name)
        message = str(raised.value)
        assert message.startswith(f"{path.name}: ")
        assert str(tmp_path) not in message
        assert "\n" not in message


def test_too_many_bytes_are_refused_before_they_are_read(shown, photo, monkeypatch):
    monkeypatch.setattr(classifier_file, "MOST_BYTES", 2**20)
    os.truncate(photo, 2**20 + 1)
    with pytest.raises(BadImage, match=r"a photo\.png: more than 1 MiB: reduce it"):
        shown.classifier.read(photo, photo.name)


@pytest.mark.slow
def test_an_exported_net_classifies_without_a_temperature(small_run, shown, photo, tmp_path):
    export(small_run, tmp_path / "net")
    classifier = Classifier(load(tmp_path / "net"))
    assert classifier.temperature is None
    picture = classifier.read(photo, photo.name)
    values = classifier.values(classifier.scores(picture), calibrated=True)
    (expected,) = predict(shown.scorer, [str(photo)], top=1)
    assert values[expected.classes[0]] == pytest.approx(expected.values[0], abs=1e-4)
