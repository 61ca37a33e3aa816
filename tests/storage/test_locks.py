"""Locks and flushing, also on file systems that lack them; a process stands for another machine."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
from program import ROOT, one_line

from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import files, locks

NO_FLOCK = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP]
# Holds the soft lock that is its argument, and says so, until it is killed.
HOLD = """
import errno, fcntl, sys, time
from pathlib import Path
from cnn_jax.storage import locks
def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
with locks.locked(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


def failing(code: int):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture(params=NO_FLOCK, ids=errno.errorcode.get)
def without_flock(request, monkeypatch):
    monkeypatch.setattr("fcntl.flock", failing(request.param))
    monkeypatch.setattr(locks, "_warned_folders", set())
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.01)


def test_a_lock_keeps_others_out_and_names_its_holder(tmp_path):
    path = tmp_path / "new" / ".lock"
    with files.locked(path):
        with pytest.raises(BlockingIOError) as refused, files.locked(path, wait=False):
            pass
        assert refused.value.holder == f"process {os.getpid()}"
        path.write_text("123\nnode7\n")  # the holder is on another machine
        with pytest.raises(locks.LockHeld) as refused, files.locked(path, wait=False):
            pass
        assert refused.value.holder == "process 123 on node7" and refused.value.marker is None
    with files.locked(path, wait=False):
        assert path.read_text() == f"{os.getpid()}\n{socket.gethostname()}\n"


def test_the_lock_of_a_removed_file_is_taken_again(tmp_path, monkeypatch):
    """The holder before removes the folder between the opening and the locking of the file."""
    path, flock, times = tmp_path / "run" / ".lock", locks.fcntl.flock, []

    def removed_once(*arguments):
        if not times:
            shutil.rmtree(path.parent)
        times.append(arguments)
        flock(*arguments)

    monkeypatch.setattr("fcntl.flock", removed_once)
    with files.locked(path, wait=False):
        assert len(times) == 2
        with pytest.raises(locks.LockHeld), files.locked(path, wait=False):
            pass


@pytest.mark.usefixtures("without_flock")
def test_row_28_a_soft_lock_replaces_a_missing_flock_with_one_warning(tmp_path, caplog):
    path = tmp_path / ".lock"
    for _ in range(2):
        with files.locked(path, wait=False):
            with pytest.raises(locks.LockHeld) as refused, files.locked(path, wait=False):
                pass
            assert refused.value.holder == f"process {os.getpid()}"
            assert refused.value.marker == tmp_path / ".lock.held"
        assert not (tmp_path / ".lock.held").exists()
    (line,) = caplog.messages
    assert str(tmp_path) in line and "no file locks" in line and "killed on another machine" in line


@pytest.mark.usefixtures("without_flock")
def test_a_soft_lock_is_waited_for(tmp_path, caplog):
    path, entered = tmp_path / ".lock", threading.Event()

    def second():
        with files.locked(path):
            entered.set()

    with files.locked(path):
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.2)
    other.join(30)
    assert entered.is_set()
    (line,) = [line for line in caplog.messages if "waiting" in line]
    assert f"process {os.getpid()}" in line and ".lock.held" in line


def test_row_28_a_soft_lock_of_a_killed_process_on_this_machine_ends_with_it(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        monkeypatch.setattr("fcntl.flock", failing(errno.ENOLCK))
        with pytest.raises(locks.LockHeld) as refused, files.locked(path, wait=False):
            pass
        assert refused.value.holder == f"process {holder.pid}"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        if holder.stdout:
            holder.stdout.close()
    with files.locked(path, wait=False):
        assert (tmp_path / ".lock.held").read_text().startswith(f"{os.getpid()}\n")


@pytest.mark.usefixtures("without_flock")
def test_row_28_a_soft_lock_of_a_process_killed_elsewhere_names_the_file_to_delete(tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    marker = run.folder / ".lock.held"
    marker.write_text("123\nnode7\n")
    with pytest.raises(RunError) as refused, run.locked():
        pass
    message = str(refused.value)
    assert one_line(message) and f"delete {marker}" in message and "--workdir" in message
    assert "process 123 on node7 is training here" in message
    marker.unlink()  # as it says
    with run.locked():
        pass


@pytest.mark.parametrize("code", [errno.EIO, errno.EBADF])
def test_any_other_error_of_a_lock_names_its_file(code, tmp_path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", failing(code))
    with pytest.raises(OSError, match=r"\.lock'$"), files.locked(tmp_path / ".lock"):
        pass


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_row_28_a_folder_that_cannot_be_flushed_is_one_warning(code, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files, "_warned_devices", set())
    monkeypatch.setattr("os.fsync", failing(code))
    files.sync(tmp_path)
    files.write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    (line,) = caplog.messages
    assert str(tmp_path) in line and "cannot flush" in line and "loses power" in line


def test_any_other_error_of_flushing_names_what_was_flushed(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=f"{tmp_path.name}'$"):
        files.sync(tmp_path)
    with pytest.raises(OSError, match=r"file'$"):
        files.write_atomically(tmp_path / "file", b"content")
    with pytest.raises(FileNotFoundError, match=r"nothing'$"):
        files.sync(tmp_path / "nothing")
