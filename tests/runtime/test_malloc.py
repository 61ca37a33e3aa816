"""The program starts anew with malloc tuned: once, in the same process, and only where it may."""

from __future__ import annotations

import itertools
import json
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import ROOT, TINY, environment, run, start

from cnn_jax.runtime import malloc

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

# Each start of it prints a line.
PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from cnn_jax.runtime import malloc
seen = [os.getpid(), os.environ.get("GLIBC_TUNABLES"), sys.argv[1:], sys.flags.utf8_mode]
print(json.dumps(seen), flush=True)
malloc.tune(sys.argv)
sys.exit(7)
"""


@pytest.fixture
def starts(tmp_path):
    """A function that runs the program and gives what it printed at each start."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)

    def called(*arguments: str, **environ: str) -> list[list]:
        done = subprocess.run(
            [sys.executable, "-X", "utf8", str(path), *arguments],
            env=environment(**environ),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 7, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return called


def test_it_starts_once_more_as_the_same_process_with_the_same_command(starts):
    before, after = starts("--config=a b", "--mode=train")
    assert before[1] is None and "glibc.malloc" in after[1]
    assert before[0] == after[0]
    assert before[2:] == after[2:] == [["--config=a b", "--mode=train"], 1]


@pytest.mark.parametrize(
    "argument",
    ["--nocpu_tuning", "--cpu_tuning=False", "--help", "--list", "--dry_run", "--mode=volumes"],
)
def test_it_does_not_where_it_is_told_not_to_or_has_little_to_do(starts, argument):
    assert len(starts("--config=quickstart", argument)) == 1


def test_the_user_s_own_setting_stays(starts):
    own = "glibc.malloc.arena_max=2"
    assert [seen[1] for seen in starts(GLIBC_TUNABLES=own)] == [own]


@pytest.mark.parametrize("platforms", ["cuda", "tpu,cpu"])
def test_an_accelerator_needs_none_of_it(starts, platforms):
    assert len(starts(JAX_PLATFORMS=platforms)) == 1
    assert len(starts(f"--jax_platforms={platforms}")) == 1


@pytest.mark.parametrize(
    ("argv", "environ", "pays"),
    [
        (["--jax_platforms", "cuda"], {}, False),
        (["-jax_platforms=cuda"], {"JAX_PLATFORMS": "cpu"}, False),
        (["--jax_platforms=cpu"], {"JAX_PLATFORMS": "cuda"}, True),
        (["--jax_platforms=cuda", "--jax_platforms=cpu"], {}, True),
        (["--jax_platforms"], {"JAX_PLATFORMS": "cuda"}, True),
        (["--workdir=jax_platforms=cuda"], {}, True),
    ],
)
def test_the_flag_for_platforms_counts_before_the_variable(argv, environ, pays):
    assert malloc.pays(["run.py", *argv], environ) is pays


def launches(folder: Path) -> list[dict]:
    return json.loads((folder / "manifest.json").read_text())["launches"]


@pytest.mark.slow
def test_ctrl_c_reaches_the_program_and_both_ways_are_one_run(tmp_path):
    arguments = (*TINY, "--config.epochs=4000", f"--workdir={tmp_path}")
    for more in ([], ["--nocpu_tuning"]):
        training = start(*arguments, *more)
        assert training.stdout
        said = "".join(itertools.takewhile(lambda line: "train " not in line, training.stdout))
        training.send_signal(signal.SIGINT)
        said += training.communicate(timeout=60)[0]
        assert training.returncode == 130, said
        assert "interrupted" in said
    assert [launch["glibc_tunables"] for launch in launches(tmp_path)] == [malloc.MALLOC, ""]


def test_what_was_set_is_in_the_manifest_and_the_first_line_is_about_the_run(tmp_path):
    done = run(*TINY, "--config.epochs=1", f"--workdir={tmp_path}")
    assert done.stdout.startswith("ConvNet(widths=(4, 8), hidden=16) on shapes")
    assert launches(tmp_path)[0]["glibc_tunables"] == malloc.MALLOC


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what a process has loaded")
@pytest.mark.parametrize("library", ["ml_dtypes", "jaxlib"])
def test_ctrl_c_while_libraries_load_ends_it_without_a_word(library):
    process = start("--list")
    maps = Path(f"/proc/{process.pid}/maps")
    while library not in maps.read_text():
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in said and "Error" not in said
