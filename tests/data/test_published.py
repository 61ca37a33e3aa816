"""The other data sets of TFDS: prepared from their originals without TensorFlow, kept, checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import sys
import tarfile

import numpy as np
import pytest
from scipy.io import savemat

from cnn_jax.data import (
    Cifar10,
    Cifar100,
    DataConfig,
    DataInvalid,
    DataUnavailable,
    FashionMnist,
    Mnist,
    Svhn,
    cifar100,
    mnist,
    published,
    svhn,
)
from cnn_jax.data import arrays as kept
from cnn_jax.data.dataset import digest
from cnn_jax.data.downloads.source import Original
from cnn_jax.data.tfds import preparing

CLASSES = (Cifar100, Svhn, Mnist, FashionMnist)
SIZES = {"train": 40, "test": 12}


def write_cifar100(folder, examples):
    """The archive of CIFAR-100's binary version: two labels, then the planes of the image."""
    with tarfile.open(folder / cifar100.ARCHIVE.name, "w:gz") as tar:
        for split, (images, labels) in examples.items():
            records = b"".join(
                bytes([label % 20, label]) + image.transpose(2, 0, 1).tobytes()
                for image, label in zip(images, labels.tolist(), strict=True)
            )
            member = tarfile.TarInfo(f"cifar-100-binary/{split}.bin")
            member.size = len(records)
            tar.addfile(member, io.BytesIO(records))


def write_svhn(folder, examples):
    """SVHN's MATLAB files: u8[32,32,3,N], and labels of which 10 stands for the digit 0."""
    for split, (images, labels) in examples.items():
        content = {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels, labels, 10)[:, None]}
        savemat(folder / f"{split}_32x32.mat", content, do_compression=True)


def write_mnist(folder, examples):
    """MNIST's IDX files."""
    for split, (images, labels) in examples.items():
        pictures, numbers = mnist.FILES[split]
        header = struct.pack(">4I", 0x803, len(images), 28, 28)
        (folder / pictures).write_bytes(gzip.compress(header + images.tobytes()))
        header = struct.pack(">2I", 0x801, len(labels))
        (folder / numbers).write_bytes(gzip.compress(header + labels.tobytes()))


WRITE = {Cifar100: write_cifar100, Svhn: write_svhn, Mnist: write_mnist, FashionMnist: write_mnist}


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def originals(amend, apart, tmp_path):
    """A function that writes small files held to be a data set's originals: class -> examples."""

    def write(cls):
        random = np.random.default_rng(0)
        sizes = {split: SIZES.get(split, 5) for split in cls.source.sizes}
        examples = {
            split: (
                random.integers(0, 256, (size, *cls.source.image_shape)).astype(np.uint8),
                random.integers(0, len(cls.source.classes), size).astype(np.uint8),
            )
            for split, size in sizes.items()
        }
        folder = cls.source.manual_folder(tmp_path)
        folder.mkdir(parents=True)
        WRITE[cls](folder, examples)
        known = tuple(
            Original(original.url, checksum(folder / original.name))
            for original in cls.source.originals
        )
        amend(cls, sizes=sizes, originals=known)
        return examples

    return write


def by_content(images, labels):
    return {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}


@pytest.mark.parametrize("cls", CLASSES)
def test_facts_are_those_of_the_installed_builders(cls):
    import tensorflow_datasets

    stock, source = tensorflow_datasets.builder_cls(cls.source.name), cls.source
    assert source.version == str(stock.VERSION)
    known = {info.filename: info for info in stock.url_infos.values()}
    assert {o.name: o.sha256 for o in source.originals} == {
        name: info.checksum for name, info in known.items()
    }
    assert {o.url for o in source.originals} == set(stock.url_infos)
    assert source.megabytes == round(sum(info.size for info in known.values()) / 1e6)
    info = stock().info
    assert info.features["image"].shape == source.image_shape
    assert info.features["label"].num_classes == len(source.classes)
    if cls is not Cifar100:  # its builder reads them from the archive
        assert tuple(info.features["label"].names) == source.classes


def test_classes_of_cifar100():
    for names, number in ((cifar100.CLASSES, 100), (cifar100.COARSE, 20)):
        assert len(names) == number and list(names) == sorted(set(names))
    assert [cifar100.CLASSES[label] for label in (0, 19, 49, 99)] == [
        "apple",
        "cattle",
        "mountain",
        "worm",
    ]


@pytest.mark.parametrize("cls", CLASSES)
def test_stock_tfds_reads_what_was_prepared(cls, originals, tmp_path):
    import tensorflow_datasets

    examples = originals(cls)
    config = cls(validation=0)
    assert isinstance(config, DataConfig)
    assert config.resolve(str(tmp_path)) == (config, "")
    assert "tensorflow" not in sys.modules
    ours = tmp_path / "cnn_jax"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cnn_jax", "downloads"]
    read = published.read(cls.source, cls.source.folder(ours))
    for split, (images, labels) in examples.items():
        records = tensorflow_datasets.data_source(
            cls.source.name, split=split, data_dir=ours, download=False
        )
        assert tuple(records.dataset_info.features["label"].names) == cls.source.classes
        stock = [records[index] for index in range(len(records))]
        assert by_content(*zip(*((e["image"], e["label"]) for e in stock), strict=True)) == (
            by_content(images, labels)
        )
        if cls is Cifar100:
            assert [e["coarse_label"] for e in stock] == [e["label"] % 20 for e in stock]
        if split in SIZES:
            np.testing.assert_array_equal(read[f"{split}_images"], [e["image"] for e in stock])
            np.testing.assert_array_equal(read[f"{split}_labels"], [e["label"] for e in stock])


@pytest.mark.parametrize("cls", CLASSES)
def test_parts(cls, originals, tmp_path, capfd):
    examples = originals(cls)
    whole = cls(validation=0).load(str(tmp_path))
    assert "Preparing" in capfd.readouterr().err
    assert whole.name == cls.source.name and whole.classes == cls.source.classes
    assert whole.image_shape == cls.source.image_shape == cls(validation=0).image_shape
    assert whole.num_classes == cls(validation=0).num_classes
    assert by_content(whole.train.images, whole.train.labels) == by_content(*examples["train"])
    assert by_content(whole.test.images, whole.test.labels) == by_content(*examples["test"])
    pixels = examples["train"][0].astype(np.float64) / 255
    np.testing.assert_allclose(whole.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(whole.std, pixels.std(axis=(0, 1, 2)), rtol=1e-10)

    cut = cls(validation=10, train=7, test=3).load(str(tmp_path))
    np.testing.assert_array_equal(cut.train.images, whole.train.images[:7])
    np.testing.assert_array_equal(cut.validation.labels, whole.train.labels[30:])
    np.testing.assert_array_equal(cut.test.images, whole.test.images[:3])
    assert (cut.mean, cut.fingerprint) == (whole.mean, whole.fingerprint)


@pytest.fixture
def small(originals, tmp_path):
    """MNIST in small, decoded; its examples."""
    examples = originals(Mnist)
    Mnist(validation=0).load(str(tmp_path))
    return examples


def arrays_folder(data_dir):
    return Mnist.source.folder(data_dir / "cnn_jax") / "arrays"


def test_decoded_once_and_verified_from_then_on(small, tmp_path, capfd):
    first = Mnist(validation=0).load(str(tmp_path))
    folder = arrays_folder(tmp_path)
    record = json.loads((folder / "record.json").read_text())
    assert record == {name: digest(np.load(folder / f"{name}.npy")) for name in record}
    assert len(record) == 4
    for path in Mnist.source.folder(tmp_path / "cnn_jax").glob("*array_record*"):
        path.unlink()
    capfd.readouterr()
    again = Mnist(validation=0).load(str(tmp_path))
    assert capfd.readouterr().err == ""
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_row_17_one_flipped_bit_is_refused(name, small, tmp_path):
    path = arrays_folder(tmp_path) / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match=r"is not MNIST .*wrong fingerprint.*delete .*arrays"):
        Mnist(validation=0).load(str(tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]"])
def test_without_its_record_it_is_decoded_again(content, small, tmp_path, capfd):
    first = Mnist(validation=0).load(str(tmp_path))
    path = arrays_folder(tmp_path) / "record.json"
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    again = Mnist(validation=0).load(str(tmp_path))
    assert "making the arrays again" in capfd.readouterr().err
    assert path.read_bytes() == whole
    assert again.fingerprint == first.fingerprint


def test_without_record_and_records_it_is_refused(small, tmp_path):
    for path in Mnist.source.folder(tmp_path / "cnn_jax").glob("*array_record*"):
        path.unlink()
    (Mnist.source.folder(tmp_path / "cnn_jax") / "dataset_info.json").unlink()
    (arrays_folder(tmp_path) / "record.json").unlink()
    with pytest.raises(DataInvalid, match=r"record\.json cannot be read .*delete"):
        Mnist(validation=0).load(str(tmp_path))


def test_a_label_out_of_range_is_refused_when_loaded(small, tmp_path):
    place = arrays_folder(tmp_path)
    held = {path.stem: np.load(path) for path in place.glob("*.npy")}
    held["test_labels"][5] = 10
    kept.write(place, held, {name: digest(array) for name, array in held.items()})
    with pytest.raises(DataInvalid, match=r"mnist: the label of test example 5 is 10, .*0\.\.9"):
        Mnist(validation=0).load(str(tmp_path))


def test_row_16_absent_and_offline(apart, monkeypatch, tmp_path):
    monkeypatch.setattr(published, "why_unreachable", lambda url: "no connection")
    for cls in CLASSES:
        with pytest.raises(DataUnavailable) as caught:
            cls().load(str(tmp_path / "none"))
        message, source = str(caught.value), cls.source
        assert "\n" not in message
        assert f"{source.title} is not in " in message
        assert f"holds {source.name}/{source.version} by --data_dir" in message
        assert all(original.url in message for original in source.originals)
        assert message.endswith(f" into {source.manual_folder(tmp_path / 'none')}")


def test_originals_of_the_same_name_lie_apart(originals, tmp_path):
    originals(Mnist)
    originals(FashionMnist)
    one, other = (cls(validation=0).load(str(tmp_path)) for cls in (Mnist, FashionMnist))
    assert (one.name, other.name) == ("mnist", "fashion_mnist")
    assert one.classes[1] == "1" and other.classes[1] == "Trouser"


def refused(cls, data_dir, name, match, amend):
    """Holds the file, as it is now, to be the original: its content has to be refused."""
    folder = cls.source.manual_folder(data_dir)
    known = tuple(
        Original(o.url, checksum(folder / o.name)) if o.name == name else o
        for o in cls.source.originals
    )
    amend(cls, originals=known)
    with pytest.raises(DataInvalid, match=match) as caught:
        preparing.prepare(cls.source, data_dir, folder)
    assert str(folder / name) in str(caught.value) and "\n" not in str(caught.value)
    assert not [path for path in data_dir.glob(f"{cls.source.name}/*") if path.is_dir()]


@pytest.mark.parametrize(
    "damage",
    ["another checksum", "cut short", "labels for images", "fewer", "short", "signed bytes"],
)
def test_row_17_other_files_than_mnists_are_refused(damage, originals, amend, tmp_path):
    originals(Mnist)
    images, labels = (Mnist.source.manual_folder(tmp_path) / n for n in mnist.FILES["train"])
    if damage == "another checksum":
        with open(images, "ab") as file:
            file.write(b"\0")
        with pytest.raises(DataInvalid, match="has the SHA-256"):
            preparing.prepare(Mnist.source, tmp_path, images.parent)
        return
    content = {
        "cut short": images.read_bytes()[:-100],
        "labels for images": labels.read_bytes(),
        "fewer": gzip.compress(struct.pack(">4I", 0x803, 2, 28, 28) + bytes(2 * 784)),
        "short": gzip.compress(struct.pack(">4I", 0x803, 40, 28, 28) + bytes(39 * 784)),
        "signed bytes": gzip.compress(struct.pack(">4I", 0x903, 40, 28, 28) + bytes(40 * 784)),
    }[damage]
    images.write_bytes(content)
    reason = {"cut short": "damaged", "fewer": "2 train examples instead of 40"}
    refused(Mnist, tmp_path, images.name, reason.get(damage, "not an IDX file"), amend)


@pytest.mark.parametrize("damage", ["cut short", "label 11", "no labels", "grey"])
def test_row_17_other_files_than_svhns_are_refused(damage, originals, amend, tmp_path):
    examples = originals(Svhn)
    path = Svhn.source.manual_folder(tmp_path) / svhn.FILES["test"]
    images, labels = examples["test"]
    content = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None] + 1}
    if damage == "label 11":
        content["y"][3] = 11
    elif damage == "no labels":
        del content["y"]
    elif damage == "grey":
        content["X"] = content["X"][:, :, :1]
    savemat(path, content)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-2000])
    reason = {"label 11": r"labels in 1\.\.10", "grey": r"images of shape \(32, 32, 1\)"}
    refused(Svhn, tmp_path, path.name, reason.get(damage, "damaged"), amend)


def test_an_archive_that_does_not_hold_whole_records(originals, amend, tmp_path):
    originals(Cifar100)
    path = Cifar100.source.manual_folder(tmp_path) / cifar100.ARCHIVE.name
    with tarfile.open(path, "w:gz") as tar:
        for split in ("train", "test"):
            member = tarfile.TarInfo(f"cifar-100-binary/{split}.bin")
            member.size = 3073
            tar.addfile(member, io.BytesIO(bytes(3073)))
    refused(Cifar100, tmp_path, path.name, "does not consist of records of 3074 bytes", amend)


def test_another_data_set_in_the_folder_is_refused(originals, tmp_path):
    originals(Mnist)
    Mnist(validation=0).resolve(str(tmp_path))
    place = Mnist.source.folder(tmp_path / "cnn_jax")
    features = (place / "features.json").read_text()
    (place / "features.json").write_text(
        features.replace('"numClasses": "10"', '"numClasses": "9"')
    )
    with pytest.raises(DataInvalid, match=r"9 classes instead of 10"):
        published.read(Mnist.source, place)


@pytest.mark.parametrize(
    ("cls", "most"), [(Cifar10, 49999), (Svhn, 73256), (Mnist, 59999), (FashionMnist, 59999)]
)
def test_ranges(cls, most):
    with pytest.raises(ValueError, match=rf"^validation must be from 0 to {most}, got {most + 1}$"):
        cls(validation=most + 1)
