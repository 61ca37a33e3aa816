"""The library is compiled once, and what is missing is one line for the user."""

from __future__ import annotations

import importlib.metadata
import re

import onednn_library
import pytest

from cnn_jax.errors import UserError
from cnn_jax.native import library


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    onednn_library.needed()
    quick = tuple(flag.replace("-O3", "-O0") for flag in library.FLAGS)
    monkeypatch.setattr(library, "FLAGS", quick)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_compiled_once(empty_cache, monkeypatch):
    library.compiled()
    (kept,) = (empty_cache / "cnn_jax" / "native").iterdir()
    begun = kept.stat().st_mtime_ns
    monkeypatch.setattr(library.subprocess, "run", None)
    assert library.compiled().CnnJaxHasBfloat16() in (0, 1)
    assert kept.stat().st_mtime_ns == begun


def test_a_cache_that_cannot_be_written_is_done_without(empty_cache, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert library.compiled().CnnJaxHasBfloat16() in (0, 1)


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("/no/such/c++", r"needs a C\+\+ compiler: .*/no/such/c"),
        ("c++ --no-such-option", "could not be compiled: .*--no-such-option"),
    ],
)
def test_a_compiler_that_fails_is_one_line(empty_cache, monkeypatch, compiler, said):
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(UserError, match=said) as caught:
        library.compiled()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("files", [None, []], ids=["not recorded", "empty"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, files):
    monkeypatch.setattr(importlib.metadata, "files", lambda package: files)
    with pytest.raises(UserError, match=re.escape("pip install -e '.[onednn]'")):
        library.compiled()
