"""Any image classification set that TFDS has prepared is read by its own metadata."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from prepared_folder import write_set

from cnn_jax import config
from cnn_jax.config.names import NAMES
from cnn_jax.data import DataConfig, DataInvalid, DataUnavailable, Shapes, Tfds

SAMPLE = Path(__file__).parent / "shapes_tfrecord"
CLASSES = ("one", "two", "three")


@pytest.fixture
def data_dir(apart, tmp_path):
    """A data folder with the sample that TensorFlow wrote."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "data"))


def examples(number, shape=(20, 16, 3), first=0):
    """Images of one grey level each, so that resizing keeps it, and labels."""
    levels = (np.arange(number) * 5 + first).astype(np.uint8)
    return [(np.full(shape, level), int(level) % 3) for level in levels]


def levels(images):
    return sorted(images[:, 0, 0, 0].tolist())


def test_a_set_without_a_validation_split(data_dir, capsys):
    shapes = Shapes(train=40, validation=0, test=12).load()
    given = Tfds("shapes_tfrecord")
    assert isinstance(given, DataConfig)
    exact, note = given.resolve(str(data_dir))
    assert (exact.name, note) == ("shapes_tfrecord:1.0.0", "")
    assert exact.splits == ("train[:36]", "train[36:40]", "test")
    assert exact.resolve(str(data_dir)) == (exact, "")
    assert config.from_text(config.to_text(exact), NAMES) == exact
    data = given.load(str(data_dir))
    assert data.name == "tfds:shapes_tfrecord" and data.classes == shapes.classes
    assert [len(split) for split in (data.train, data.validation, data.test)] == [36, 4, 12]
    images = np.concatenate([data.train.images, data.validation.images])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    found = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert found == {
        image.tobytes(): label
        for image, label in zip(shapes.train.images, shapes.train.labels, strict=True)
    }
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)) / 255, rtol=1e-12)
    assert "shapes_tfrecord:1.0.0: 10 classes (" in capsys.readouterr().err


def test_decoded_once_and_again_when_the_records_change(data_dir, capsys):
    first = Tfds("shapes_tfrecord").load(str(data_dir))
    before = {path for path in data_dir.glob("shapes_tfrecord/**/*")}
    assert "Decoding shapes_tfrecord" in capsys.readouterr().err
    again = Tfds("shapes_tfrecord").load(str(data_dir))
    assert "Decoding" not in capsys.readouterr().err
    assert again.fingerprint == first.fingerprint
    assert {path for path in data_dir.glob("shapes_tfrecord/**/*")} == before
    (shard,) = data_dir.glob("*/*/*test.tfrecord-00000*")
    content = bytearray(shard.read_bytes())
    content[-40] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataInvalid, match="wrong checksum"):
        Tfds("shapes_tfrecord").load(str(data_dir))


@pytest.mark.parametrize("damage", ["bit", "record", "missing"])
def test_damaged_arrays_are_decoded_again(damage, data_dir, capsys):
    first = Tfds("shapes_tfrecord").load(str(data_dir))
    (path,) = data_dir.glob("cnn_jax/arrays/*/train_images.npy")
    if damage == "bit":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "record":
        path.with_name("record.json").write_text(json.dumps({"arrays": {"a": 1}, "files": []}))
    else:
        path.unlink()
    assert Tfds("shapes_tfrecord").load(str(data_dir)).fingerprint == first.fingerprint
    assert "Decoding" in capsys.readouterr().err


def test_a_data_folder_that_cannot_be_written(data_dir, tmp_path):
    before = sorted(data_dir.rglob("*"))
    data_dir.chmod(0o555)
    try:
        data = Tfds("shapes_tfrecord").load(str(data_dir))
    finally:
        data_dir.chmod(0o755)
    assert len(data.test) == 12 and sorted(data_dir.rglob("*")) == before
    assert list((tmp_path / "cache" / "cnn_jax" / "tfds").glob("*/test_images.npy"))


@pytest.mark.parametrize(
    ("splits", "resolved"),
    [
        # A validation split without a test split is tested on, as ImageNet's is.
        ({"train": 20, "validation": 6}, ("train[:18]", "train[18:20]", "validation")),
        ({"train": 20, "validation": 6, "test": 5}, ("train", "validation", "test")),
        ({"train": 20, "val": 6, "test": 5, "extra": 4}, ("train", "val", "test")),
        # A fifth for testing, and a tenth of the rest for validation.
        ({"train": 20}, ("train[:14]", "train[14:16]", "train[16:]")),
        ({"train": 4, "test": 2}, ("train", "test")),
        ({"test": 5}, ("test",)),
        ({"extra": 5}, ("extra",)),
    ],
)
def test_splits_are_known_by_their_customary_names(splits, resolved, tmp_path):
    write_set(tmp_path, "toys", {name: examples(n) for name, n in splits.items()}, CLASSES)
    assert Tfds("toys").resolve(str(tmp_path))[0].splits == resolved


def test_which_images_a_part_has(apart, tmp_path):
    write_set(tmp_path, "toys", {"train": examples(20), "other": examples(7, first=1)}, CLASSES)
    data = Tfds("toys", splits=("train[:50%]", "train[75%:]", "other")).load(str(tmp_path))
    assert levels(data.test.images) == [level for level in range(1, 36, 5)]
    train, validation = levels(data.train.images), levels(data.validation.images)
    assert (len(train), len(validation)) == (10, 5) and not set(train) & set(validation)
    for split in (data.train, data.validation, data.test):
        assert (split.images[:, 0, 0, 0] % 3 == split.labels).all()


def test_images_of_different_sizes_and_depths(apart, tmp_path):
    mixed = [(np.full((10 + n, 30 - n, 3), 8 * n, np.uint8), n % 3) for n in range(12)]
    write_set(tmp_path, "mixed", {"train": mixed}, CLASSES, shape=(None, None, 3))
    with pytest.raises(DataInvalid, match=r"mixed:1\.0\.0: .* different sizes: set size"):
        Tfds("mixed").load(str(tmp_path))
    data = Tfds("mixed", size=(8, 6), validation=0).load(str(tmp_path))
    assert data.image_shape == (8, 6, 3) and data.validation is None
    both = np.concatenate([data.train.images, data.test.images])
    assert levels(both) == list(range(0, 96, 8))
    assert (both == both[:, :1, :1]).all()
    grey = Tfds("mixed", size=8, channels=1).load(str(tmp_path))
    assert grey.image_shape == (8, 8, 1)


def test_grey_images_stay_grey(apart, tmp_path):
    write_set(tmp_path, "grey", {"train": examples(20, (9, 9, 1))}, CLASSES)
    assert Tfds("grey").load(str(tmp_path)).image_shape == (9, 9, 1)
    assert Tfds("grey", channels=3).load(str(tmp_path)).image_shape == (9, 9, 3)


def test_configs_and_versions(apart, tmp_path):
    for name, version, number in (("a", "1.9.0", 10), ("a", "1.10.0", 12), ("b", "1.0.0", 14)):
        write_set(
            tmp_path, "many", {"train": examples(number)}, CLASSES, config=name, version=version
        )

    def found(name):
        return Tfds(name).resolve(str(tmp_path))[0].name

    assert found("many/a") == "many/a:1.10.0"
    assert found("many/a:1.9.0") == "many/a:1.9.0"
    assert found("many/b") == found("many:1.0.0") == "many/b:1.0.0"
    with pytest.raises(DataInvalid, match=r"several configs: name one of many/a:1\.9\.0, many/a"):
        found("many")
    with pytest.raises(DataUnavailable, match=r"many/c is not in .*, which has many/a:1\.9\.0"):
        found("many/c")


def test_what_is_not_prepared(apart, tmp_path):
    with pytest.raises(DataUnavailable, match=r"eurosat is not in .*tfds build eurosat.*--data_d"):
        Tfds("eurosat").load(str(tmp_path))


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"image": "Image"}, r"odd has no class label for each example.*it has image \(Image\)"),
        ({"label": "ClassLabel"}, r"odd has no image for each example"),
        ({"image": "Image", "label": "Sequence"}, r"no class label.*label \(Sequence\)"),
        ({"image": "Image", "fine": "ClassLabel", "coarse": "ClassLabel"}, "choose one by label="),
        ({"left": "Image", "right": "Image", "label": "ClassLabel"}, "several features Image"),
        ({"image": "Image16", "label": "ClassLabel"}, "its images are uint16, and must be uint8"),
    ],
)
def test_other_sets_are_refused_in_one_line(features, reason, apart, tmp_path):
    write_set(tmp_path, "odd", {"train": examples(6)}, CLASSES, features=features)
    with pytest.raises(DataInvalid, match=reason) as caught:
        Tfds("odd").load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_label_may_be_chosen(apart, tmp_path):
    features = {"image": "Image", "fine": "ClassLabel", "coarse": "ClassLabel"}
    write_set(tmp_path, "two", {"train": examples(20)}, CLASSES, features=features)
    assert Tfds("two", label="coarse").load(str(tmp_path)).classes == CLASSES
    with pytest.raises(DataInvalid, match="no class label 'none': it has coarse"):
        Tfds("two", label="none").load(str(tmp_path))


def test_more_images_than_memory(data_dir, monkeypatch):
    monkeypatch.setattr("cnn_jax.data.memory_check.free_memory", lambda: 52 * 32 * 32 * 3 - 1)
    with pytest.raises(DataInvalid, match=r"shapes_tfrecord:1\.0\.0: 52 images of 32x32x3 bytes"):
        Tfds("shapes_tfrecord").load(str(data_dir))


def test_a_set_without_a_training_split_can_be_scored(apart, tmp_path):
    write_set(tmp_path, "scored", {"test": examples(9)}, CLASSES)
    with pytest.raises(DataInvalid, match="the split test alone, which can be evaluated on"):
        Tfds("scored").load(str(tmp_path))
    assert levels(Tfds("scored").load_labelled(str(tmp_path)).test.images) == levels(
        np.stack([image for image, _ in examples(9)])
    )


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b/c", "a:1", "a:new", "gs://bucket/a"])
def test_names_that_mean_nothing(name):
    with pytest.raises(ValueError, match=r"^name must be NAME, NAME/CONFIG"):
        Tfds(name)


def test_transparent_images_lie_on_white(apart, tmp_path):
    clear = [(np.full((6, 6, 4), (9 * n, 0, 0, 255 * (n % 2)), np.uint8), 0) for n in range(10)]
    write_set(tmp_path, "clear", {"train": clear}, CLASSES)
    data = Tfds("clear", validation=0).load(str(tmp_path))
    both = np.concatenate([data.train.images, data.test.images])[:, 0, 0]
    assert sorted(both.tolist()) == [[9 * n, 0, 0] for n in range(1, 10, 2)] + [[255] * 3] * 5


def test_an_unlabelled_test_split_is_found_before_the_training_set_is_decoded(apart, tmp_path):
    splits = {"train": examples(20), "test": [(image, -1) for image, _ in examples(5)]}
    write_set(tmp_path, "blind", splits, CLASSES)
    with pytest.raises(DataInvalid, match=r"label of test example 0 is -1.*split is unlabelled"):
        Tfds("blind").load(str(tmp_path))
    assert not list((tmp_path / "cnn_jax").glob("arrays/*/"))


def test_streamed_images_equal_those_in_memory(apart, tmp_path, capsys):
    random = np.random.default_rng(0)
    pictures = [
        (random.integers(0, 256, (9 + n % 4, 12, 3)).astype(np.uint8), n % 3) for n in range(30)
    ]
    splits = {"train": pictures[:24], "test": pictures[24:]}
    write_set(tmp_path, "photos", splits, CLASSES, shape=(None, None, 3))
    still = Tfds("photos", size=(6, 8)).load(str(tmp_path))
    for _ in range(2):
        data = Tfds("photos", size=(6, 8), stream=True).load(str(tmp_path))
        for part in ("train", "validation", "test"):
            one, other = getattr(data, part), getattr(still, part)
            assert one.images.shape == other.images.shape
            np.testing.assert_array_equal(one.images, other.images)
            np.testing.assert_array_equal(one.images[[1, 0]], other.images[[1, 0]])
            np.testing.assert_array_equal(one.labels, other.labels)
        assert (data.mean, data.std, data.classes) == (still.mean, still.std, still.classes)
    assert capsys.readouterr().err.count("Decoding photos") == 2, "one of each kind"
    again = pickle.loads(pickle.dumps(data.train.images))
    np.testing.assert_array_equal(again[5], still.train.images[5])


def test_records_without_random_access_can_not_be_streamed(data_dir):
    with pytest.raises(DataInvalid, match="tfrecord, which has no random access: set stream=False"):
        Tfds("shapes_tfrecord", stream=True).load(str(data_dir))
