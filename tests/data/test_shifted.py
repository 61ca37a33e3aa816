"""Prepared folders of CIFAR-10-C and CIFAR-10.1 are found and read without their builders."""

from __future__ import annotations

import numpy as np
import pytest
from prepared_folder import write_prepared

from cnn_jax.data import DataInvalid, shifted


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8), np.arange(6) % 10


def test_the_newest_version_of_each_config_is_found_and_read(arrays, tmp_path):
    images, labels = arrays
    write_prepared(tmp_path, shifted.NEW, "v4", images, labels)
    write_prepared(tmp_path, shifted.NEW, "v6", 255 - images, labels, version="1.9.0")
    write_prepared(tmp_path, shifted.NEW, "v6", images, labels, version="1.10.0")
    (tmp_path / shifted.NEW / "v6" / "2.0.0.incompleteABC").mkdir()
    found = shifted.prepared(shifted.NEW, str(tmp_path))
    assert {name: folder.name for name, folder in found.items()} == {"v4": "1.1.0", "v6": "1.10.0"}
    split = shifted.read(found["v6"], (32, 32, 3), 10)
    order = [int(np.flatnonzero((images == image).all((1, 2, 3)))[0]) for image in split.images]
    assert sorted(order) == list(range(6))
    np.testing.assert_array_equal(split.labels, labels[order])
    assert shifted.prepared(shifted.CORRUPTED, str(tmp_path)) == {}


def test_what_is_not_the_data_is_told_in_one_line(arrays, tmp_path):
    images, labels = arrays
    write_prepared(tmp_path, shifted.NEW, "v4", images, labels)
    folder = shifted.prepared(shifted.NEW, str(tmp_path))["v4"]
    with pytest.raises(DataInvalid, match="no images of 28x28x1"):
        shifted.read(folder, (28, 28, 1), 10)
    with pytest.raises(DataInvalid, match="none of the net's 5 classes"):
        shifted.read(folder, (32, 32, 3), 5)
    for file in folder.glob("*array_record*"):
        file.write_bytes(b"not a record")
    with pytest.raises(DataInvalid, match="cannot be read") as caught:
        shifted.read(folder, (32, 32, 3), 10)
    assert "\n" not in str(caught.value)
