"""CIFAR-10 is found, kept, checked, repaired or refused, and cut into its parts."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import (
    Cifar10,
    DataConfig,
    DataInvalid,
    DataUnavailable,
    FirstAvailable,
    Shapes,
    cifar10,
    published,
)
from cnn_jax.data import arrays as kept
from cnn_jax.data.dataset import digest
from cnn_jax.data.tfds import preparing


def keep(data_dir, arrays):
    """Puts the arrays where Cifar10 keeps them."""
    folder = Cifar10.source.folder(data_dir) / "arrays"
    kept.write(folder, arrays)
    return folder


def kept_here(data_dir):
    """Where Cifar10 keeps the arrays of a folder that TFDS has prepared."""
    return Cifar10.source.folder(data_dir / "cnn_jax") / "arrays"


@pytest.fixture
def prepared(archive, arrays, amend, tmp_path):
    """A prepared folder without arrays, whose content is held to be CIFAR-10."""
    data_dir = tmp_path / "data"
    preparing.prepare(Cifar10.source, data_dir, archive.parent)
    held = published.read(Cifar10.source, Cifar10.source.folder(data_dir))
    amend(Cifar10, digests={name: digest(array) for name, array in held.items()})
    return data_dir


def test_parts(genuine, tmp_path):
    keep(tmp_path, genuine)
    data = Cifar10(validation=20).load(str(tmp_path))
    assert data.name == "cifar10"
    assert data.classes[3] == "cat"
    np.testing.assert_array_equal(data.train.images, genuine["train_images"][:30])
    np.testing.assert_array_equal(data.train.labels, genuine["train_labels"][:30])
    np.testing.assert_array_equal(data.validation.images, genuine["train_images"][30:])
    np.testing.assert_array_equal(data.validation.labels, genuine["train_labels"][30:])
    np.testing.assert_array_equal(data.test.images, genuine["test_images"])


def test_small_parts(genuine, tmp_path):
    keep(tmp_path, genuine)
    data = Cifar10(validation=0, train=7, test=3).load(str(tmp_path))
    assert data.validation is None
    np.testing.assert_array_equal(data.train.images, genuine["train_images"][:7])
    np.testing.assert_array_equal(data.test.labels, genuine["test_labels"][:3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"validation": -1}, "validation must be from 0 to 49999, got -1"),
        ({"validation": 50000}, "validation must be from 0 to 49999, got 50000"),
        ({"train": 0}, "train must be from 1 to 45000"),
        ({"train": 45001}, "train must be from 1 to 45000"),
        ({"validation": 0, "train": 50001}, "train must be from 1 to 50000"),
        ({"test": 0}, "test must be from 1 to 10000, got 0"),
        ({"test": 10001}, "test must be from 1 to 10000"),
    ],
)
def test_ranges(fields, message):
    with pytest.raises(ValueError) as caught:
        Cifar10(**fields)
    assert str(caught.value).startswith(message)


def test_the_whole_training_set_may_be_asked_for():
    assert Cifar10(validation=5000, train=45000, test=10000).train == 45000


def test_where_it_is_looked_for(genuine, monkeypatch, tmp_path):
    keep(tmp_path / "home" / "tensorflow_datasets", genuine)
    assert len(Cifar10(validation=0).load().test) == 10
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "variable"))
    with monkeypatch.context() as context:
        context.setattr(published, "why_unreachable", lambda url: "no connection")
        with pytest.raises(DataUnavailable, match="variable"):
            Cifar10(validation=0).load()
    keep(tmp_path / "variable", genuine)
    assert len(Cifar10(validation=0).load().test) == 10
    keep(tmp_path / "argument", genuine)
    assert len(Cifar10(validation=0).load(str(tmp_path / "argument")).test) == 10


def test_decoded_once_then_read_without_the_records(prepared, capfd):
    first = Cifar10(validation=0).load(str(prepared))
    folder, ours = Cifar10.source.folder(prepared), kept_here(prepared)
    assert "Decoding CIFAR-10" in capfd.readouterr().err
    assert sorted(path.name for path in ours.iterdir()) == [
        "test_images.npy",
        "test_labels.npy",
        "train_images.npy",
        "train_labels.npy",
    ]
    for path in folder.glob("*array_record*"):
        path.unlink()
    again = Cifar10(validation=0).load(str(prepared))
    assert capfd.readouterr().err == ""
    np.testing.assert_array_equal(again.train.images, first.train.images)
    assert again.fingerprint == first.fingerprint
    assert not list(ours.parent.glob(".arrays.*/"))


def test_nothing_is_written_into_a_folder_that_other_programs_read(prepared):
    """Neither decoded arrays nor a lock."""
    folder = Cifar10.source.folder(prepared)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Cifar10(validation=0).load(str(prepared))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in prepared.iterdir()} == {"cifar10", "cnn_jax"}
    assert {path.name for path in folder.parent.iterdir()} <= {"3.0.2", ".3.0.2.lock"}


def test_a_read_only_folder_is_left_alone(prepared, tmp_path):
    folder = Cifar10.source.folder(prepared)
    before = sorted(prepared.rglob("*"))
    prepared.chmod(0o555)
    try:
        Cifar10(validation=0).load(str(prepared))
        assert sorted(prepared.rglob("*")) == before
        cache = tmp_path / "cache" / "cnn_jax" / "cifar10" / "3.0.2" / "arrays"
        assert len(list(cache.glob("*.npy"))) == 4
        for path in folder.glob("*array_record*"):
            path.unlink()
        assert len(Cifar10(validation=0).load(str(prepared)).train) == 50
    finally:
        prepared.chmod(0o755)


@pytest.mark.parametrize("damage", ["cut short", "missing", "empty", "pickle", "wrong dtype"])
def test_damaged_arrays_are_decoded_again(damage, prepared, capfd):
    Cifar10(validation=0).load(str(prepared))
    path = kept_here(prepared) / "train_images.npy"
    whole = path.read_bytes()
    damage_array(path, damage)
    capfd.readouterr()
    Cifar10(validation=0).load(str(prepared))
    said = capfd.readouterr().err
    assert str(path) in said
    assert "making the arrays again" in said
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", ["cut short", "missing", "empty", "pickle", "wrong dtype"])
def test_damaged_arrays_without_records_are_refused(damage, genuine, tmp_path):
    path = keep(tmp_path, genuine) / "train_images.npy"
    damage_array(path, damage)
    with pytest.raises(DataInvalid, match=r"delete .*arrays") as caught:
        Cifar10(validation=0).load(str(tmp_path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def damage_array(path, damage):
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        np.save(path, np.load(path).astype(np.float32))


def test_row_26_no_pickle_is_loaded(genuine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = keep(tmp_path, genuine) / "train_labels.npy"
    for content in (np.array([Bomb()], dtype=object), None):
        if content is None:
            path.write_bytes(pickle.dumps(Bomb()))
        else:
            np.save(path, content, allow_pickle=True)
        with pytest.raises(DataInvalid, match=r"train_labels\.npy cannot be read"):
            Cifar10(validation=0).load(str(tmp_path))
    assert not Path("exploded").exists()


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_row_17_one_flipped_bit_is_refused(name, genuine, tmp_path):
    path = keep(tmp_path, genuine) / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match=r"wrong fingerprint.*delete .*arrays") as caught:
        Cifar10(validation=0).load(str(tmp_path))
    assert str(path) in str(caught.value)


def test_row_17_records_of_something_else_are_refused(archive, tmp_path):
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    with pytest.raises(DataInvalid, match="does not hold CIFAR-10") as caught:
        Cifar10(validation=0).load(str(tmp_path))
    assert "delete" not in str(caught.value)  # who prepared it is not known
    assert not kept_here(tmp_path).exists()


def test_row_18_what_an_interrupted_writer_left_is_removed(prepared):
    left = kept_here(prepared).with_name(".arrays.abc")
    left.mkdir(parents=True)
    (left / "train_images.npy").write_bytes(b"half")
    Cifar10(validation=0).load(str(prepared))
    assert not left.exists()


def test_row_18_an_interrupted_writer_leaves_nothing_to_read(genuine, monkeypatch, tmp_path):
    save = np.save

    def interrupted(file, array, **options):
        if array is genuine["test_images"]:
            raise KeyboardInterrupt
        save(file, array, **options)

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path, genuine)
    assert not list(Cifar10.source.folder(tmp_path).iterdir())


def test_a_full_disk_costs_the_cache_only(prepared, monkeypatch, capfd):
    def full(folder, arrays, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "write", full)
    assert len(Cifar10(validation=0).load(str(prepared)).train) == 50
    assert "No space left on device" in capfd.readouterr().err


def test_row_16_absent_and_offline(small, offline, tmp_path):
    with pytest.raises(DataUnavailable) as caught:
        Cifar10(validation=0).load(str(tmp_path / "none"))
    message = str(caught.value)
    assert "\n" not in message
    for part in ("no connection", "--data_dir", "TFDS_DATA_DIR", cifar10.ARCHIVE.url):
        assert part in message
    assert str(tmp_path / "none" / "downloads" / "manual") in message
    assert not (tmp_path / "none").exists()
    choice, note = FirstAvailable((Cifar10(validation=0), Shapes())).resolve(str(tmp_path / "none"))
    assert choice == Shapes()
    assert "no connection" in note


def test_an_archive_fetched_by_hand_is_taken_without_a_network(
    archive, arrays, monkeypatch, tmp_path, capfd
):
    def never(url):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(published, "why_unreachable", never)
    manual = tmp_path / "data" / "downloads" / "manual"
    manual.mkdir(parents=True)
    archive.rename(manual / cifar10.ARCHIVE.name)
    config = Cifar10(validation=0)
    assert config.resolve(str(tmp_path / "data")) == (config, "")
    assert not (tmp_path / "data" / "cifar10").exists()  # where TFDS looks for its own format
    assert "Preparing CIFAR-10" in capfd.readouterr().err
    labels = published.read(Cifar10.source, Cifar10.source.folder(tmp_path / "data" / "cnn_jax"))[
        "train_labels"
    ]
    assert sorted(labels.tolist()) == sorted(arrays["train_labels"].tolist())


def test_a_download_that_fails_falls_back(small, monkeypatch, tmp_path):
    def fail(*_):
        raise ConnectionError("cut off")

    monkeypatch.setattr(published, "why_unreachable", lambda url: "")
    monkeypatch.setattr(preparing, "download", fail)
    choice, note = FirstAvailable((Cifar10(validation=0), Shapes())).resolve(str(tmp_path))
    assert choice == Shapes()
    assert "cut off" in note


def test_resolves_to_itself(genuine, tmp_path):
    keep(tmp_path, genuine)
    config = Cifar10(validation=0)
    assert isinstance(config, DataConfig)
    assert config.resolve(str(tmp_path)) == (config, "")


def real_data():
    root = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    return Cifar10.source.prepared(root) or (Cifar10.source.folder(root) / "arrays").exists()


@pytest.mark.skipif(not real_data(), reason="CIFAR-10 is not at hand")
@pytest.mark.slow
def test_the_real_data():
    data = Cifar10(validation=0).load()
    assert (len(data.train), len(data.test)) == (50000, 10000)
    assert np.bincount(data.train.labels).tolist() == [5000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    levels = np.arange(256) / 255
    for channel in range(3):
        share = np.bincount(data.train.images[..., channel].ravel(), minlength=256) / (50000 * 1024)
        mean = share @ levels
        assert data.mean[channel] == pytest.approx(mean, abs=1e-7)
        assert data.std[channel] == pytest.approx(np.sqrt(share @ (levels - mean) ** 2), abs=1e-7)


@pytest.mark.skipif(not real_data(), reason="CIFAR-10 is not at hand")
@pytest.mark.slow
def test_the_order_is_that_of_tfds():
    import tensorflow_datasets

    root = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    if not Cifar10.source.prepared(root):
        pytest.skip("the records are not at hand")
    data = Cifar10(validation=0).load()
    for split, part in (("train", data.train), ("test", data.test)):
        source = tensorflow_datasets.data_source("cifar10", split=split, data_dir=root)
        for index in (0, 1, 777, 9999):
            np.testing.assert_array_equal(source[index]["image"], part.images[index])
            assert source[index]["label"] == part.labels[index]
    assert "tensorflow" not in sys.modules
