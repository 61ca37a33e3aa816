"""Compiled programs on disk: found again, bit for bit the same, bounded, and never in the way."""

from __future__ import annotations

import json
import os

import pytest
from program import TINY, one_line, run
from same_run import assert_same_run

from cnn_jax.runtime import compile_cache

MISS = "PERSISTENT COMPILATION CACHE MISS"  # what JAX_EXPLAIN_CACHE_MISSES makes JAX say


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_has_the_same_bits(tmp_path):
    arguments = (
        *TINY,
        "--config.model=ResNet(depth=8, width=4)",
        "--config.augment=(RandomCrop(2), Flip())",
        "--config.epochs=1",
    )
    environ = {
        "XDG_CACHE_HOME": str(tmp_path),
        "JAX_COMPILATION_CACHE_DIR": "",
        "JAX_EXPLAIN_CACHE_MISSES": "1",
    }
    kept = tmp_path / "cnn_jax" / "compiled"

    def trained(name: str, *more: str) -> str:
        return run(*arguments, f"--workdir={tmp_path}/{name}", *more, **environ).stderr

    assert MISS in trained("cold")
    programs = sorted(kept.iterdir())
    assert any("step" in path.name for path in programs)
    assert MISS not in trained("warm")
    assert sorted(kept.iterdir()) == programs
    trained("off", "--compile_cache=off")
    launch = json.loads((tmp_path / "warm" / "manifest.json").read_text())["launches"][0]
    assert launch["compile_cache"] == str(kept)
    assert_same_run(tmp_path / "cold", tmp_path / "warm")
    assert_same_run(tmp_path / "cold", tmp_path / "off")

    for path in programs:  # as a kill or a full disk may leave them
        path.write_bytes(path.read_bytes()[:-100])
    trained("damaged")
    assert_same_run(tmp_path / "cold", tmp_path / "damaged")


def test_a_folder_that_can_not_be_written_is_one_line_and_no_end(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(*TINY, "--dry_run", f"--compile_cache={tmp_path}/file/below")
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1 and "--compile_cache" in notes[0]
    assert "Traceback" not in done.stderr
    assert "MiB" in done.stdout


def test_a_folder_whose_name_is_not_utf_8_is_one_line(tmp_path):
    before = compile_cache.folder()
    note = compile_cache.use(f"{tmp_path}/\udcff")
    assert note.startswith("note: ") and "--compile_cache" in note and one_line(note)
    assert compile_cache.folder() == before and not [*tmp_path.iterdir()]


def test_jax_s_own_setting_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = compile_cache.folder()
    assert compile_cache.use() == ""
    assert compile_cache.folder() == before
    assert not list(tmp_path.iterdir())


def test_the_longest_unused_programs_go_first(tmp_path):
    for age, name in enumerate("cab"):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(10))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "other").write_bytes(bytes(100))
    compile_cache.prune(tmp_path, limit=25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-cache", "c-cache", "other"]
    compile_cache.prune(tmp_path, limit=20)
    assert len(list(tmp_path.iterdir())) == 3
