"""Measures what matters on an accelerator, in order of value, within a time budget.

    python benchmarks/accelerator.py --budget=540
    python benchmarks/accelerator.py --rehearse --out=/tmp/rehearsal.json    tiny, on any machine

Every row is written to results/accelerator/DEVICE.json as it is measured, so the command can be
killed at any moment; called again, it goes on where it stopped. Each task runs in a process of its
own with a time limit. benchmarks/README.md describes the stages, and how to bring the data to a
machine without a network.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

# From a checkout it goes uninstalled too, as run.py does.
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages import gpu
from stages.records import Records

ROOT = Path(__file__).resolve().parents[1]
# Seconds that a task gets to save its work once it is asked to stop.
GRACE = 10.0


def main(argv: Sequence[str]) -> int:
    flags = _flags(argv)
    if flags.task:
        return _work(flags)
    deadline = time.monotonic() + flags.budget
    flags.out = flags.out or ROOT / "results" / "accelerator" / f"{_device_slug()}.json"
    flags.scratch.mkdir(parents=True, exist_ok=True)
    for names, limit, least in _processes(flags):
        left = deadline - time.monotonic()
        if left < least:
            print(f"{', '.join(names)}: needs {least:.0f} s, {left:.0f} s are left", flush=True)
            continue
        _run(names, min(limit, left - GRACE), flags)
    rows = Records(flags.out).rows()
    print(f"{len(rows)} rows in {flags.out}")
    return 0


def _flags(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=540, help="Seconds in all")
    parser.add_argument("--rehearse", action="store_true", help="Tiny nets and data: a trial")
    parser.add_argument("--only", default="", help="Tasks whose names begin so, by commas")
    parser.add_argument("--out", type=Path, help="Default: results/accelerator/DEVICE.json")
    parser.add_argument("--data_dir", help="Where TFDS data is; default: $TFDS_DATA_DIR")
    parser.add_argument("--peers", type=Path, help="Checkouts of the peers' code: see README.md")
    parser.add_argument(
        "--torch_python",
        default=os.environ.get("CNN_JAX_TORCH_PYTHON", ""),
        help="A Python that has torch; default: $CNN_JAX_TORCH_PYTHON, or this one",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path.home() / ".cache" / "cnn_jax" / "accelerator",
        help="Where trainings that a later call resumes are kept",
    )
    parser.add_argument("--task", help=argparse.SUPPRESS)  # of a worker: names, by commas
    return parser.parse_args(argv)


def _device_slug() -> str:
    name = gpu.facts().get("name")
    if not name:
        script = "import jax; print(jax.local_devices()[0].device_kind)"
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        name = found.stdout.strip() or "unknown"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _processes(flags: argparse.Namespace) -> list[tuple[list[str], float, float]]:
    """The tasks of each process, its time limit, and the time under which it isn't started.

    A rehearsal runs all tasks in one process: starting Python and JAX takes longer than they do.
    """
    from stages.plan import REHEARSED, TASKS

    wanted = tuple(flags.only.split(","))
    tasks = REHEARSED if flags.rehearse else TASKS
    tasks = [task for task in tasks if task.name.startswith(wanted)]
    if flags.rehearse:
        return [([task.name for task in tasks], flags.budget, 0.0)]
    return [([task.name], task.limit, task.least) for task in tasks]


def _run(names: list[str], limit: float, flags: argparse.Namespace) -> None:
    """Runs tasks in a process and stops it at its limit."""
    records = Records(flags.out)
    names = [name for name in names if records.start(name)]
    if not names:
        return
    command = [sys.executable, "-u", __file__, f"--task={','.join(names)}", f"--out={flags.out}"]
    command += [f"--scratch={flags.scratch}", f"--torch_python={flags.torch_python}"]
    command += [
        f"--{name}={getattr(flags, name)}" for name in ("data_dir", "peers") if getattr(flags, name)
    ]
    command += ["--rehearse"] * flags.rehearse
    begun = time.monotonic()
    # The worker ends when its standard input does: if this process is killed, so is it.
    worker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, process_group=0)
    try:
        worker.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGTERM)
        try:
            worker.wait(GRACE / 2)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
    print(f"{', '.join(names)}: {time.monotonic() - begun:.0f} s, exit {worker.wait()}", flush=True)


def _work(flags: argparse.Namespace) -> int:
    """What a worker does: runs tasks one after the other and records their rows."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from stages.plan import TASKS
    from stages.task import Context

    from cnn_jax.runtime import compile_cache, hardware

    compile_cache.use(str(flags.scratch / "compile_cache"))
    records, failed = Records(flags.out), 0
    for task in TASKS:
        if task.name not in flags.task.split(","):
            continue
        context = Context(
            rehearse=flags.rehearse,
            scratch=flags.scratch,
            data_dir=flags.data_dir,
            torch_python=flags.torch_python or sys.executable,
            peers=flags.peers,
            rows=records.rows(),
        )
        common = {"stage": task.stage, "git": hardware.git(), "jax": hardware.software()["jax"]}
        begun, before = time.monotonic(), gpu.state()
        try:
            for name, values in task.run(context):
                row = {"seconds": time.monotonic() - begun, "date": time.strftime("%Y-%m-%d")}
                clocks = {"gpu_before": before, "gpu_after": gpu.state()}
                records.add(name, common | row | clocks | {"values": values})
                print(f"{name}: {_brief(values)}", flush=True)
                begun, before = time.monotonic(), clocks["gpu_after"]
        except Exception as error:
            failed += 1
            text = "".join(traceback.format_exception(error))[-4000:]
            records.add(f"{task.name}/failed", common | {"values": {"error": text}})
            traceback.print_exc()
        else:
            records.finish(task.name)
    return min(failed, 1)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # ends with the other end of the pipe
        pass
    os._exit(1)


def _brief(values: dict) -> str:
    text = ", ".join(f"{key} {value}" for key, value in values.items())
    return text if len(text) < 200 else text[:197] + "..."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
