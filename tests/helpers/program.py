"""Runs `run.py` as a user does, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "run.py"
# A few hundred small pictures and a small net: seconds a run.
TINY = (
    "--config.data=Shapes(train=256, validation=64, test=75)",
    "--config.model=ConvNet(widths=(4, 8), hidden=16)",
    "--config.optimizer=SGD(peak_lr=0.05)",
    "--config.batch_size=32",
    "--config.epochs=3",
)


def environment(**more: str) -> dict[str, str]:
    """This process's, with one CPU device as a user has it."""
    left_out = ("XLA_FLAGS", "PJRT_NPROC", "GLIBC_TUNABLES")
    kept = {k: v for k, v in os.environ.items() if k not in left_out}
    return kept | {"JAX_PLATFORMS": "cpu"} | more


def run(
    *arguments: str, cwd: Path | None = None, code: int | None = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end and checks its exit code (None: any)."""
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments],
        cwd=cwd or ROOT,
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=600,
    )
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process as a user's, to its end, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def start(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    """Starts the program; its output is read from `stdout`."""
    return subprocess.Popen(
        [sys.executable, "-u", str(RUN), *arguments],
        cwd=cwd or ROOT,
        env=environment(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heeds_ctrl_c,
    )


def heeds_ctrl_c() -> None:
    # Tests that a shell runs in the background are deaf to it, and so is what they start.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def one_line(text: str) -> bool:
    """Whether the text is a single line and no traceback."""
    return len(text.strip().splitlines()) == 1 and "Traceback" not in text
