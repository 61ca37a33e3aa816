"""Mode evaluate with --config.data: a run is scored on labelled data that it was not made on."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from photo_folders import draw, fill
from prepared_folder import write_set
from program import one_line
from rich.console import Console
from small_run import QUIET

from cnn_jax import cli
from cnn_jax.data import Folder, Tfds
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.modes import evaluate as evaluation
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.runs.other_data import load_other, matching
from cnn_jax.runs.output_paths import written_by_a_run
from cnn_jax.runs.workdir import Run
from cnn_jax.train import train

CLASSES = ("Cat", "bird", "dog")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with `pets` and `run`, trained and evaluated on them, padded to 8x6."""
    base = tmp_path_factory.mktemp("base")
    fill(base / "pets", dict.fromkeys(CLASSES, 10))
    wanted = Experiment(
        data=Folder(str(base / "pets"), size=(8, 6), fit="pad", decode="full", test=0.3),
        model=MLP(hidden=()),
        batch_size=8,
        epochs=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        train(wanted, base / "run", console=QUIET)
        with patch.context() as undrawn:
            undrawn.setattr(evaluation, "_draw", lambda *_: None)
            evaluate(base / "run", console=QUIET)
        yield base


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Draws no figures, which takes most of the time; returns what would."""
    drawing = evaluation._draw
    monkeypatch.setattr(evaluation, "_draw", lambda *_: None)
    return drawing


@pytest.fixture
def run(base):
    """The run's folder; evaluations of other data are removed afterwards."""
    before = {path: path.read_bytes() for path in (base / "run").rglob("*") if path.is_file()}
    yield base / "run"
    shutil.rmtree(base / "run" / "evaluations", ignore_errors=True)
    after = {path: path.read_bytes() for path in (base / "run").rglob("*") if path.is_file()}
    assert after == before  # what the run wrote itself stays as it was


def scored(run, data) -> tuple[dict, str]:
    """What is recorded and printed of an evaluation on other data."""
    out = io.StringIO()
    evaluate(run, data=data, console=Console(file=out, width=300))
    said = out.getvalue()
    folder = said.rpartition("figures/ to ")[2].strip()
    return json.loads((Path(folder) / "evaluation.json").read_text()), said


def refusal(run, *arguments, capsys) -> str:
    """The one line of a refused command line."""
    capsys.readouterr()
    assert cli.main(["run.py", "--mode=evaluate", f"--workdir={run}", *arguments]) == 2
    said = capsys.readouterr().err  # with the lines on what is read
    error = said[said.index("error: ") :]
    assert one_line(error)
    return error


def test_all_images_of_an_unsplit_folder_are_scored_by_class_name(
    run, tmp_path, undrawn, monkeypatch
):
    monkeypatch.setattr(evaluation, "_draw", undrawn)
    other = fill(tmp_path / "other", {"cat": 4, "dog": 3, "emu": 2, "fox": 1}, seed=1)
    written, said = scored(run, Folder(str(other)))
    assert (written["dataset"], written["split"], written["examples"]) == ("folder:other", "all", 7)
    assert np.sum(written["confusion"], axis=1).tolist() == [4, 0, 3]
    assert written["left_out"] == {"emu": 2, "fox": 1}
    assert written["classes_without_images"] == ["bird"]
    lines = said.splitlines()
    assert lines[0] == "folder:other is not split: all its images are scored"
    assert lines[1] == (
        "3 images of folder:other are left out, of classes that the net lacks: emu, fox"
    )
    assert lines[2] == "folder:other has no image of these classes of the net: bird"
    assert f": accuracy {written['accuracy']:.2%} on folder:other (" in lines[3]
    assert "test accuracy" not in said
    assert written["per_class"]["bird"]["recall"] is None
    assert written["calibration"]["temperature_fitted_on"] == "validation"
    folder = run / "evaluations" / "folder-other"
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "confusion_matrix.png",
        "mistakes.png",
        "reliability.png",
    }
    assert written_by_a_run(folder / "evaluation.json")


def test_a_folder_is_read_as_the_run_s_own(run, tmp_path):
    plan = Run(run).plan()
    other = fill(tmp_path / "other", dict.fromkeys(CLASSES, 2), seed=1)
    source = Folder(str(other), size=99, channels=1, fit="crop", decode="draft")
    found = load_other(plan, source)
    assert found.config == Folder(str(other), size=(8, 6), fit="pad", decode="full", test=0.3)
    assert found.split.images.shape == (6, 8, 6, 3)
    assert not found.split.images[:, 0].any()  # the bars of pictures that are padded


def test_a_split_folder_is_scored_on_its_test_images(run, tmp_path):
    for part, number in (("train", 4), ("test", 2)):
        fill(tmp_path / "other" / part, dict.fromkeys(CLASSES, number), seed=number)
    written, said = scored(run, Folder(str(tmp_path / "other")))
    assert (written["split"], written["examples"]) == ("test", 6)
    assert "not split" not in said and ": test accuracy " in said


def test_the_run_s_own_folder_gives_its_own_test_images(run, base, tmp_path, monkeypatch):
    own = json.loads((run / "evaluation.json").read_text())
    monkeypatch.chdir(base)
    for path in ("pets", shutil.copytree(base / "pets", tmp_path / "copy")):
        written, said = scored(run, Folder(str(path)))
        assert (written["split"], written["examples"]) == ("test", 9)
        assert written["loss"] == own["loss"]
        assert "is the data of the run: only its test images are scored\n" in said


def test_the_run_s_own_folder_with_a_picture_more_says_what_has_changed(run, base):
    more = base / "pets" / "dog" / "more.png"
    draw(more, 5)
    try:
        with pytest.raises(UserError, match=r"of dog \d+ -> \d+.*--config\.data"):
            evaluate(run, console=QUIET)
        written, said = scored(run, Folder(str(base / "pets")))
    finally:
        more.unlink()
    assert written["split"] == "test"
    assert "only its test images are scored; it has changed since (train images 18 -> 19; " in said
    assert written["calibration"]["temperature"] is None
    assert "since the run's validation images can't be loaded" in said


def test_other_data_of_the_same_name_has_its_own_folder(run, tmp_path):
    data = []
    for seed in (1, 2):
        data.append(Folder(str(fill(tmp_path / str(seed) / "x", {"dog": 2, "bird": 2}, seed=seed))))
    first, second, again = (scored(run, one)[0] for one in (*data, data[0]))
    assert first == again and first["fingerprint"] != second["fingerprint"]
    assert {path.name for path in (run / "evaluations").iterdir()} == {"folder-x", "folder-x-2"}
    assert "Folder(path=" in second["config"] and "size=(8, 6)" in second["config"]


def test_what_cannot_be_scored_is_one_line(run, tmp_path, capsys):
    fill(tmp_path / "other", {"emu": 2, "fox": 2})
    error = refusal(run, f"--config.data=Folder({str(tmp_path / 'other')!r})", capsys=capsys)
    assert "has none of the net's classes: it has emu, fox, and the net Cat, bird, dog" in error
    error = refusal(run, f"--config.data=Folder({str(tmp_path / 'none')!r})", capsys=capsys)
    assert f"{tmp_path / 'none'} is not a folder" in error
    error = refusal(run, "--config.data=Shapes(test=2, train=2)", capsys=capsys)
    assert "shapes has images of 32x32x3, and the net takes 8x6x3" in error
    error = refusal(run, "--config.data=Shapes", "--robustness", capsys=capsys)
    assert "--robustness is measured on the run's own test set: drop --config.data" in error
    error = refusal(run, "--config.data=Shapes", "--config.epochs=3", capsys=capsys)
    assert "cannot be overridden: drop --config.epochs" in error
    error = refusal(run, "--config=cifar10_mlp", "--config.seed=3", capsys=capsys)
    assert "cannot be overridden: drop --config.seed" in error
    assert not (run / "evaluations").exists()


def test_the_command_line_names_other_data_and_its_parts(run, tmp_path, capsys):
    other = fill(tmp_path / "other", {"cat": 2, "dog": 2}, seed=1)
    more = ["--config.data=Folder('unused')", f"--config.data.path={other}"]
    assert cli.main(["run.py", "--mode=evaluate", f"--workdir={run}", *more]) == 0
    said = capsys.readouterr()
    assert "on folder:other (" in said.out
    assert "discards" not in said.err  # nothing of the recipe is used
    (tmp_path / "recipe.py").write_text(
        "from cnn_jax.data import Folder\nfrom cnn_jax.experiment import Experiment\n"
        "from cnn_jax.models import MLP\nexperiment = Experiment(data=Folder('x'), model=MLP())\n"
    )
    recipe = f"--config={tmp_path / 'recipe.py'}"
    error = refusal(run, recipe, f"--config.data.path={other}", capsys=capsys)
    assert "--config.data.path needs the whole --config.data=..." in error


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("Cat", "dog"), {"Cat": 0, "dog": 2}),
        (("CAT", "DOG", "Bird"), {"CAT": 0, "DOG": 2, "Bird": 1}),
        (("cat", "Cat"), {"Cat": 0}),
        (("cat", "CAT"), {}),
        (("emu",), {}),
    ],
)
def test_names_match_exactly_or_but_for_their_case(names, found):
    assert matching(names, CLASSES) == found
    assert matching(("ab",), ("AB", "Ab")) == {}


def test_a_folder_too_small_to_train_on_is_scored(run, tmp_path):
    """One class, a class without pictures, and one picture: nothing of it becomes a share."""
    draw(tmp_path / "few" / "dog" / "0.png", 1)
    (tmp_path / "few" / "bird").mkdir()
    written, said = scored(run, Folder(str(tmp_path / "few")))
    assert (written["split"], written["examples"]) == ("all", 1)
    assert said.splitlines()[0] == "folder:few is not split: all its images are scored"
    with pytest.raises(UserError, match=r"has train but no test set"):
        fill(tmp_path / "half" / "train", {"dog": 2, "bird": 2})
        evaluate(run, data=Folder(str(tmp_path / "half")), console=QUIET)


def test_images_that_the_run_was_trained_on_are_counted(run, base, tmp_path):
    copy = tmp_path / "more"
    shutil.copytree(base / "pets", copy)
    draw(copy / "dog" / "new.png", 999)
    _, said = scored(run, Folder(str(copy)))
    trained = 30 - 3 * 3  # all but the test share of 0.3
    assert f"{trained} of these 31 images are training or validation images of the run" in said


def test_a_tfds_set_of_one_split_is_brought_into_the_form_of_the_net(run, tmp_path, monkeypatch):
    examples = [(np.full((20, 9 + n, 3), 20 * n, np.uint8), n % 2) for n in range(6)]
    write_set(tmp_path, "wild", {"test": examples}, ("dog", "wolf"), shape=(None, None, 3))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    found, said = scored(run, Tfds("wild"))
    assert found["config"] == (
        "Tfds(name='wild:1.0.0', size=(8, 6), splits=('test',), channels=3, fit='pad', "
        "decode='full')"
    )
    assert found["left_out"] == {"wolf": 3} and found["classes_without_images"] == ["Cat", "bird"]
    assert "tfds:wild" in said
