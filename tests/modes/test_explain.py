"""Mode explain: the figures of what a run's net sees, and what it says beside them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from program import TINY, one_line

from cnn_jax import cli
from cnn_jax.data import Shapes
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.modes.explain import explain
from cnn_jax.modes.predict import predict
from cnn_jax.runs.run_scorer import RunScorer

SHAPES = Shapes(train=256, validation=64, test=75)
MAPS = ["saliency.png", "smooth_grad.png"]
FIGURES = ["activations.png", *MAPS, "grad_cam.png", "first_layer_filters.png"]


def trained(folder, *arguments):
    assert cli.main(["run.py", *TINY, "--config.epochs=1", *arguments, f"--workdir={folder}"]) == 0
    for figure in (folder / "figures").iterdir():
        figure.unlink()  # of the training
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The folder of a finished run on Shapes."""
    return trained(tmp_path_factory.mktemp("explain") / "run")


def call(folder, *arguments) -> int:
    return cli.main(["run.py", "--mode=explain", f"--workdir={folder}", *map(str, arguments)])


def check_figures(folder, names):
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(names)
    for name in names:
        with Image.open(folder / "figures" / name) as picture:
            assert picture.format == "PNG" and picture.width == 1050 and picture.height < 1650
            assert np.asarray(picture.convert("L")).std() > 5


def test_the_figures_of_test_images_and_what_the_net_says_of_them(plain, capsys):
    assert call(plain, "--images=3,0,74") == 0
    said = capsys.readouterr().out
    check_figures(plain, FIGURES)
    data, scores = SHAPES.load(), evaluate(plain).logits
    for number in (3, 0, 74):
        probability = np.exp(scores[number]) / np.exp(scores[number]).sum()
        best, true = scores[number].argmax(), data.test.labels[number]
        line = f"test {number}: {data.classes[best]} {probability[best]:.1%}, "
        line += "correct" if best == true else f"true class: {data.classes[true]} "
        assert line in said
    assert f"wrote {', '.join(FIGURES)} to {plain}/figures" in said.replace("\n", "")


def test_without_numbers_the_seed_draws_the_images(plain, monkeypatch):
    monkeypatch.setattr("cnn_jax.modes.explain._draw", lambda *_: FIGURES)
    names = [one.name for one in explain(plain)]
    assert len(set(names)) == 6 and [one.name for one in explain(plain)] == names


def test_picture_files_have_no_true_class(plain, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cnn_jax.modes.explain._draw", lambda *_: FIGURES)
    picture = Image.fromarray(SHAPES.load().test.images[7])
    picture.save(tmp_path / "seven.png")
    picture.save(tmp_path / "a name that is too long.png")
    assert call(plain, tmp_path / "seven.png", tmp_path / "a*.png") == 0
    (first, second) = predict(
        RunScorer(plain), [f"{tmp_path}/seven.png", f"{tmp_path}/a*.png"], top=1
    )
    assert first.classes == second.classes
    said = f"{first.classes[0]} {first.values[0]:.1%}"
    lines = capsys.readouterr().out.splitlines()
    assert f"seven.png: {said}" in lines and f"a name tha...g.png: {said}" in lines


@pytest.mark.slow
def test_views_averages_half_precision_and_stock_convolutions(tmp_path):
    folder = trained(
        tmp_path / "run", "--config.tta=mirror", "--config.ema=0.9",
        "--config.precision=bfloat16", "--config.convolutions=stock",
    )  # fmt: skip
    (made,) = explain(folder, [5])
    check_figures(folder, FIGURES)
    score = evaluate(folder).logits[5]
    assert made.best[0][0] == SHAPES.load().classes[score.argmax()]
    assert made.best[0][1] == pytest.approx(np.exp(score).max() / np.exp(score).sum(), rel=1e-3)


def test_a_net_without_convolutions_says_so_and_svm_scores_are_no_probabilities(tmp_path, capsys):
    folder = trained(
        tmp_path / "run", "--config.model=MLP(hidden=(8,))", "--config.loss=MulticlassHinge"
    )
    (made,) = explain(folder, [5])
    assert "MLP(hidden=(8,)) has no convolution" in capsys.readouterr().out.replace("\n", " ")
    check_figures(folder, [*MAPS, "first_layer_filters.png"])
    score = evaluate(folder).logits[5]
    assert made.measure == "score" and made.best[0][1] == pytest.approx(score.max(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--images=75"], "0 to 74"),
        (["--images=3,-1"], "-1"),
        (["--images=three"], "images"),
        (["--images=3", "x.png"], "not both"),
        ([f"--images={','.join(map(str, range(19)))}"], "18"),
        (["missing.png"], "missing.png"),
        (["--top=3"], "--mode=predict"),
        (["--config.seed=3"], "seed"),
        (["--workdir=nowhere"], "nowhere"),
        (["--workdir="], "workdir"),
        (["--mode=evaluate", "--images=3"], "--mode=explain"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, named, plain, capsys):
    assert call(plain, *arguments) == 2
    error = capsys.readouterr().err
    assert one_line(error[error.index("error: ") :]) and named in error
