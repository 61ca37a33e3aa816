"""Decoding on all cores, in order; what was read once is not read again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from photo_folders import CLASSES, draw, fill
from program import environment, heeds_ctrl_c

from cnn_jax.data import Folder
from cnn_jax.data.arrays import ArraysDamaged
from cnn_jax.data.pictures import decoding, picture_cache
from cnn_jax.data.pictures.class_folders import list_pictures
from cnn_jax.data.pictures.decoding import decode_all
from cnn_jax.data.pictures.image_files import BadImage, read_image
from cnn_jax.data.pictures.picture_cache import PictureCache
from cnn_jax.data.pictures.picture_form import PictureForm


@pytest.fixture(autouse=True)
def _apart(apart):
    """Nothing is kept in the user's own cache."""


@pytest.fixture
def counted(monkeypatch):
    """The list of the files that are decoded."""
    seen = []
    original = decoding.decode

    def decode(path, form):
        seen.append(path.name)
        return original(path, form)

    monkeypatch.setattr(decoding, "decode", decode)
    return seen


def test_pictures_come_in_order_and_as_they_are_read_alone(tmp_path):
    form = PictureForm(8, 8)
    paths = [draw(tmp_path / f"{number}.png", width=16 + number) for number in range(100)]
    paths[40].write_bytes(b"")
    decoded = list(decode_all(paths, form))
    assert isinstance(decoded[40], BadImage) and str(paths[40]) in str(decoded[40])
    for number, (path, one) in enumerate(zip(paths, decoded, strict=True)):
        if number != 40:
            np.testing.assert_array_equal(one.image, read_image(path, form))
            assert (one.height, one.width) == (16, 16 + number)


def test_threads_do_not_work_far_ahead(tmp_path, counted):
    """A caller that is slow, or stops, must not fill the memory."""
    paths = [draw(tmp_path / f"{number}.png") for number in range(400)]
    decoded = decode_all(paths, PictureForm(8, 8))
    next(decoded)
    time.sleep(0.3)
    ahead = decoding.GROUP * (decoding.AHEAD * os.cpu_count() + 1)
    assert 1 <= len(counted) <= ahead
    decoded.close()
    time.sleep(0.1)
    before = len(counted)
    time.sleep(0.2)
    assert len(counted) == before


def load(root, **fields):
    return Folder(str(root), **({"size": 8} | fields)).load()


def test_only_what_changed_is_read_again(tmp_path, counted, monkeypatch):
    monkeypatch.setattr(picture_cache, "PART", 4)
    root = fill(tmp_path / "pets")
    load(root)
    assert len(counted) == 20
    counted.clear()
    for fields in ({"test": 0.5}, {"validation": 0.0}, {"skip_bad": True}):
        load(root, **fields)
    assert counted == []
    draw(root / "cat" / "new.png")
    draw(root / "dog" / "dog3.png", width=20)
    (root / "dog" / "dog4.png").unlink()
    grown = load(root)
    assert sorted(counted) == ["dog3.png", "new.png"]
    fresh = tmp_path / "fresh"
    fresh.symlink_to(root)
    assert load(fresh).fingerprint == grown.fingerprint
    counted.clear()
    for fields in ({"size": 9}, {"channels": 1}, {"fit": "pad"}, {"decode": "full"}):
        load(root, **fields)
    assert len(counted) == 4 * 20


def test_parts_that_nothing_needs_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_cache, "PART", 5)
    root = fill(tmp_path / "pets")
    load(root)
    (place,) = (tmp_path / "cache" / "cnn_jax" / "pictures").glob("pets-*")
    assert len([*place.glob("*.npy")]) == len([*place.glob("*.json")]) == 4
    (place / "leftover.tmp").touch()
    (place / "orphan.npy").touch()
    for path in root.rglob("*.png"):
        draw(path, width=18)
    load(root)
    assert len([*place.iterdir()]) == 8


def test_a_part_that_is_cut_short_after_it_was_written_is_read_again(tmp_path):
    root, form = fill(tmp_path / "pets"), PictureForm(8, 8)
    pictures = list_pictures(root, 0.2).pictures
    cache = PictureCache(tmp_path / "kept", form)
    rows = cache.read(root, pictures)
    before = cache.gather(rows)
    (part,) = (tmp_path / "kept").glob("*.npy")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(ArraysDamaged, match=r"has changed on disk \(cut short\)"):
        cache.gather(rows)
    np.testing.assert_array_equal(cache.gather(cache.read(root, pictures)), before)


def test_a_file_that_the_system_would_not_give_is_tried_again(tmp_path, counted, monkeypatch):
    root = fill(tmp_path / "pets")
    (root / "cat" / "gone.png").symlink_to(root / "away.png")
    bad = root / "dog" / "bad.png"
    bad.write_bytes(b"text")
    load(root, skip_bad=True)
    counted.clear()
    load(root, skip_bad=True)
    assert counted == ["gone.png"]
    draw(root / "away.png")
    assert sum(map(len, (load(root, skip_bad=True).train,))) == 15


PROGRAM = """
import sys, time
from cnn_jax.data import Folder
from cnn_jax.data.pictures import decoding, picture_cache
picture_cache.PART = 8
original = decoding.decode
def slow(path, form):
    time.sleep(0.05)
    return original(path, form)
decoding.decode = slow
Folder(sys.argv[1], size=8).load()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_row_18_a_reading_that_was_stopped_goes_on(number, tmp_path, counted, capfd):
    root = fill(tmp_path / "pets", number=40)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root)],
        env=environment(),
        stderr=subprocess.PIPE,
        preexec_fn=heeds_ctrl_c,
    )
    place = tmp_path / "cache" / "cnn_jax" / "pictures"
    while len([*place.glob("pets-*/*.json")]) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate()[1].decode()
    assert process.returncode != 0
    data = load(root)
    assert 0 < len(counted) <= 80 - 4 * 8
    assert f"Reading {len(counted)} of 80 pictures" in capfd.readouterr().err
    assert ("the pictures read so far are kept" in said) == (number == signal.SIGINT)
    copy = tmp_path / "copy"
    copy.symlink_to(root)
    assert load(copy).fingerprint == data.fingerprint
    assert sorted(data.classes) == sorted(CLASSES)


def test_progress_is_shown_with_the_time_left(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("cnn_jax.terminal.timed_progress._LINE_SECONDS", 0)
    load(fill(tmp_path / "pets"))
    lines = capfd.readouterr().err.splitlines()
    assert any("10 of 20 pictures  50% done" in line and "left" in line for line in lines)
