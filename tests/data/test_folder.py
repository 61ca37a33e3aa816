"""A folder of classes becomes a data set, the same wherever it lies; what is wrong is named."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import DataConfig, DataInvalid, DataUnavailable, Folder
from cnn_jax.data.pictures import decoding


def draw(path, color):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)


def color(label, number):
    """A colour that no other picture has."""
    return (10 * label, number, 200 + number)


def fill(root, names=("bee", "ant", "wasp"), number=10):
    for label, name in enumerate(sorted(names)):
        for place in range(number):
            draw(root / name / f"{place}.png", color(label, place))


@pytest.fixture(autouse=True)
def _apart(apart):
    """Nothing is kept in the user's own cache."""


@pytest.fixture
def root(tmp_path):
    """Three classes of ten pictures."""
    fill(tmp_path / "insects")
    return tmp_path / "insects"


@pytest.fixture
def parted(tmp_path):
    """Three classes: eight pictures to train on, three to test on."""
    fill(tmp_path / "parted" / "train", number=8)
    fill(tmp_path / "parted" / "test", number=3)
    return tmp_path / "parted"


def load(root, **fields):
    return Folder(str(root), **({"size": 8} | fields)).load()


def members(split):
    """(label, number) of every picture of a split; the colour says the same as the label."""
    assert (split.images == split.images[:, :1, :1]).all()
    found = [(int(r) // 10, int(g)) for r, g, _ in split.images[:, 0, 0]]
    assert [label for label, _ in found] == split.labels.tolist()
    return found


def test_a_share_of_every_class_is_cut(root):
    data = load(root, validation=0.25, test=0.2)
    assert data.classes == ("ant", "bee", "wasp")
    assert data.name == "folder:insects"
    assert data.image_shape == (8, 8, 3)
    assert data.train.labels.dtype == np.int32
    parts = [members(part) for part in (data.train, data.validation, data.test)]
    for part, number in zip(parts, (6, 2, 2), strict=True):
        assert [label for label, _ in sorted(part)] == sorted([0, 1, 2] * number)
    assert sorted(itertools.chain(*parts)) == [
        (label, place) for label in range(3) for place in range(10)
    ]
    assert data.train.labels.tolist() != sorted(data.train.labels)  # mixed


def test_the_cut_follows_from_the_names_alone(root, tmp_path):
    first = load(root)
    fill(tmp_path / "elsewhere" / "insects2", names=("wasp", "ant", "bee"))
    other = load(tmp_path / "elsewhere" / "insects2")
    for part in ("train", "validation", "test"):
        assert members(getattr(other, part)) == members(getattr(first, part))
    assert other.fingerprint == first.fingerprint
    draw(root / "ant" / "0.png", (0, 0, 199))
    assert load(root).fingerprint != first.fingerprint


def test_train_and_test_apart(parted):
    data = load(parted, validation=0.0)
    assert data.validation is None
    everything = [(label, place) for label in range(3) for place in range(8)]
    assert sorted(members(data.train)) == everything
    assert sorted(members(data.test)) == [pair for pair in everything if pair[1] < 3]
    cut = load(parted, validation=0.25)
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (18, 6, 9)
    assert cut.fingerprint == data.fingerprint
    pixels = data.train.images / 255
    for held in (data, cut):  # of the whole training set
        np.testing.assert_allclose(held.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(held.std, pixels.std(axis=(0, 1, 2)), rtol=1e-9)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_s_own_validation_is_taken_and_nothing_is_cut(name, parted, capfd):
    fill(parted / name, names=("ant", "bee"), number=2)  # a class may be missing
    before = load(parted)
    for _ in range(2):  # as read, as kept
        data = load(parted)
        assert sorted(members(data.validation)) == sorted([(0, 0), (0, 1), (1, 0), (1, 1)])
        assert (len(data.train), len(data.test)) == (24, 9)
    assert capfd.readouterr().err.count("Reading 37 pictures") == 1
    draw(parted / name / "ant" / "0.png", color(0, 9))
    assert load(parted).fingerprint != before.fingerprint


def test_classes_beside_val_are_not_taken_for_it(root):
    fill(root / "val", number=1)
    refused(root, "has val but no training set: move its classes into .*insects/train")


def test_size_and_channels(root):
    draw(root / "ant" / "0.png", (255, 0, 0))
    data = load(root, size=5, channels=1, validation=0.0)
    assert data.image_shape == (5, 5, 1) == Folder("x", size=5, channels=1).image_shape
    images = np.concatenate([data.train.images, data.test.images])
    assert (images.reshape(30, -1) == 76).all(axis=1).sum() == 1


def test_read_once_until_a_file_changes(root, monkeypatch, capfd):
    first = load(root)
    assert "Reading 30 pictures" in capfd.readouterr().err
    with monkeypatch.context() as context:
        context.setattr(decoding, "decode", None)
        again = load(root)
    assert "Reading" not in capfd.readouterr().err
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.train.images, first.train.images)
    draw(root / "bee" / "new.png", (10, 77, 200))
    grown = load(root)
    assert "Reading 1 of 31 pictures" in capfd.readouterr().err
    assert len(grown.train) + len(grown.validation) + len(grown.test) == 31
    (root / "bee" / "new.png").unlink()
    assert load(root).fingerprint == first.fingerprint
    assert "Reading" not in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "missing", "no list", "bad list"])
def test_row_17_damaged_arrays_are_read_again(damage, root, tmp_path, capfd):
    first = load(root)
    (path,) = (tmp_path / "cache" / "cnn_jax" / "pictures").glob("insects-*/*.npy")
    content = bytearray(path.read_bytes())
    if damage == "flipped bit":
        content[-8] ^= 1
        path.write_bytes(content)
    elif damage == "cut short":
        path.write_bytes(content[:-1])
    elif damage == "missing":
        path.unlink()
    elif damage == "no list":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text('{"sha256": "0", "pictures": [1], "bad": []}')
    capfd.readouterr()
    assert load(root).fingerprint == first.fingerprint
    said = capfd.readouterr().err
    assert "Reading 30 pictures" in said
    assert ("has changed on disk" in said) == ("list" not in damage)
    load(root)
    assert "Reading" not in capfd.readouterr().err


def test_a_cache_that_cannot_be_written_costs_time_only(root, tmp_path, capfd):
    (tmp_path / "cache").write_text("a file")
    assert load(root).fingerprint == load(root).fingerprint
    assert capfd.readouterr().err.count("cannot be written)") == 2


def test_a_full_disk_costs_time_only(root, monkeypatch, capfd):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    first = load(root)
    for path in root.rglob("*.png"):
        path.touch()
    monkeypatch.setattr(np, "save", full)
    assert load(root).fingerprint == first.fingerprint
    assert "No space left on device" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"text", "cut short"])
def test_a_bad_file_is_named_or_skipped(content, root, capfd):
    bad = root / "bee" / "3.png"
    bad.write_bytes(bad.read_bytes()[:60] if content == "cut short" else content)
    with pytest.raises(DataInvalid) as caught:
        load(root)
    message = str(caught.value)
    assert str(bad) in message and "skip_bad=True" in message and "\n" not in message
    for _ in range(2):  # as read, as kept
        capfd.readouterr()
        data = load(root, skip_bad=True)
        said = capfd.readouterr().err
        assert f"{root}: left out, since they can't be read (1):\n  {bad}: " in said
        held = [*members(data.train), *members(data.validation), *members(data.test)]
        assert sorted(held) == sorted(
            (label, place) for label in range(3) for place in range(10) if (label, place) != (1, 3)
        )
    with pytest.raises(DataInvalid, match="skip_bad"):
        load(root)


def test_a_class_or_a_part_that_is_bad_as_a_whole(parted):
    for path in (parted / "train" / "bee").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataInvalid, match="none of the training images of bee can be read"):
        load(parted, skip_bad=True)
    fill(parted / "train", number=8)
    for path in (parted / "test").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataInvalid, match="none of the images to test on can be read"):
        load(parted, skip_bad=True)


def test_what_is_no_picture_is_passed_over(root, capfd):
    for name in ("ant/notes.txt", "bee/a.heic", "bee/b.HEIC", "ant/README", "ant/.hidden.png"):
        (root / name).write_bytes(b"no picture")
    (root / ".git").mkdir()
    (root / "LICENSE").write_text("all yours")
    (root / "ant" / "0.png").rename(root / "ant" / "0.PNG")
    draw(root / "ant" / "deeper" / "10.png", color(0, 10))
    data = load(root)
    assert len(data.train) + len(data.validation) + len(data.test) == 31
    assert data.classes == ("ant", "bee", "wasp")
    assert "31 pictures" in (said := capfd.readouterr().err)
    assert "ant: 1 .txt, 1 no extension, bee: 2 .heic" in said


def test_links(root, tmp_path):
    whole = load(root)
    outside = tmp_path / "outside"
    shutil.move(root / "bee", outside)
    (root / "bee").symlink_to(outside)
    (root / "ant" / "again").symlink_to(root)
    (root / "ant" / "round").symlink_to("round")
    assert load(root).fingerprint == whole.fingerprint
    (root / "loop").symlink_to(root)
    with pytest.raises(DataInvalid, match="loop is a link to a folder that contains it"):
        load(root)
    (root / "loop").unlink()
    (root / "ant" / "round.png").symlink_to("round.png")
    with pytest.raises(DataInvalid, match=r"round\.png: .*symbolic links.*skip_bad"):
        load(root)
    assert load(root, skip_bad=True).fingerprint == whole.fingerprint


def refused(root, match, error=DataInvalid, **fields):
    with pytest.raises(error, match=match) as caught:
        Folder(str(root), **fields).load()
    assert "\n" not in str(caught.value)


def test_folders_that_are_not_as_they_should_be(root, parted, tmp_path):
    refused(tmp_path / "none", "none is not a folder", DataUnavailable)
    refused(root / "ant" / "0.png", "is not a folder", DataUnavailable)
    refused(root / "ant", "must have a sub-folder for each of at least two classes, got 0")
    (root / "empty").mkdir()
    refused(root, "insects/empty has no pictures: add some, or remove the folder")
    refused(parted.parent / "insects", "empty has no pictures")
    (parted / "test" / "hornet").mkdir()
    refused(parted, "test has classes that .*train lacks .hornet.")
    (parted / "test" / "hornet").rmdir()
    (parted / "val").mkdir()
    refused(parted, "val has no pictures to validate on")
    (parted / "val" / "hornet").mkdir()
    refused(parted, "val has classes that .*train lacks .hornet.")
    (parted / "valid").mkdir()
    refused(parted, "has both val and valid: remove one")
    (parted / "valid").rmdir()
    shutil.rmtree(parted / "val")
    shutil.rmtree(parted / "test" / "ant")  # a class may be missing in the test
    assert set(load(parted).test.labels.tolist()) == {1, 2}
    shutil.rmtree(parted / "test" / "bee")
    shutil.rmtree(parted / "test" / "wasp")
    refused(parted, "test has no pictures to test on")
    (parted / "test").rmdir()
    refused(parted, "has train but no test set: add .*test, or name .*train itself")
    assert len(load(parted / "train").test) == 6


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path / "vehicles", names=("bus", "train"))
    assert load(tmp_path / "vehicles").classes == ("bus", "train")


def test_too_few_to_test_on(tmp_path):
    fill(tmp_path / "few", number=2)
    refused(tmp_path / "few", "few has no pictures to test on: 0.2 of 2 pictures is none: set test")
    data = load(tmp_path / "few", test=0.9, validation=0.9)
    assert (len(data.train), data.validation, len(data.test)) == (3, None, 3)


def test_paths(root, monkeypatch):
    monkeypatch.chdir(root / "ant")
    here, home = load(".."), load(root)
    assert (here.name, here.fingerprint) == (home.name, home.fingerprint)
    monkeypatch.setenv("HOME", str(root.parent))
    assert load("~/insects").fingerprint == home.fingerprint
    config = Folder(str(root))
    assert isinstance(config, DataConfig)
    assert config.resolve("/nowhere") == (config, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0),
        ("channels", 2),
        ("validation", 1.0),
        ("validation", -0.1),
        ("test", 0.0),
        ("test", 1.0),
    ],
)
def test_ranges(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be .*, got {value}$"):
        Folder("somewhere", **{field: value})


def test_no_path_is_not_the_current_folder():
    with pytest.raises(ValueError, match=r"^path must name a folder"):
        Folder("")


def test_a_class_without_pictures_to_validate_on_is_told(root, capsys):
    """Two of ten are one test picture and, of nine, none of a tenth to validate on."""
    for place in range(2, 10):
        (root / "wasp" / f"{place}.png").unlink()
    data = load(root)
    assert sorted(set(data.validation.labels.tolist())) == [0, 1]
    said = capsys.readouterr().err
    assert "validation has no pictures of wasp, since 0.1 of 2 pictures is none: too few" in said
    assert "of ant" not in said
