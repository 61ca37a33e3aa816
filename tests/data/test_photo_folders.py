"""Folders of photos as people have them: what is found in them, and what is said of it."""

from __future__ import annotations

import itertools

import pytest
from photo_folders import CLASSES, draw, fill, other

from cnn_jax.data import DataInvalid, Folder
from cnn_jax.data.pictures.picture_files import find


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    """Nothing is kept in the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def load(root, **fields):
    return Folder(str(root), **({"size": 8} | fields)).load()


def sizes(data):
    return len(data.train), len(data.validation or ()), len(data.test)


TRAIN = ("train", "TRAIN", "Training", "training_set", "Train Images", "trainset", "train1")
TEST = ("test", "TEST", "Testing", "test_set", "Test Images", "testset", "test1")
VALIDATION = ("val", "VALID", "Validation", "validation_set", "Val Images", "dev", "eval")


@pytest.mark.parametrize("names", [*zip(TRAIN, TEST, VALIDATION, strict=True)])
def test_a_split_by_any_customary_name(names, tmp_path):
    for name, number in zip(names, (8, 3, 2), strict=True):
        fill(tmp_path / name, number=number)
    data = load(tmp_path)
    assert data.classes == CLASSES and sizes(data) == (16, 4, 6)


@pytest.mark.parametrize("form", ["seg_{}", "{}-flowers", "pets {} 2024"])
def test_splits_that_share_a_further_word(form, tmp_path):
    fill(tmp_path / form.format("train"), number=8)
    fill(tmp_path / form.format("test"), number=3)
    assert sizes(load(tmp_path, validation=0.0)) == (16, 0, 6)


def test_a_split_within_a_folder_of_the_same_name(tmp_path):
    """As archives unpack: training_set/training_set/cat."""
    fill(tmp_path / "training_set" / "training_set", number=8)
    fill(tmp_path / "test_set" / "test_set", number=3)
    assert sizes(load(tmp_path, validation=0.0)) == (16, 0, 6)


def test_train_and_val_alone_as_imagenet_comes(tmp_path, capfd):
    fill(tmp_path / "train", number=10)
    fill(tmp_path / "val", number=3)
    data = load(tmp_path, validation=0.2)
    assert sizes(data) == (16, 4, 6)
    assert f"val is the test set, since {tmp_path} has no other" in capfd.readouterr().err


def test_classes_are_the_same_in_every_spelling_of_a_split(tmp_path):
    fill(tmp_path / "train", ("Café", "Dog"), 4)
    fill(tmp_path / "test", ("Cafe\N{COMBINING ACUTE ACCENT}", "dog"), 3)
    assert sizes(load(tmp_path, validation=0.0)) == (8, 0, 6)


def refused(root, *parts, **fields):
    with pytest.raises(DataInvalid) as caught:
        load(root, **fields)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_incomplete_splits_are_refused_with_advice_that_loses_nothing(tmp_path):
    fill(tmp_path / "a" / "test")
    refused(tmp_path / "a", "has test but no training set", f"name {tmp_path}/a/test itself")
    fill(tmp_path / "b" / "Training")
    refused(tmp_path / "b", "has Training but no test set")
    for number in range(4):
        draw(tmp_path / "c" / "test" / f"{number}.png")
    fill(tmp_path / "c" / "train")
    refused(tmp_path / "c", "test has no sub-folder for each class", "have no labels")
    fill(tmp_path / "d" / "train")
    fill(tmp_path / "d" / "Train")
    refused(tmp_path / "d", "has both")
    fill(tmp_path / "e" / "pets")
    refused(tmp_path / "e", "got 1", f"perhaps it is {tmp_path / 'e' / 'pets'} that you mean")
    (tmp_path / "g" / "archive").mkdir(parents=True)
    (tmp_path / "e" / "pets").rename(tmp_path / "g" / "archive" / "pets")
    refused(tmp_path / "g", f"perhaps it is {tmp_path}/g/archive/pets that you mean")
    fill(tmp_path / "f" / "train")
    fill(tmp_path / "f" / "test", [f"kind{number}" for number in range(12)], 1)
    refused(tmp_path / "f", "kind0, kind1, kind10, kind11, kind2 and 7 more")


def test_unknown_names_of_splits_are_pointed_out(tmp_path, capfd):
    fill(tmp_path / "old")
    fill(tmp_path / "new")
    assert load(tmp_path).classes == ("new", "old")
    assert "the classes new, old have the same sub-folders (cat, dog)" in capfd.readouterr().err
    draw(tmp_path / "new" / "one.png")
    load(tmp_path)
    assert "same sub-folders" not in capfd.readouterr().err


MACHINES = (
    "@eaDir", "__MACOSX", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information",
    "lost+found", "@tmp", "#snapshot", ".thumbnails", ".ipynb_checkpoints", ".AppleDouble",
)  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_what_machines_put_beside_pictures_is_ignored(name, tmp_path, capfd):
    fill(tmp_path / "clean")
    fill(tmp_path / "pets")
    for place, number in itertools.product((".", "cat", "dog"), range(10)):
        draw(tmp_path / "pets" / place / name / f"{number}.png" / "THUMB_M.png")
    other(tmp_path / "pets" / "cat" / "Thumbs.db")
    other(tmp_path / "pets" / "dog" / "desktop.ini")
    other(tmp_path / "pets" / "dog" / "._cat0.png")
    data = load(tmp_path / "pets")
    assert data.classes == CLASSES and sizes(data) == (14, 2, 4)
    assert data.fingerprint == load(tmp_path / "clean").fingerprint
    said = capfd.readouterr().err
    assert ("30 files" in said) == (not name.startswith(".")) and "passed over" not in said


@pytest.mark.parametrize("extension", ["jfif", "jpe", "JPE", "dib", "apng", "pnm"])
def test_other_extensions_of_pictures(extension, tmp_path):
    kinds = {"jfif": "JPEG", "jpe": "JPEG", "apng": "PNG", "pnm": "PPM", "dib": "DIB"}
    fill(tmp_path)
    for path in (tmp_path / "cat").iterdir():
        path.unlink()
        draw(path.with_suffix(f".{extension}"), kind=kinds[extension.lower()])
    assert sizes(load(tmp_path)) == (14, 2, 4)


def test_pictures_that_are_not_read_are_counted_by_class(tmp_path, capfd):
    fill(tmp_path)
    for number in range(30):
        other(tmp_path / "dog" / f"{number}.heic")
    assert sizes(load(tmp_path)) == (14, 2, 4)
    assert "no format that is read: dog: 30 .heic\n" in capfd.readouterr().err
    for path in (tmp_path / "dog").glob("*.png"):
        path.unlink()
    refused(tmp_path, "dog has no pictures in a format that is read, but 30 .heic: convert them")


def test_classes_that_are_links(tmp_path):
    fill(tmp_path / "own" / "all", number=6)
    for name in CLASSES:
        (tmp_path / "linked").mkdir(exist_ok=True)
        (tmp_path / "linked" / name).symlink_to(tmp_path / "own" / "all" / name)
    assert sizes(load(tmp_path / "linked", validation=0.0)) == (10, 0, 2)
    assert len(find(tmp_path / "linked").pictures) == 12


def test_links_within_a_class_are_followed_once(tmp_path, capfd):
    fill(tmp_path / "pets", number=4)
    fill(tmp_path / "more", ["cats"], number=3)
    (tmp_path / "pets" / "cat" / "more").symlink_to(tmp_path / "more" / "cats")
    (tmp_path / "pets" / "cat" / "round").symlink_to(tmp_path / "pets")
    (tmp_path / "more" / "cats" / "back").symlink_to(tmp_path / "more")
    assert sizes(load(tmp_path / "pets", validation=0.0)) == (9, 0, 2)
    said = capfd.readouterr().err
    assert "not followed, since they lead back: cat/more/back, cat/round" in said


def test_the_content_is_always_told(tmp_path, capfd):
    fill(tmp_path, number=10)
    fill(tmp_path, ["zebra"], number=4)
    for _ in range(2):  # as read, as kept
        load(tmp_path)
        said = capfd.readouterr().err
        assert (
            f"{tmp_path}: 3 classes (cat, dog, zebra), 4 (zebra) to 10 (cat) pictures each; "
            "17 train, 2 validation, 5 test\n" in said
        )
    fill(tmp_path / "many", [f"c{number}" for number in range(20)], 5)
    load(tmp_path / "many", validation=0.0)
    said = capfd.readouterr().err
    assert "20 classes (c0, c1, c10, c11, c12 and 15 more), 5 pictures each" in said


def test_a_share_that_rounds_to_none_says_what_to_set(tmp_path, capfd):
    fill(tmp_path / "small", number=2)
    refused(tmp_path / "small", "0.2 of 2 pictures is none: set test=0.5 or more")
    assert sizes(load(tmp_path / "small", test=0.5)) == (2, 0, 2)
    fill(tmp_path / "pets", number=10)
    fill(tmp_path / "pets", [f"rare{number}" for number in range(8)], 2)
    load(tmp_path / "pets")
    said = capfd.readouterr().err
    rare = "rare0, rare1, rare2, rare3, rare4 and 3 more"
    assert f"test has no pictures of {rare}, since 0.2 of 2 pictures is none: too few" in said
    load(tmp_path / "small", test=0.5)
    said = capfd.readouterr().err
    assert "no validation set, since 0.1 of 1 pictures is none: too few for all splits" in said
    fill(tmp_path / "mixed", number=10)
    fill(tmp_path / "mixed", ["five"], 5)
    fill(tmp_path / "mixed", ["fifty"], 50)
    load(tmp_path / "mixed", test=0.04)
    said = capfd.readouterr().err
    assert "of cat, dog, five, since 0.04 of 5 pictures is none: set test=0.2" in said
    fill(tmp_path / "ones", number=1)
    refused(tmp_path / "ones", "no pictures to test on", "add more pictures")


def test_what_is_not_read_beside_splits_and_classes_is_told(tmp_path, capfd):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    fill(tmp_path / "unlabelled", ["all"])
    draw(tmp_path / "train" / "loose.png")
    load(tmp_path)
    said = capfd.readouterr().err
    assert "they are no split: unlabelled" in said and "they are in no class: loose.png" in said


def test_much_that_is_cut_off_is_told(tmp_path, capfd):
    for name, number in itertools.product(CLASSES, range(10)):
        draw(tmp_path / "spectra" / name / f"{name}{number}.png", height=32, width=128)
        draw(tmp_path / "photos" / name / f"{name}{number}.png", height=30, width=40)
    load(tmp_path / "spectra")
    said = capfd.readouterr().err
    assert 'fit="crop" cuts off 75% of the median picture, which is 128 wide and 32 high' in said
    for fields in ({"size": (8, 32)}, {"fit": "pad"}, {"fit": "stretch"}):
        data = load(tmp_path / "spectra", **fields)
        assert data.image_shape == (*fields.get("size", (8, 8)), 3)
        assert "cuts off" not in capfd.readouterr().err
    load(tmp_path / "photos")  # a quarter
    assert "cuts off" not in capfd.readouterr().err


def test_more_pictures_than_memory_are_refused_before_they_are_read(tmp_path, monkeypatch, capfd):
    fill(tmp_path)
    monkeypatch.setattr("cnn_jax.data.memory_check.free_memory", lambda: 20 * 8 * 8 * 3 - 1)
    refused(tmp_path, "20 images of 8x8x3 bytes", "are free: set data.stream=true, lower data.size")
    assert "Reading" not in capfd.readouterr().err
    monkeypatch.setattr("cnn_jax.data.memory_check.free_memory", lambda: 20 * 8 * 8 * 3)
    load(tmp_path)


def test_free_memory_is_that_of_the_machine_at_most():
    import psutil

    from cnn_jax.runtime.free_memory import free_memory

    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_equal_pictures_in_different_classes_and_splits_are_told(tmp_path, capfd):
    fill(tmp_path / "train", number=5)
    fill(tmp_path / "test", number=2)  # of the same names, and so the same pictures
    load(tmp_path)
    said = capfd.readouterr().err
    assert "equal pictures in different splits: 4, such as " in said
    assert "in different classes" not in said
    fill(tmp_path / "pets", number=6)
    (tmp_path / "pets" / "dog" / "more").symlink_to(tmp_path / "pets" / "cat")
    load(tmp_path / "pets", validation=0.0)
    assert "equal pictures in different classes: 6, such as " in capfd.readouterr().err


def test_labelled_pictures_are_read_whatever_their_number(tmp_path):
    draw(tmp_path / "cat" / "one.png")
    data = Folder(str(tmp_path), size=8).load_labelled()
    assert data.classes == ("cat",) and len(data.test) == 1
    (tmp_path / "dog").mkdir()  # a class without pictures
    assert Folder(str(tmp_path), size=8).load_labelled().classes == CLASSES
    with pytest.raises(DataInvalid, match="has no pictures in sub-folders named as their classes"):
        Folder(str(tmp_path / "dog"), size=8).load_labelled()
