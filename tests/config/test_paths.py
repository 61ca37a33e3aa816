"""Fields that name local files: how they are found, replaced, and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from flax import linen as nn

from cnn_jax import config
from cnn_jax.config import ConfigError
from cnn_jax.ranges import Checked, LocalPath


@dataclass(frozen=True)
class Photos(Checked):
    path: LocalPath
    title: str = "photos"


@dataclass(frozen=True)
class Several:
    choices: tuple[Photos, ...] = ()
    lists: tuple[LocalPath, ...] = ()
    best: LocalPath | None = None


class Net(nn.Module):
    weights: LocalPath = ""
    width: int = 4


@dataclass(frozen=True)
class Training(Checked):
    data: Photos | Several
    model: nn.Module = Net()
    init_from: LocalPath = ""


EVERY = Training(
    Several((Photos("a"), Photos("~/b")), lists=("c", "/d"), best="e"), Net("f"), init_from="g"
)


def test_paths_are_found_in_all_parts_by_dotted_name():
    assert config.local_paths(EVERY) == {
        "data.choices.0.path": "a",
        "data.choices.1.path": "~/b",
        "data.lists.0": "c",
        "data.lists.1": "/d",
        "data.best": "e",
        "model.weights": "f",
        "init_from": "g",
    }
    assert config.local_paths(Training(Photos("photos"))) == {"data.path": "photos"}


def test_paths_are_replaced_by_the_same_names():
    moved = {name: f"/m/{path}" for name, path in config.local_paths(EVERY).items()}
    assert config.local_paths(config.with_paths(EVERY, moved)) == moved
    assert config.with_paths(EVERY, {}) is EVERY
    one = config.with_paths(EVERY, {"data.choices.0.path": "z", "no.such": "y"})
    assert one == replace(EVERY, data=replace(EVERY.data, choices=(Photos("z"), Photos("~/b"))))
    assert one.model == Net("f") and one.model.width == 4


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("gs://b/x", "mount the bucket as a folder"),
        ("S3://b", "mount the bucket as a folder"),
        ("hdfs+x://b/y", "mount"),
        (" az://b", "mount"),
        ("http://h/x", "download it"),
        ("https://h/x", "download it"),
        ("file:///x", "drop file://"),
    ],
)
def test_a_url_is_no_local_path(path, instead):
    with pytest.raises(ValueError, match=r"^path must be a local path, got ") as error:
        Photos(path)
    assert "\n" not in str(error.value) and instead in str(error.value)
    with pytest.raises(ConfigError, match=r"^config\.best must be a local path, got "):
        config.check(Several(best=path))
    with pytest.raises(ConfigError, match=r"^config\.lists\[1\] must be a local path, got "):
        config.check(Several(lists=("a", path)))


@pytest.mark.parametrize("path", ["", "a", "~/a", "/a:/b", "C:/a", "a//b", "x:y", "../://"])
def test_any_other_name_is(path):
    config.check(Several((Photos(path),), (path,), path))
