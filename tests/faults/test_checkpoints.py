"""Rows 3 to 7, 9, 12 and 26 of docs/reliability.md: what can happen to a checkpoint."""

from __future__ import annotations

import ast
import contextlib
import errno
import hashlib
import pickle
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from program import ROOT, run_script

from cnn_jax.runs.checkpoint import CheckpointError, Checkpoints, NotFinite
from cnn_jax.runs.trained_run import trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import digests


def state_of(step: int) -> dict:
    random = np.random.default_rng(step)
    kernel = random.standard_normal((40, 7)).astype(np.float32)
    return {"step": np.int32(step), "kernel": kernel, "half": jnp.full(3, step, "bfloat16")}


STATE = state_of(0)


class Kept:
    """Checkpoints of a folder, and what they warned of."""

    def __init__(self, folder: Path, steps=(), keep_best=False):
        self.folder, self.warnings = folder, []
        self.checkpoints = Checkpoints(folder, keep_best, warn=self.warnings.append)
        for step in steps:
            self.save(step)
        self.checkpoints.wait()

    def save(self, step, accuracy=None):
        self.checkpoints.save(step, state_of(step), {"train_seconds": 0.5 * step}, accuracy)

    def assert_newest(self, step):
        assert self.checkpoints.latest() == step
        state, progress = self.checkpoints.restore(step, STATE)
        for name, value in state_of(step).items():
            assert np.asarray(state[name]).tobytes() == np.asarray(value).tobytes()
            assert state[name].dtype == value.dtype
        assert progress == {"train_seconds": 0.5 * step}


@pytest.fixture
def kept(tmp_path) -> Kept:
    """Checkpoints of the steps 10 and 20."""
    return Kept(tmp_path / "checkpoints", (10, 20))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_newest_two_are_kept_and_the_best(tmp_path):
    kept = Kept(tmp_path, keep_best=True)
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, None), (4, 0.9), (5, 0.7), (6, None)):
        kept.save(step, accuracy)
    kept.checkpoints.wait()
    assert kept.checkpoints.steps() == [4, 5, 6]
    assert kept.checkpoints.best() == 4
    assert Kept(tmp_path).checkpoints.best() == 4  # another process finds the same
    kept.assert_newest(6)
    assert not kept.warnings


def test_the_digests_are_those_of_sha256sum(kept):
    folder = kept.folder / "20"
    *lines, own = (folder / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert listed == {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
        if path.name != "SHA256SUMS"
    }
    assert any(name.startswith("state/") for name in listed) and "progress.json" in listed
    assert own == "# " + hashlib.sha256("".join(f"{x}\n" for x in lines).encode()).hexdigest()
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


WHEN = {
    "state is written": ("cnn_jax.runs.checkpoint.files", "write_atomically"),
    "progress is written": ("cnn_jax.storage.digests", "seal"),
    "list is written": ("os", "replace"),
    "folder has its name": ("pathlib.Path", "rename"),
}
DYING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{helpers!r}, {faults!r}]
import pathlib, cnn_jax.runs.checkpoint, cnn_jax.storage.digests
from test_checkpoints import Kept
kept = Kept(Path({folder!r}), (10,))
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
setattr({owner}, {name!r}, die)
kept.save(20)
kept.checkpoints.wait()
"""


@pytest.mark.parametrize("when", WHEN)
def test_row_3_killed_during_a_save_just_before_the(when, tmp_path):
    owner, name = WHEN[when]
    faults = Path(__file__).resolve().parent
    helpers = str(faults.parent / "helpers")
    script = DYING.format(
        helpers=helpers, faults=str(faults), folder=str(tmp_path), owner=owner, name=name
    )
    done = run_script(script)
    assert done.returncode == -signal.SIGKILL
    kept = Kept(tmp_path)
    kept.assert_newest(10)
    assert not kept.warnings
    assert [path.name for path in tmp_path.iterdir() if path.name != "10"] == ["20.saving"]
    kept.checkpoints.discard_after(10)
    kept.save(20)
    kept.checkpoints.wait()
    kept.assert_newest(20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "20"]


def test_row_4_a_flipped_bit_at_100_places_is_found_every_time(kept):
    """Each file in turn, the list of digests among them, at a random bit."""
    random = np.random.default_rng(0)
    paths = files(kept.folder / "20")
    assert kept.folder / "20" / "SHA256SUMS" in paths
    paths = [path for path in paths if path.stat().st_size]
    for trial in range(100):
        path = paths[trial % len(paths)]
        whole = path.read_bytes()
        place, bit = random.integers(len(whole)), random.integers(8)
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        kept.warnings.clear()
        assert kept.checkpoints.latest() == 10
        (warning,) = kept.warnings
        assert path.name in warning and "step 10" in warning
        with pytest.raises(CheckpointError, match="damaged"):
            kept.checkpoints.restore(20, STATE)
        path.write_bytes(whole)
    kept.assert_newest(20)


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_row_5_a_file_that_is(damage, kept):
    whole = kept.folder.parent / "whole"
    shutil.copytree(kept.folder / "20", whole)
    for path in files(whole):
        if path.stat().st_size:
            name = path.relative_to(whole)
            DAMAGES[damage](kept.folder / "20" / name)
            kept.warnings.clear()
            kept.assert_newest(10)
            assert name.name in kept.warnings[0]
            shutil.rmtree(kept.folder / "20")
            shutil.copytree(whole, kept.folder / "20")


def test_row_5_none_left_is_one_clear_error(kept):
    for step in (10, 20):
        (kept.folder / str(step) / "progress.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        kept.checkpoints.latest()
    assert "\n" not in str(caught.value)
    for part in ("checkpoints/10", "checkpoints/20", "progress.json is missing", "no good"):
        assert part in str(caught.value)


def test_row_5_a_file_that_does_not_belong_there(kept):
    (kept.folder / "20" / "state" / "more").write_text("?")
    kept.assert_newest(10)
    assert "more" in kept.warnings[0]


def test_row_6_folders_that_are_no_checkpoints_are_ignored(kept):
    for name in ("30", "40.saving", "50.old", "60.orbax-checkpoint-tmp", "latest", "-7", "07"):
        (kept.folder / name).mkdir()
        if name != "30":  # an empty one
            (kept.folder / name / "file").write_text("?")
    (kept.folder / "70").write_text("a file")
    kept.assert_newest(20)
    assert not kept.warnings
    kept.checkpoints.discard_after(20)
    kept.save(30)
    kept.checkpoints.wait()
    kept.assert_newest(30)


def test_row_6_files_in_the_place_of_a_save_s_folders_are_removed(kept):
    for name in ("30", "30.saving", "10.old", "15.damaged", "60.saving", "70.old"):
        (kept.folder / name).write_text("a file")
    shutil.copytree(kept.folder / "20", kept.folder / "15")  # of another step: to be put aside
    kept.checkpoints.discard_after(20)
    left = {path.name for path in kept.folder.iterdir()}
    assert left == {"10", "15.damaged", "20", "30"}
    (kept.folder / "30.saving").write_text("a file")
    (kept.folder / "10.old").write_text("a file")
    kept.save(30)
    kept.checkpoints.wait()
    kept.assert_newest(30)
    assert {path.name for path in kept.folder.iterdir()} == {"15.damaged", "20", "30"}


@pytest.mark.parametrize("moment", ["before it is checked", "before its files are read"])
def test_row_12_a_reader_takes_the_newest_where_training_removes_what_it_reads(
    moment, tmp_path, monkeypatch
):
    """The process that trains saves two more, and so removes the two that were there."""
    run, begun = Run(tmp_path), []
    kept = Kept(tmp_path / "checkpoints", (10, 20))
    owner, name = {
        "before it is checked": (digests, "problem"),
        "before its files are read": (Checkpoints, "restore"),
    }[moment]
    undisturbed = getattr(owner, name)

    def disturbed(*arguments):
        if not begun:
            begun.append(True)
            for step in (30, 40):
                kept.save(step)
            kept.checkpoints.wait()
        return undisturbed(*arguments)

    monkeypatch.setattr("cnn_jax.runs.trained_run.state_shapes", lambda plan: STATE)
    monkeypatch.setattr(owner, name, disturbed)
    plan = SimpleNamespace(experiment=SimpleNamespace(keep_best=False))
    assert trained_state(run, plan)["step"] == 40
    assert begun


def test_row_7_a_full_disk_leaves_the_older_checkpoints(tmp_path):
    """In a process that may write no file of more than 2,000 bytes from some moment on."""
    script = f"""
import resource, sys
from pathlib import Path
sys.path[:0] = [{str(Path(__file__).parents[1] / "helpers")!r}, {str(Path(__file__).parent)!r}]
from test_checkpoints import Kept
from cnn_jax.runs.checkpoint import CheckpointError
import numpy as np
kept = Kept(Path({str(tmp_path)!r}), (10, 20))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
random = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
kept.checkpoints.save(30, {{"kernel": random}}, {{}})
try:
    kept.checkpoints.close()
except CheckpointError as error:
    sys.exit(f"error: {{error}}")
"""
    done = run_script(script)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()
    assert "not saved" in said[-1] and "Traceback" not in done.stderr
    kept = Kept(tmp_path)
    kept.assert_newest(20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "20"]


@pytest.mark.parametrize("notice", ["save", "wait", "close"])
def test_row_9_a_background_save_that_fails_is_told(notice, kept, monkeypatch):
    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(digests, "seal", full)
    kept.save(30)
    with pytest.raises(CheckpointError, match=r"not saved.*No space left"):
        kept.save(40) if notice == "save" else getattr(kept.checkpoints, notice)()
    kept.assert_newest(20)
    assert sorted(path.name for path in kept.folder.iterdir()) == ["10", "20"]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_row_13_what_is_not_finite_is_not_saved(number, kept):
    for name in ("kernel", "half"):
        state = state_of(30)
        state[name] = jnp.asarray(state[name]).at[-1].set(number)
        with pytest.raises(NotFinite, match="step 30"):
            kept.checkpoints.save(30, state, {})
    kept.checkpoints.wait()
    kept.assert_newest(20)


def test_a_step_is_not_saved_over(kept):
    with pytest.raises(CheckpointError, match="already"):
        kept.save(20)


def test_another_structure_is_one_line(kept):
    with pytest.raises(CheckpointError, match="step 20 cannot be restored") as caught:
        kept.checkpoints.restore(20, {"other": np.zeros(3)})
    assert "\n" not in str(caught.value)


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_row_26_a_strangers_checkpoint_runs_no_code(kept, monkeypatch, tmp_path):
    """Sealed by its maker, so that the digests are right, with a pickle in every file's place."""
    monkeypatch.chdir(tmp_path)
    folder = kept.folder / "20"
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    for path in files(whole):
        if path.name == "SHA256SUMS":
            continue
        (folder / path.relative_to(whole)).write_bytes(pickle.dumps(Bomb()))
        digests.seal(folder)
        with contextlib.suppress(CheckpointError):  # Orbax does without some of its files
            kept.checkpoints.restore(20, STATE)
        assert not Path("exploded").exists()
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)


def test_row_26_nothing_in_the_package_unpickles():
    for path in (ROOT / "cnn_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "")]
                assert not {"pickle", "dill", "joblib", "shelve"} & set(names), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert keywords.get("allow_pickle") == "False", path
