"""Mode predict: what a run's net says of picture files, good and bad."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from awkward_pictures import write_bad, write_good
from photo_folders import draw, fill, other
from PIL import Image
from program import TINY, one_line, run

from cnn_jax import cli
from cnn_jax.data import Shapes
from cnn_jax.data.pictures import picture_files
from cnn_jax.data.pictures.image_files import read_image
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.errors import UserError
from cnn_jax.export import load as load_exported
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.modes.predict import find, predict
from cnn_jax.report.predictions import Prediction, PredictionsFile
from cnn_jax.runs.run_scorer import RunScorer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run on Shapes."""
    folder = tmp_path_factory.mktemp("predict") / "run"
    assert cli.main(["run.py", *TINY, "--config.epochs=1", f"--workdir={folder}"]) == 0
    return folder


def call(trained, *arguments) -> int:
    return cli.main(["run.py", "--mode=predict", f"--workdir={trained}", *map(str, arguments)])


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_data_s_own_images_get_the_scores_of_the_evaluation(trained, tmp_path):
    """Saved as PNG, test images come to the probabilities that the evaluation's scores have."""
    data = Shapes(train=256, validation=64, test=75).load()
    for number, image in enumerate(data.test.images):
        Image.fromarray(image).save(tmp_path / f"{number:03}.png")
    made = predict(RunScorer(trained), [str(tmp_path)], top=10, batch_size=20)
    scores = evaluate(trained).logits
    assert [prediction.path.stem for prediction in made] == [f"{n:03}" for n in range(75)]
    for prediction, score in zip(made, scores, strict=True):
        assert prediction.measure == "probability"
        probability = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
        assert prediction.classes[0] == data.classes[score.argmax()]
        said = dict(zip(prediction.classes, prediction.values, strict=True))
        for name, value in zip(data.classes, probability, strict=True):
            assert said[name] == pytest.approx(value, abs=1e-5)
        assert list(prediction.values) == sorted(prediction.values, reverse=True)


def test_row_22_bad_pictures_are_told_one_by_one_and_the_rest_go_on(trained, tmp_path, capsys):
    good, bad = write_good(tmp_path), write_bad(tmp_path)
    missing = tmp_path / "missing.png"
    out = tmp_path / "predictions.jsonl"
    assert call(trained, *good, *bad, missing, f"--output={out}") == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    *told, last = said.err.strip().splitlines()
    assert len(told) == 7
    for file, line in zip([*bad, missing], told, strict=True):
        assert str(file) in line
    assert last == f"error: 7 of {len(good) + 7} files could not be read"
    for file in good:
        assert file.name.replace("\udcff", "?") in said.out
    written = rows(out)
    assert [row["file"] for row in written] == list(map(str, [*good, *bad, missing]))
    assert [row["file"] for row in written if "error" in row] == list(map(str, [*bad, missing]))
    assert all(len(row["top"]) == 5 for row in written if "error" not in row)


def test_pictures_alone_end_with_0_in_a_process_of_its_own(trained, tmp_path):
    write_good(tmp_path)
    sheet, out = tmp_path / "sheet.png", tmp_path / "out.csv"
    done = run(
        "--mode=predict", f"--workdir={trained}", str(tmp_path), "--top=2",
        f"--output={out}", f"--contact_sheet={sheet}",
    )  # fmt: skip
    assert "web.webp" in done.stdout and not done.stderr
    with open(out, errors="surrogateescape") as file:
        header, *lines = csv.reader(file)
    assert header == ["file", "error", "class_1", "probability_1", "class_2", "probability_2"]
    assert len(lines) == 22 and all(float(line[3]) >= float(line[5]) for line in lines)
    assert Image.open(sheet).width > 500


def test_row_22_every_row_of_a_csv_has_all_columns(tmp_path):
    told = Prediction(Path("good.png"), classes=("cat", "dog"), values=(0.75, 0.25))
    with PredictionsFile(tmp_path / "out.csv", 2, "probability") as file:
        file.write([Prediction(Path("bad.png"), error="no picture")])
        file.write([told])
    assert (tmp_path / "out.csv").read_text() == (
        "file,error,class_1,probability_1,class_2,probability_2\n"
        "bad.png,no picture,,,,\n"
        "good.png,,cat,0.75,dog,0.25\n"
    )


def test_folders_and_patterns_name_each_picture_once(tmp_path):
    for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png", "sub/c.webp", ".git/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    below = [tmp_path / "a.png", tmp_path / "b.JPG", tmp_path / "sub/c.webp"]
    assert find([str(tmp_path)]) == below
    assert find([f"{tmp_path}/*.png", str(tmp_path)]) == below
    assert find([f"{tmp_path}/**/c.*"]) == [tmp_path / "sub/c.webp"]
    assert find([f"{tmp_path}/notes.txt"]) == [tmp_path / "notes.txt"]
    (tmp_path / "odd[1].png").touch()
    assert find([f"{tmp_path}/odd[1].png"]) == [tmp_path / "odd[1].png"]


@pytest.mark.parametrize("named", [[], ["*.nothing"], ["."]])
def test_no_pictures_are_a_mistake(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="pictures") as error:
        find(named)
    assert one_line(str(error.value))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--output=out.txt", "x.png"], ".jsonl"),
        (["--output=nowhere/out.csv", "x.png"], "nowhere"),
        (["--contact_sheet=nowhere/out.png", "x.png"], "nowhere"),
        (["--contact_sheet=out.jpg", "x.png"], ".png"),
        (["--output=TMP/folder.csv", "x.png"], "is a folder"),
        (["--contact_sheet=TMP/folder.png", "x.png"], "is a folder"),
        (["--top=0", "x.png"], "top"),
        (["--config.seed=3", "x.png"], "seed"),
        ([], "pictures"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, named, trained, tmp_path, capsys):
    for name in ("folder.csv", "folder.png"):
        (tmp_path / name).mkdir()
    given = [argument.replace("TMP", str(tmp_path)) for argument in arguments]
    assert call(trained, *given) == 2
    error = capsys.readouterr().err
    assert one_line(error[error.index("error: ") :]) and named in error


def test_neither_a_picture_nor_a_file_of_the_run_is_overwritten(trained, tmp_path, capsys):
    picture = shutil.copy(write_good(tmp_path)[0], tmp_path / "photo.png")
    link = tmp_path / "link.png"
    link.symlink_to(picture)
    figure = trained / "figures" / "learning_curves.png"
    before = {path: path.read_bytes() for path in (picture, figure, trained / "metrics.jsonl")}
    for output in (f"--output={trained}/metrics.jsonl", f"--contact_sheet={figure}"):
        assert call(trained, picture, output) == 2
        assert "is a file of a run" in capsys.readouterr().err
    for named in (picture, link):
        assert call(trained, picture, f"--contact_sheet={named}") == 2
        assert "one of the pictures" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in before.items())
    assert call(trained, picture, f"--output={trained}/predictions.jsonl") == 0


def test_a_net_with_svm_scores_tells_scores(tmp_path):
    arguments = (*TINY, "--config.epochs=1", "--config.loss=MulticlassHinge")
    assert cli.main(["run.py", *arguments, f"--workdir={tmp_path}/run"]) == 0
    shutil.copy(write_good(tmp_path)[0], tmp_path / "one.png")
    (made,) = predict(RunScorer(tmp_path / "run"), [f"{tmp_path}/one.png"], top=3)
    assert made.measure == "score" and len(made.row()["top"]) == 3
    assert made.row()["top"][0]["score"] == max(entry["score"] for entry in made.row()["top"])


def test_a_folder_s_pictures_are_those_that_training_finds(trained, tmp_path):
    """Linked classes and dangling links too; machines' thumbnails not."""
    fill(tmp_path / "own", number=2)
    for name in ("cat", "dog"):
        (tmp_path / "pets").mkdir(exist_ok=True)
        (tmp_path / "pets" / name).symlink_to(tmp_path / "own" / name)
    draw(tmp_path / "own" / "cat" / "@eaDir" / "cat0.png" / "THUMB.png")
    (tmp_path / "own" / "dog" / "gone.jfif").symlink_to("nowhere.jfif")
    pets = tmp_path / "pets"
    assert find([str(pets)]) == picture_files.find(pets).pictures
    assert [path.name for path in find([str(pets)])] == [
        "cat0.png", "cat1.png", "dog0.png", "dog1.png", "gone.jfif",
    ]  # fmt: skip


def test_row_22_what_can_not_be_read_in_a_folder_is_named(trained, tmp_path, capsys):
    folder = tmp_path / "broken"
    draw(folder / "ok.jpg")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    other(folder / "IMG_1.HEIC")
    for name in ("notes.txt", "more.txt", "Thumbs.db", ".hidden.jpg"):
        other(folder / name)
    out = tmp_path / "out.csv"
    assert call(trained, folder, f"--output={out}") == 1
    said = capsys.readouterr()
    assert "ok.jpg" in said.out
    passed_over, *bad, last = said.err.strip().splitlines()
    assert passed_over == f"{folder}: passed over 2 .txt"
    assert [line.partition(":")[0] for line in bad] == [
        f"{folder}/IMG_1.HEIC", f"{folder}/gone.jpg",
    ]  # fmt: skip
    assert last == "error: 2 of 3 files could not be read"
    assert len(out.read_text().splitlines()) == 4


def test_rows_are_written_as_they_come(trained, tmp_path, capsys, monkeypatch):
    """A stop in the second batch leaves the first one's rows, and says so."""
    fill(tmp_path / "pets", number=100)
    out = tmp_path / "out.jsonl"
    calls = []
    original = RunScorer.__call__

    def stopped(self, images):
        calls.append(len(images))
        if len(calls) == 2:
            assert len(rows(out)) == 100
            raise KeyboardInterrupt
        return original(self, images)

    monkeypatch.setattr(RunScorer, "__call__", stopped)
    assert call(trained, tmp_path / "pets", f"--output={out}") == 130
    said = capsys.readouterr()
    assert len(rows(out)) == 100 == len(said.out.splitlines())
    assert f"interrupted: {out} has the first 100 of 200 pictures" in said.err


def test_pictures_take_the_form_of_the_run_s_own(tmp_path):
    """A net of padded photos must not be shown cropped ones, in a run, exported or explained."""
    for name, place in itertools.product(("cat", "dog"), range(10)):
        draw(tmp_path / "pets" / name / f"{name}{place}.jpg", height=300, width=600)
    data = f'--config.data=Folder("{tmp_path}/pets", size=(16, 24), fit="pad")'
    arguments = (
        "--config=quickstart", "--config.model=MLP((8,))", "--config.batch_size=4", data,
        "--config.epochs=1", "--config.augment=()", "--config.optimizer.peak_lr=0.001",
    )  # fmt: skip
    folder = tmp_path / "run"
    assert cli.main(["run.py", *arguments, f"--workdir={folder}"]) == 0
    scorer = RunScorer(folder)
    assert scorer.form == PictureForm(16, 24, 3, "pad", "draft")
    assert cli.main(["run.py", "--mode=export", f"--workdir={folder}"]) == 0
    assert load_exported(folder / "exported").form == scorer.form
    (one,) = predict(scorer, [f"{tmp_path}/pets/cat/cat3.jpg"])
    expected = read_image(tmp_path / "pets" / "cat" / "cat3.jpg", scorer.form)
    np.testing.assert_array_equal(one.image, expected)
    assert not one.image[:2].any()


def test_images_that_no_sheet_shows_are_not_kept(trained, tmp_path):
    fill(tmp_path / "pets", number=70)
    made = predict(RunScorer(trained), [str(tmp_path / "pets")], batch_size=32)
    assert [one.image is not None for one in made] == [True] * 120 + [False] * 20
