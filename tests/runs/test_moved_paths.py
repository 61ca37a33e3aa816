"""A run knows its data by where it is, not by how its path was spelled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photo_folders import draw, fill
from small_run import QUIET

from cnn_jax.data import DataUnavailable, Folder
from cnn_jax.data.dataset import combined_digest
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Distill
from cnn_jax.models import MLP
from cnn_jax.runs import run_paths
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.trained_run import run_data
from cnn_jax.runs.workdir import Run
from cnn_jax.setup import Setup
from cnn_jax.train import train
from cnn_jax.transfer.teacher import teacher_digest, with_teacher


def experiment(path="photos", **fields) -> Experiment:
    return Experiment(
        data=Folder(path, size=8), model=MLP(hidden=()), batch_size=4, epochs=1.0, **fields
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with `photos` and `run`, which was trained on them from that folder."""
    base = tmp_path_factory.mktemp("base")
    fill(base / "photos", {"cat": 8, "dog": 8})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        patch.chdir(base)
        train(experiment(), "run", console=QUIET)
    return base


@pytest.fixture
def base(trained, tmp_path, monkeypatch) -> Path:
    """A copy, as if trained there; the working directory is another folder."""
    base = tmp_path / "base"
    shutil.copytree(trained, base)
    record = base / "run" / "config.json"
    record.write_text(record.read_text().replace(str(trained), str(base)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return base


def record(run: Path) -> dict:
    return json.loads((run / "config.json").read_text())


def resumed(wanted: Experiment, run: Path) -> str:
    """The note of the run that goes on; raises if it does not."""
    return Run(run).check_same(Setup.of(wanted, run=Run(run)).plan, None)


def test_a_run_records_where_its_paths_lead_and_keeps_their_spelling(base):
    saved = record(base / "run")
    assert saved["paths"] == {"data.path": str(base / "photos")}
    assert "path='photos'" in saved["experiment"]
    assert run_paths.to_record(experiment("/a", init_from="~/w.npz")) == {
        "init_from": str(Path("~/w.npz").expanduser())
    }


def test_from_another_working_directory_a_run_finds_its_data(base, monkeypatch):
    plan = Run(base / "run").plan()
    assert run_data(plan).fingerprint == plan.data.fingerprint
    fill(Path("photos"), {"cat": 8, "dog": 8}, seed=1)  # others of the same name
    assert run_data(Run(base / "run").plan()).fingerprint == plan.data.fingerprint
    monkeypatch.chdir(base)
    assert Run("run").plan().experiment.data.path == "photos"
    assert "path='photos'" in Run("run").experiment_text()


def test_a_run_that_was_moved_with_its_data_finds_it_as_written(base, monkeypatch):
    moved = base.rename(base.with_name("moved"))
    with pytest.raises(DataUnavailable):
        run_data(Run(moved / "run").plan())
    monkeypatch.chdir(moved)
    assert run_data(Run("run").plan()).classes == ("cat", "dog")
    assert resumed(experiment(), moved / "run") == f"note: data.path has moved to {moved}/photos"


def test_the_same_command_resumes_from_another_working_directory(base):
    assert resumed(experiment(), base / "run") == ""
    before = record(base / "run")
    assert train(experiment(), base / "run", console=QUIET).summary["finished"]
    assert record(base / "run") == before


@pytest.mark.parametrize("spelling", ["{}/photos", "{}/run/../photos/", "../base/photos", "link"])
def test_another_spelling_of_the_same_folder_is_the_same_experiment(spelling, base):
    Path("link").symlink_to(base / "photos")
    assert resumed(experiment(spelling.format(base)), base / "run") == ""


def test_another_folder_is_another_experiment(base):
    shutil.copytree(base / "photos", "copies")
    with pytest.raises(RunError, match=r"\(data\.path: 'photos' -> 'copies'\)"):
        resumed(experiment("copies"), base / "run")
    Path("copies").rename("photos")
    differing = f"data.path: {base}/photos -> {Path.cwd()}/photos"
    with pytest.raises(RunError, match=rf"\({differing}\)"):
        resumed(experiment(), base / "run")


def test_data_that_has_moved_is_followed_and_recorded(base):
    (base / "photos").rename("moved")
    with pytest.raises(
        DataUnavailable, match=rf"^{base}/photos is not a folder.*; if the data has moved, "
    ):
        run_data(Run(base / "run").plan())
    assert resumed(experiment("moved"), base / "run").startswith("note: data.path has moved to /")
    train(experiment("moved"), base / "run", console=QUIET)
    saved = record(base / "run")
    assert saved["paths"] == {"data.path": str(Path("moved").absolute())}
    assert "path='photos'" in saved["experiment"]
    assert run_data(Run(base / "run").plan()).classes == ("cat", "dog")
    assert resumed(experiment("moved"), base / "run") == ""


def test_data_that_has_moved_and_changed_is_refused_with_what_has_changed(base):
    draw(base / "photos" / "cat" / "new.png", 77)
    changed = r"\(train images \d+ -> \d+; train images of cat \d+ -> \d+\)"
    with pytest.raises(RunError, match=rf"has changed since .*{changed}: restore it, or "):
        run_data(Run(base / "run").plan())
    (base / "photos").rename("moved")
    with pytest.raises(RunError, match=rf"a run on other data named folder:moved {changed}"):
        resumed(experiment("moved"), base / "run")


def test_a_run_without_recorded_paths_is_read_as_before(base, monkeypatch):
    saved = record(base / "run")
    del saved["paths"]
    (base / "run" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(DataUnavailable):
        run_data(Run(base / "run").plan())
    with pytest.raises(RunError, match=r"data\.path: 'photos' -> "):
        resumed(experiment(str(base / "photos")), base / "run")
    monkeypatch.chdir(base)
    assert run_data(Run("run").plan()).classes == ("cat", "dog")
    assert resumed(experiment(), Path("run")) == ""


@pytest.mark.parametrize("paths", [[], {"data.path": 3}])
def test_paths_that_are_no_texts_are_damage(paths, base):
    (base / "run" / "config.json").write_text(json.dumps(record(base / "run") | {"paths": paths}))
    for use in (Run(base / "run").plan, lambda: resumed(experiment(), base / "run")):
        with pytest.raises(RunError, match=r"config\.json is damaged: its paths are no texts$"):
            use()


def test_what_was_saved_before_a_field_existed_keeps_its_meaning(base):
    """`Folder.decode` was added: before, every pixel was decoded."""
    saved = record(base / "run")
    assert "decode='draft'" in saved["experiment"]
    saved["experiment"] = saved["experiment"].replace(", decode='draft'", "")
    (base / "run" / "config.json").write_text(json.dumps(saved))
    assert Run(base / "run").experiment().data.decode == "full"
    with pytest.raises(RunError, match=r"\(data\.decode: 'full' -> 'draft'\)"):
        resumed(experiment(), base / "run")


def test_a_teacher_is_the_same_from_any_working_directory(base, monkeypatch):
    def digest(path):
        plan = Setup.of(experiment(str(base / "photos"))).plan
        student = experiment(str(base / "photos"), distill=Distill(path))
        plan, weights = with_teacher(type(plan).of(student, plan.data))
        return teacher_digest(plan.teacher, weights)

    elsewhere = digest(str(base / "run"))
    monkeypatch.chdir(base)
    assert digest("run") == elsewhere


def test_a_teacher_from_before_a_field_existed_keeps_its_digest(base):
    """The digest was of the text of its experiment, as config.json has it."""
    saved = record(base / "run")
    saved["experiment"] = saved["experiment"].replace(", decode='draft'", "")
    (base / "run" / "config.json").write_text(json.dumps(saved))
    teacher = Run(base / "run").plan(as_written=True)
    assert teacher_digest(teacher, {}) == combined_digest([saved["experiment"], repr(teacher.data)])


def test_initial_weights_are_found_from_another_working_directory_but_not_elsewhere(base):
    """Nothing tells whether weights elsewhere are the same, so they must not have moved."""
    written, recorded = experiment(init_from="run"), {"init_from": str(base / "run")}
    found = run_paths.completed(written, written, recorded)
    assert found.init_from == str(base / "run")
    assert run_paths.compare(written, found, recorded, {"data"}).respelled == written
    (base / "run").rename("moved")
    assert run_paths.completed(written, written, recorded) == written
    moved = experiment(init_from="moved")
    assert run_paths.compare(written, moved, recorded, {"data"}) == (moved, {}, [])
    Path("moved").rename("run")  # beside the run's folder, which was moved too
    here = {"init_from": str(Path("run").absolute())}
    assert run_paths.compare(written, written, recorded, {"data"}) == (written, here, [])


def test_a_teacher_may_have_moved_if_its_weights_are_compared(base):
    written = experiment(distill=Distill("run"))
    recorded = {"distill.teacher": str(base / "run")}
    (base / "run").rename("moved")
    moved = experiment(distill=Distill("moved"))
    compared = run_paths.compare(written, moved, recorded, {"data", "distill"})
    assert compared.respelled == written
    assert compared.moved == {"distill.teacher": str(Path("moved").absolute())}
    assert run_paths.compare(written, moved, recorded, {"data"}).respelled == moved
