"""A small archive in CIFAR-10's layout, and a program that takes it for the original."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile

import numpy as np
import pytest

from cnn_jax.data import Cifar10, cifar10, published
from cnn_jax.data.dataset import digest
from cnn_jax.data.downloads.source import Original

SIZES = {"train": 50, "test": 10}


def _pack(path, files, extra=()):
    """Writes name -> bytes as a tar.gz; returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def pack():
    """The function that writes an archive: (path, files, extra members) -> SHA-256."""
    return _pack


@pytest.fixture
def amend(monkeypatch):
    """A function that changes facts of a data set: (class, facts)."""

    def change(cls, **facts):
        monkeypatch.setattr(cls, "source", dataclasses.replace(cls.source, **facts))

    return change


@pytest.fixture
def taken_for_original(amend):
    """A function that has an archive of this SHA-256, at this address, held to be CIFAR-10's."""

    def change(sha256, url=cifar10.ARCHIVE.url):
        amend(Cifar10, originals=(Original(url, sha256),))

    return change


@pytest.fixture
def apart(monkeypatch, tmp_path):
    """The user's folders are empty ones of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture
def small(amend, apart):
    """Small sizes, and the records as random bytes: u8[N,3073] by split."""
    random = np.random.default_rng(0)
    records = {}
    for split, size in SIZES.items():
        records[split] = random.integers(0, 256, (size, 3073)).astype(np.uint8)
        records[split][:, 0] %= 10
    amend(Cifar10, sizes=SIZES)
    return records


@pytest.fixture
def files(small):
    """The files of the archive: five of training, one of test."""
    batches = [*np.split(small["train"], 5), small["test"]]
    names = [*cifar10.FILES["train"], *cifar10.FILES["test"]]
    return {name: batch.tobytes() for name, batch in zip(names, batches, strict=True)}


@pytest.fixture
def archive(files, taken_for_original, tmp_path):
    """The small archive, held to be the original."""
    path = tmp_path / "fetched" / cifar10.ARCHIVE.name
    taken_for_original(_pack(path, files))
    return path


@pytest.fixture
def arrays(small):
    """Arrays as after decoding, in the archive's order."""
    held = {}
    for split, records in small.items():
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        held[f"{split}_images"] = np.ascontiguousarray(pixels)
        held[f"{split}_labels"] = records[:, 0].astype(np.int32)
    return held


@pytest.fixture
def genuine(arrays, amend):
    """The arrays, held to be CIFAR-10's."""
    amend(Cifar10, digests={name: digest(array) for name, array in arrays.items()})
    return arrays


@pytest.fixture
def offline(monkeypatch):
    """No server can be reached."""
    monkeypatch.setattr(published, "why_unreachable", lambda url: "no connection")
