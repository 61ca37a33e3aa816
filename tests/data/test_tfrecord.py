"""Folders in tfrecord, TFDS's default format, are read without TensorFlow and left as they are.

`shapes_tfrecord` was written by TensorFlow (helpers/write_shapes_tfrecord.py).
"""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import DataInvalid, Shapes
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.tfds import prepared_folder as reading
from cnn_jax.data.tfds.prepared_folder import PreparedFolder
from cnn_jax.data.tfds.tfrecord import RecordDamaged, read_records

SAMPLE = Path(__file__).parent / "shapes_tfrecord" / "shapes_tfrecord" / "1.0.0"
FORM = PictureForm(32, 32)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SAMPLE, tmp_path / "shapes_tfrecord" / "1.0.0"))


def shard(folder):
    return folder / "shapes_tfrecord-train.tfrecord-00001-of-00002"


def test_what_tensorflow_wrote_is_read_bit_for_bit_and_left_unchanged(folder):
    shapes = Shapes(train=40, validation=0, test=12).load()
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    prepared = PreparedFolder(folder)
    assert prepared.splits == {"train": 40, "test": 12}
    assert prepared.features["label"].classes == shapes.classes
    for name, split in (("train", shapes.train), ("test", shapes.test)):
        images, labels = prepared.read(name, FORM)
        # TFDS shuffles what it writes.
        place = {image.tobytes(): number for number, image in enumerate(images)}
        order = [place[image.tobytes()] for image in split.images]
        assert sorted(order) == list(range(len(split)))
        np.testing.assert_array_equal(images[order], split.images)
        np.testing.assert_array_equal(labels[order], split.labels)
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    assert "tensorflow" not in sys.modules


def test_parts_of_a_split_make_up_the_split():
    """27 lies in the second file of 20 examples."""
    prepared = PreparedFolder(SAMPLE)
    whole, labels = prepared.read("train", FORM)
    parts = [prepared.read(split, FORM) for split in ("train[:27]", "train[27:]")]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in parts]), whole)
    np.testing.assert_array_equal(np.concatenate([found for _, found in parts]), labels)
    assert prepared.number("train[50%:]") == 20


def test_every_flipped_bit_is_detected(tmp_path):
    """Of the length, of its checksum, of the content at its ends, and of its checksum."""
    (first, *_) = read_records(shard(SAMPLE))
    content = shard(SAMPLE).read_bytes()[: 12 + len(first) + 4]
    path = tmp_path / "one"
    path.write_bytes(content)
    assert list(read_records(path)) == [first]
    ends = (*range(14), *range(len(content) - 6, len(content)))
    for place, bit in ((place, bit) for place in ends for bit in range(8)):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        with pytest.raises(RecordDamaged, match="wrong checksum at byte"):
            list(read_records(path))


@pytest.mark.parametrize("left", [1, 8, 11, 12, 13, -1, -4, -5])
def test_a_file_that_is_cut_short(left, tmp_path):
    (first, *_) = read_records(shard(SAMPLE))
    path = tmp_path / "one"
    path.write_bytes(shard(SAMPLE).read_bytes()[: 12 + len(first) + 4][:left])
    with pytest.raises(RecordDamaged, match="cut short at byte"):
        list(read_records(path))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def remove_last_record(path):
    *kept, _ = read_records(path)
    path.write_bytes(path.read_bytes()[: sum(16 + len(record) for record in kept)])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip, r"00001-of-00002 is damaged \(wrong checksum at byte [\d,]+\): restore it"),
        (remove_last_record, "train has 39 examples, and dataset_info.json states 40"),
        (Path.unlink, r"00001-of-00002 cannot be read \(No such file or directory\)$"),
    ],
)
def test_what_is_wrong_is_named_and_nobody_is_told_to_delete(harm, message, folder):
    harm(shard(folder))
    with pytest.raises(DataInvalid, match=message) as caught:
        PreparedFolder(folder).read("train", FORM)
    assert "\n" not in str(caught.value) and "delete" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "Input/output error"), r"cannot be read \(Input/output error\)$"),
        (PermissionError(errno.EACCES, "Permission denied"), r"\(Permission denied\)$"),
        (MemoryError(), "not enough memory is free$"),
    ],
)
def test_errors_of_the_system_are_not_called_damage(error, message, monkeypatch):
    def fail(*_):
        raise error
        yield

    monkeypatch.setattr(reading, "read_records", fail)
    with pytest.raises(DataInvalid, match=message) as caught:
        PreparedFolder(SAMPLE).read("train", FORM)
    assert "damaged" not in str(caught.value) and str(SAMPLE) in str(caught.value)


def test_other_formats_are_refused_by_name(folder):
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"riegeli"'))
    with pytest.raises(DataInvalid, match="is in the format riegeli; array_record and tfrecord"):
        PreparedFolder(folder)


def test_an_image_of_another_size_than_stated_is_refused(folder):
    features = folder / "features.json"
    features.write_text(features.read_text().replace('"32"', '"31"'))
    with pytest.raises(DataInvalid, match="train example 0 is 32x32, and should be 31x31"):
        PreparedFolder(folder).read("train", FORM)


def test_a_split_that_is_not_there():
    with pytest.raises(DataInvalid, match=r"no split 'extra'.*it has train, test"):
        PreparedFolder(SAMPLE).number("extra")
