"""Mode evaluate on a small run on Shapes: what it says, writes and draws."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from program import TINY

from cnn_jax import cli
from cnn_jax.analysis.calibration import softmax
from cnn_jax.modes.evaluate import _measures, evaluate
from cnn_jax.training.evaluator import Evaluation


def trained(folder, *fields):
    """A folder of a finished run of the least that compiles."""
    least = ("--config.epochs=1", "--config.model=MLP((8,))")
    assert cli.main(["run.py", *TINY, *least, *fields, f"--workdir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a finished run."""
    return trained(tmp_path_factory.mktemp("evaluate") / "run")


def call(folder, *arguments) -> dict:
    assert cli.main(["run.py", "--mode=evaluate", f"--workdir={folder}", *arguments]) == 0
    return json.loads((folder / "evaluation.json").read_text())


def test_what_is_written_is_what_was_measured(folder, capsys):
    written = call(folder)
    said = capsys.readouterr().out
    result = evaluate(folder)
    assert written["balanced_accuracy"] == pytest.approx(result.per_class().mean())
    assert written["top5_accuracy"] == result.top(5) > result.accuracy
    counts = np.array(written["confusion"])
    assert counts.sum() == written["examples"] == 75
    for number, (name, found) in enumerate(written["per_class"].items()):
        right, of, taken = counts[number, number], counts[number].sum(), counts[:, number].sum()
        assert found["recall"] == written["per_class_accuracy"][name] == right / of
        assert found["precision"] == (right / taken if taken else None)
        assert found["f1"] == pytest.approx(2 * right / (of + taken))
    calibrated = written["calibration"]
    probabilities = softmax(result.logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == result.labels
    ece = sum(
        abs(right[inside].mean() - confidence[inside].mean()) * inside.mean()
        for low in np.arange(15) / 15
        if (inside := (confidence > low) & (confidence <= low + 1 / 15)).any()
    )
    assert calibrated["ece"] == pytest.approx(ece)
    assert sum(calibrated["bins"]["examples"]) == 75
    assert calibrated["temperature_fitted_on"] == "validation"
    assert f"ECE {ece:.2%} in 15 bins" in said
    for name in ("confusion_matrix", "mistakes", "reliability"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("classes", "labels", "part", "line"),
    [
        (10, [0, 0, 1], "test", "test accuracy 66.67%"),
        (10, [0, 0, 0, 1], "test", "test accuracy 75.00%, balanced accuracy 50.00%"),
        (11, [0, 0, 1], "all", "accuracy 66.67%, top-5 accuracy 100.00%"),
        (
            11,
            [0, 0, 0, 9],
            "all",
            "accuracy 75.00%, balanced accuracy 50.00%, top-5 accuracy 75.00%",
        ),
    ],
)
def test_the_first_line_has_the_accuracies_that_tell_more(classes, labels, part, line):
    """The net always says class 0, then 1, and so on."""
    logits = np.tile(-np.arange(classes, dtype=np.float32), (len(labels), 1))
    result = Evaluation(0.0, float(np.mean(np.equal(labels, 0))), logits, np.array(labels))
    assert _measures(SimpleNamespace(part=part), result) == line


def test_another_data_set_is_scored_on_its_test_set(folder, capsys, monkeypatch):
    monkeypatch.setattr("cnn_jax.modes.evaluate._draw", lambda *_: None)
    before = (folder / "evaluation.json").read_bytes()
    call(folder, "--config.data=Shapes(train=8, validation=8, test=12, seed=1)")
    assert ": test accuracy " in capsys.readouterr().out
    written = json.loads((folder / "evaluations" / "shapes" / "evaluation.json").read_text())
    assert (written["dataset"], written["split"], written["examples"]) == ("shapes", "test", 12)
    assert written["calibration"]["temperature_fitted_on"] == "validation"
    assert (folder / "evaluation.json").read_bytes() == before


def test_the_views_that_are_asked_for(folder, capsys):
    run, plain = call(folder), call(folder, "--tta=none")
    assert run["tta"] == "mirror"  # the recipe's
    assert "tta mirror" in capsys.readouterr().out
    assert plain["tta"] == "none" and plain["loss"] != run["loss"]
    assert cli.main(["run.py", "--mode=evaluate", f"--workdir={folder}", "--tta=mirrored"]) == 2
    error = capsys.readouterr().err
    assert "tta" in error and "mirror_translate" in error


@pytest.mark.slow
def test_robustness_goes_into_the_same_json_and_two_more_pictures(folder, capsys):
    written = call(folder, "--robustness", "--examples=6")
    said = capsys.readouterr().out
    assert written["examples"] == 75 and written["robustness"]["examples"] == 6
    assert "CIFAR" not in said  # the other test sets are of other classes
    assert "without frost and spatter" in said
    for name in ("robustness", "corruptions"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
    # It took minutes, so an evaluation without it keeps it, and the views that it was found in.
    assert written["robustness"]["tta"] == "mirror"
    assert call(folder)["robustness"] == written["robustness"]
    plain = call(folder, "--tta=none")
    assert plain["tta"] == "none" and plain["robustness"] == written["robustness"]
    arguments = ["run.py", "--mode=evaluate", f"--workdir={folder}", "--examples=6"]
    assert cli.main(arguments) == 2
    assert "--robustness" in capsys.readouterr().err


def test_without_validation_there_is_no_temperature(tmp_path, capsys):
    folder = trained(tmp_path / "run", "--config.data=Shapes(train=64, validation=0, test=40)")
    capsys.readouterr()
    calibrated = call(folder)["calibration"]
    assert calibrated["ece"] > 0 and calibrated["temperature"] is None
    assert "no temperature, since the run has no validation images" in capsys.readouterr().out


def test_without_probabilities_there_is_no_calibration(tmp_path, capsys):
    folder = trained(
        tmp_path / "run",
        "--config.data=Shapes(train=64, validation=32, test=40)",
        "--config.loss=MulticlassHinge",
    )
    assert call(folder)["calibration"] is None
    assert "MulticlassHinge has no probabilities" in capsys.readouterr().out
    assert not (folder / "figures" / "reliability.png").exists()
    assert (folder / "figures" / "mistakes.png").exists()
