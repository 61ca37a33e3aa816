"""Preparing writes what stock TFDS reads, without TensorFlow, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from web_server import serving

from cnn_jax.data import Cifar10, DataInvalid, DataUnavailable, published
from cnn_jax.data.tfds import preparing


def stock(data_dir, split):
    """The examples as TFDS itself reads them."""
    import tensorflow_datasets

    source = tensorflow_datasets.data_source(
        "cifar10", split=split, data_dir=data_dir, download=False
    )
    return [source[index] for index in range(len(source))]


def assert_stock_reads(data_dir, arrays):
    """Stock TFDS gives every example of the archive once, in the order of `published.read`."""
    read = published.read(Cifar10.source, Cifar10.source.folder(data_dir))
    for split in ("train", "test"):
        examples = stock(data_dir, split)
        assert len(examples) == len(arrays[f"{split}_labels"])
        seen = set()
        for place, example in enumerate(examples):
            name = example["id"]
            name = name.decode() if isinstance(name, bytes) else name
            index = int(name.removeprefix(f"{split}_"))
            seen.add(index)
            assert example["label"] == arrays[f"{split}_labels"][index]
            np.testing.assert_array_equal(example["image"], arrays[f"{split}_images"][index])
            np.testing.assert_array_equal(read[f"{split}_images"][place], example["image"])
            assert read[f"{split}_labels"][place] == example["label"]
        assert seen == set(range(len(examples)))
    assert read["train_images"].dtype == np.uint8
    assert read["train_labels"].dtype == np.int32


def test_prepared_from_an_archive(archive, arrays, tmp_path):
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    assert Cifar10.source.prepared(tmp_path)
    assert_stock_reads(tmp_path, arrays)
    assert "tensorflow" not in sys.modules


def test_classes_are_those_that_tfds_writes(archive, tmp_path):
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    written = (Cifar10.source.folder(tmp_path) / "label.labels.txt").read_text().split()
    assert tuple(written) == Cifar10.source.classes
    assert len(written) == 10


@contextlib.contextmanager
def served(folder):
    """Serves a folder on the loopback interface; gives the address and the paths asked for."""
    asked = []

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    with serving(Files) as port:
        yield f"http://127.0.0.1:{port}", asked


def test_downloaded(archive, arrays, taken_for_original, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "*")
    sha256 = Cifar10.source.originals[0].sha256
    with served(archive.parent) as (address, asked):
        taken_for_original(sha256, f"{address}/{archive.name}")
        preparing.prepare(Cifar10.source, tmp_path / "data")
    assert asked == [f"/{archive.name}"]
    assert_stock_reads(tmp_path / "data", arrays)


@pytest.mark.parametrize("what", ["absent", "something else"])
def test_a_download_that_fails(what, archive, taken_for_original, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "*")
    sha256 = Cifar10.source.originals[0].sha256
    if what == "absent":
        archive.unlink()
    else:
        archive.write_bytes(b"<html>Log in</html>")
    with served(archive.parent) as (address, _):
        taken_for_original(sha256, f"{address}/{archive.name}")
        reason = {"absent": "answers 404", "something else": "sends another file"}[what]
        with pytest.raises(DataUnavailable, match=reason) as caught:
            preparing.prepare(Cifar10.source, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert nothing_left(tmp_path / "data")


def nothing_left(data_dir):
    """Whether no folder of the version, of its preparation or of downloads is there."""
    return not [path for path in data_dir.glob("cifar10/*") if path.is_dir()]


def refused(data_dir, archive, match):
    with pytest.raises(DataInvalid, match=match) as caught:
        preparing.prepare(Cifar10.source, data_dir, archive.parent)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert nothing_left(data_dir)


def test_row_17_another_checksum(archive, tmp_path):
    with open(archive, "ab") as file:
        file.write(b"\0")
    refused(tmp_path, archive, "SHA-256")


def test_row_17_a_damaged_archive(archive, taken_for_original, tmp_path):
    content = archive.read_bytes()[:-5000]
    archive.write_bytes(content)
    taken_for_original(hashlib.sha256(content).hexdigest())
    refused(tmp_path, archive, "damaged")


@pytest.mark.parametrize("kind", ["outside", "link"])
def test_row_17_an_archive_that_reaches_outside(
    kind, archive, files, pack, taken_for_original, tmp_path
):
    member = tarfile.TarInfo("../escaped")
    if kind == "link":
        member = tarfile.TarInfo("cifar-10-batches-bin/link")
        member.type, member.linkname = tarfile.SYMTYPE, "../../escaped"
    taken_for_original(pack(archive, files, [member]))
    refused(tmp_path, archive, "damaged.*outside")
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_that_lacks_a_file(archive, files, pack, taken_for_original, tmp_path):
    files.pop("cifar-10-batches-bin/data_batch_3.bin")
    taken_for_original(pack(archive, files))
    refused(tmp_path, archive, "lacks cifar-10-batches-bin/data_batch_3.bin")


def test_an_archive_with_too_few_examples(archive, files, pack, taken_for_original, tmp_path):
    files["cifar-10-batches-bin/test_batch.bin"] = bytes(3073 * 9)
    taken_for_original(pack(archive, files))
    refused(tmp_path, archive, "9 test examples instead of 10")


def test_an_archive_with_a_label_out_of_range(archive, files, pack, taken_for_original, tmp_path):
    batch = bytearray(files["cifar-10-batches-bin/data_batch_2.bin"])
    batch[3 * 3073] = 10
    files["cifar-10-batches-bin/data_batch_2.bin"] = bytes(batch)
    taken_for_original(pack(archive, files))
    refused(tmp_path, archive, "label of train example 13 is 10")


def test_an_archive_that_is_not_there(tmp_path, small):
    with pytest.raises(DataUnavailable, match="cannot be read"):
        preparing.prepare(Cifar10.source, tmp_path, tmp_path / "none")


@pytest.mark.parametrize("damage", ["cut short", "flipped bit", "empty"])
def test_row_17_damaged_records_are_refused(damage, archive, tmp_path):
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    (path,) = Cifar10.source.folder(tmp_path).glob("*train.array_record*")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes({"cut short": content[:-70000], "empty": b""}.get(damage, content))
    with pytest.raises(DataInvalid, match=r"cannot be read \(.*\): restore it") as caught:
        published.read(Cifar10.source, Cifar10.source.folder(tmp_path))
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_records_are_refused(archive, amend, tmp_path):
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    amend(Cifar10, sizes={"train": 50, "test": 11})
    with pytest.raises(DataInvalid, match="test has 10 examples instead of 11"):
        published.read(Cifar10.source, Cifar10.source.folder(tmp_path))


def test_row_18_the_next_preparation_repairs_an_interrupted_one(archive, arrays, tmp_path):
    left = tmp_path / "cifar10" / "incomplete.ABCDEF_3.0.2"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    Cifar10.source.folder(tmp_path).mkdir()
    preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    assert not left.exists()
    assert_stock_reads(tmp_path, arrays)


def test_a_folder_of_something_else_is_left_alone(archive, tmp_path):
    Cifar10.source.folder(tmp_path).mkdir(parents=True)
    (Cifar10.source.folder(tmp_path) / "notes.txt").write_text("mine")
    with pytest.raises(DataInvalid, match="was not prepared completely: delete it"):
        preparing.prepare(Cifar10.source, tmp_path, archive.parent)
    assert (Cifar10.source.folder(tmp_path) / "notes.txt").read_text() == "mine"


def test_row_18_prepared_once_by_several(archive, monkeypatch, tmp_path):
    calls = []
    generate = preparing._generate

    def counted(*arguments):
        calls.append(arguments)
        generate(*arguments)

    monkeypatch.setattr(preparing, "_generate", counted)
    with ThreadPoolExecutor(3) as pool:
        list(
            pool.map(
                lambda _: preparing.prepare(Cifar10.source, tmp_path, archive.parent), range(3)
            )
        )
    assert len(calls) == 1
    assert Cifar10.source.prepared(tmp_path)


def test_a_folder_without_write_permission_is_respected(archive, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o555)
    with pytest.raises(DataUnavailable, match="must be writable"):
        preparing.prepare(Cifar10.source, kept, archive.parent)
    assert not list(kept.iterdir())
    kept.chmod(0o755)


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys, cnn_jax.data; names = 'tensorflow_datasets', 'tensorflow', 'jax', 'PIL'; "
        "print([name for name in names if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"
