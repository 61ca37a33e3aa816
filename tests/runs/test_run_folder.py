"""A run's folder when it begins: under a free name, and as it was before if the run fails."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import threading
import time

import pytest
from program import TINY
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runs import run_folder
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.sweeps.sweep_folder import Member
from cnn_jax.train import train

SECOND = "20261128-120000"
FAST = (
    *TINY,
    "--config.model=MLP(hidden=(4,))",
    "--config.epochs=1",
)


@pytest.fixture
def one_second(tmp_path, monkeypatch):
    """Everything begins in the same second, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda *_: SECOND)
    return tmp_path


def test_folders_created_at_once_have_names_of_their_own(tmp_path):
    number = 16
    barrier = threading.Barrier(number)

    def create(_):
        barrier.wait()
        with run_folder.created(tmp_path / "runs" / "net" / "now", free_name=True) as folder:
            return folder.name

    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        names = {*pool.map(create, range(number))}
    assert names == {"now", *(f"now-{n}" for n in range(1, number))}


def test_row_12_a_run_without_workdir_gets_a_folder_beside_that_of_the_same_second(
    one_second, monkeypatch, capsys
):
    """The other one trains already, with the same recipe, and has checkpoints."""

    class Begun(Exception):
        pass

    def begin(setup, state, recorder, **_):
        assert recorder.run.folder.name == f"{SECOND}-1" and recorder.run.exists()
        assert int(state.step) == 0
        raise Begun

    monkeypatch.setattr("cnn_jax.train.run_steps", begin)
    other = Run(one_second / "runs" / "quickstart" / SECOND)
    with other.locked():
        (other.folder / "config.json").write_text("{}")
        (other.folder / "checkpoints" / "7").mkdir(parents=True)
        with pytest.raises(Begun):
            cli.main(["run.py", *FAST])
        assert f"{SECOND}-1" in capsys.readouterr().out
        assert [path.name for path in other.folder.parent.iterdir()] == [SECOND]


def test_row_12_a_new_run_is_not_taken_for_the_one_in_the_folder_of_its_second(one_second, capsys):
    """A run with checkpoints would need no initial weights."""
    other = Run(one_second / "runs" / "quickstart" / SECOND)
    (other.folder / "checkpoints" / "7").mkdir(parents=True)
    (other.folder / "checkpoints" / "7" / "state").write_text("")
    assert other.checkpoints().steps() == [7]
    assert cli.main(["run.py", *FAST, "--config.init_from=nothing"]) == 2
    assert "init_from=nothing" in capsys.readouterr().err


def test_a_sweep_without_workdir_gets_a_folder_of_its_own(one_second, monkeypatch):
    trained, ended = [], set()

    def record(experiment, folder, **_):
        assert folder.parent.is_dir()
        trained.append(folder.relative_to("runs/quickstart").as_posix())
        ended.add(folder)

    monkeypatch.setattr("cnn_jax.modes.sweep.train", record)
    monkeypatch.setattr(Member, "summary", lambda self: self.run.folder in ended and {})
    monkeypatch.setattr(Member, "ended", lambda self: self.run.folder in ended)
    for _ in range(2):
        assert cli.main(["run.py", *FAST, "--mode=sweep", "--sweep=seed=0,1"]) == 0
    assert trained == [f"{name}/00{n}" for name in (SECOND, f"{SECOND}-1") for n in (0, 1)]


@pytest.mark.parametrize("mode", [[], ["--mode=sweep", "--sweep=seed=0,1"], ["--mode=benchmark"]])
def test_a_run_that_does_not_pass_its_checks_leaves_nothing(mode, one_second, capsys):
    assert cli.main(["run.py", *FAST, "--config.batch_size=512", *mode]) == 2
    assert "512" in capsys.readouterr().err
    assert not [*one_second.iterdir()]


def test_a_sweep_whose_first_run_cannot_begin_leaves_nothing(one_second, monkeypatch):
    def fail(*_, **__):
        raise UserError("no")

    monkeypatch.setattr("cnn_jax.modes.sweep.train", fail)
    assert cli.main(["run.py", *FAST, "--mode=sweep", "--sweep=seed=0,1"]) == 2
    assert not [*one_second.iterdir()]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("cnn_jax.runs.recorder.hardware.manifest", MemoryError()),
        ("cnn_jax.runs.recorder.TensorBoard", OSError(errno.ENOSPC, "full")),
        ("cnn_jax.train.run_steps", KeyboardInterrupt()),
    ],
)
def test_row_29_a_failed_start_leaves_the_folder_as_it_was(where, error, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    before = files()
    with monkeypatch.context() as failing:
        failing.setattr(where, fail)
        for folder in (theirs, tmp_path / "new" / "run"):
            with pytest.raises(type(error)):
                train(EXPERIMENT, folder, console=QUIET)
    assert {path.name for path in theirs.iterdir()} <= {"notes.txt", ".lock"}
    assert {path: text for path, text in files().items() if path.name != ".lock"} == before
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_row_29_another_experiment_can_take_the_folder_of_a_failed_start(plan_of, tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(MemoryError), run.locked():
        run.begin(plan_of(batch_size=64), None, {})
        raise MemoryError
    with run.locked():
        run.begin(plan_of(batch_size=16), None, {})
    assert run.experiment_text().count("batch_size=16")


@pytest.mark.parametrize("recorded", ["metrics.jsonl", "checkpoints/4/state", "profile/trace"])
def test_row_29_what_a_run_has_recorded_stays_with_its_config(recorded, plan_of, tmp_path):
    run = Run(tmp_path / "run")
    with contextlib.suppress(MemoryError), run.locked():
        run.begin(plan_of(), None, {})
        path = run.folder / recorded
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"step": 4, "split": "train"}\n')
        raise MemoryError
    assert path.exists() and run.exists()
    with pytest.raises(RunError, match="another experiment"), run.locked():
        run.begin(plan_of(batch_size=8), None, {})
    assert path.exists() and run.exists()


def test_a_refused_process_takes_nothing_from_the_one_that_trains(plan_of, tmp_path):
    run = Run(tmp_path / "run")
    with run.locked():
        for _ in range(2):  # before and after the other has begun
            with pytest.raises(RunError, match="is training here"), Run(run.folder).locked():
                pass
            run.begin(plan_of(), None, {})
            assert (run.folder / ".lock").exists() and run.exists()


@pytest.mark.parametrize("new", [True, False])
def test_a_parent_that_is_a_link_to_nowhere_is_one_line(new, plan_of, tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "gone")
    run = Run(tmp_path / "runs" / "now", new=new)
    with (
        pytest.raises(RunError, match=r"runs is a link to .*gone, which does not exist"),
        run.locked(),
    ):
        pass
