"""Runs a process of a job as a child, so that the parent can report why it was aborted.

JAX aborts a process whose coordinator is lost from C++, where no Python code runs. Imports only
light modules of the standard library.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

_VARIABLE = "CNN_JAX_SUPERVISED"
_ON = {"distributed", "distributed=true", "distributed=1", "distributed=t"}
# Signals that schedulers send to the parent alone.
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


def is_child() -> bool:
    """Whether this process has a parent that supervises it."""
    return _VARIABLE in os.environ


def supervise(argv: Sequence[str]) -> None:
    """Runs the program again as a child, and ends with its exit code, if it is part of a job.

    Returns in the child, and outside a job.

    Args:
      argv: `sys.argv`.
    """
    words = {argument.lstrip("-").lower() for argument in argv[1:] if argument.startswith("-")}
    submits = any(word.partition("=")[0] == "launch" for word in words)
    if not words & _ON or submits or is_child():
        return
    ignored = [n for n in _PASSED_ON if signal.getsignal(getattr(signal, n)) is signal.SIG_IGN]
    environ = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, _VARIABLE: "1"}  # no warnings from C++
    child = subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=environ)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for name in _PASSED_ON:
        if name not in ignored:
            signal.signal(getattr(signal, name), pass_on)
    code = child.wait()
    if code < 0:
        name = signal.Signals(-code).name
        reason = {
            "SIGABRT": "this process was aborted; if no other error stands above, process 0, the "
            "coordinator, is lost (killed, or its machine is gone)",
            "SIGKILL": "this process was killed, perhaps for lack of memory",
        }.get(name, f"this process was ended by {name}")
        print(
            f"error: {reason}: the same command on all processes resumes from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
    sys.exit(code if code >= 0 else 128 - code)
