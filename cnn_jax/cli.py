"""The command line: flags -> Experiment -> mode. A user's mistake is one line and exit code 2."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax

from cnn_jax import config
from cnn_jax.config import Command, Flag
from cnn_jax.config.names import NAMES
from cnn_jax.errors import RunFailed, UserError, first_line
from cnn_jax.modes import (
    benchmark,
    common_flags,
    compare,
    demo,
    dry_run,
    evaluate,
    explain,
    export,
    launch,
    list_recipes,
    predict,
    report,
    search,
    sweep,
    train,
    volumes,
)
from cnn_jax.modes.mode import Mode
from cnn_jax.runtime import cluster, compile_cache, hardware, jax_settings, memory, signals
from cnn_jax.storage.local_paths import local_path
from cnn_jax.terminal.closed_output import discard
from cnn_jax.tpu.slices import compile_without_tpu
from cnn_jax.training.loop import Interrupted

MODES = {
    "train": train.MODE,
    "evaluate": evaluate.MODE,
    "predict": predict.MODE,
    "explain": explain.MODE,
    "export": export.MODE,
    "report": report.MODE,
    "compare": compare.MODE,
    "volumes": volumes.MODE,
    "sweep": sweep.MODE,
    "search": search.MODE,
    "benchmark": benchmark.MODE,
    "demo": demo.MODE,
}
MODE = Flag(
    "mode",
    Literal.__getitem__(tuple(MODES)),
    "train",
    "train; evaluate, explain, export or report on a run; predict; compare runs; show volumes; "
    "sweep; search; benchmark; demo: a page to explore a net",
)
# Flags by the title that --help shows them under. A flag of several modes stands with the first.
FLAGS: dict[str, list[Flag]] = {
    "What to do": [MODE, *common_flags.ACTIONS],
    "Where": [*common_flags.PLACES],
    "How": [*common_flags.PROCESS],
}
for _name, _mode in MODES.items():
    _known = {flag.name for flags in FLAGS.values() for flag in flags}
    if _own := [flag for flag in _mode.flags if flag.name not in _known]:
        FLAGS[f"--mode={_name}"] = _own
# The modes that a flag is for; the others refuse it.
ONLY_FOR = {name: ["train"] for name in ("list", "print_config", "topology")} | {
    flag.name: [name for name, mode in MODES.items() if flag in mode.flags]
    for mode in MODES.values()
    for flag in mode.flags
}
ONLY_FOR["dry_run"] = ["train", "sweep", "search"]
# Flags that name a file or a folder.
PATHS = ("workdir", "data_dir", "model", "output", "contact_sheet")


def main(argv: Sequence[str]) -> int:
    """Runs the program.

    Returns:
      Its exit code: 0, 1 (it failed), 2 (a user's mistake), or 128 + the number of the signal that
      stopped it: 130 (Ctrl-C), 143 (SIGTERM) and so on.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the process that started this one
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):  # a name that can't be printed must not end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with signals.raised():
            outcome = _outcome(argv)
            shown = cluster.leads() or not outcome.agreed
            _report(outcome.line if shown else "")
    except KeyboardInterrupt as stop:  # one more, while the first one was being reported
        outcome = Outcome(signals.exit_code(stop), "interrupted")
    if outcome.agreed:
        cluster.leave()
    elif cluster.number() > 1:
        reason = outcome.line.removeprefix("error: ") or "the reader of its output has gone"
        cluster.abandon(reason, outcome.code)
    return outcome.code


class Outcome(NamedTuple):
    """How the program ended.

    Attributes:
      code: The exit code.
      line: What to print, "" for nothing.
      agreed: Whether all processes of a job end in the same way.
    """

    code: int
    line: str = ""
    agreed: bool = False


def _outcome(argv: Sequence[str]) -> Outcome:
    command = None
    try:
        command = config.parse(argv, plain=FLAGS, names=NAMES, usage=common_flags.USAGE)
        _run(command)
        return Outcome(0, agreed=True)
    except BrokenPipeError:  # the reader of the output has gone
        discard(sys.stdout.fileno())
        return Outcome(1)
    except KeyboardInterrupt as stop:
        return Outcome(signals.exit_code(stop), _interrupted(stop, command))
    except Interrupted as stop:
        return Outcome(128 + stop.signal, str(stop), agreed=True)
    except (UserError, RunFailed, OSError) as error:  # OSError: a full disk, a missing permission
        return Outcome(2 if isinstance(error, UserError) else 1, f"error: {error}")
    except Exception as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and (full := memory.out_of_memory(error)):
            return Outcome(1, f"error: {full}")
        cluster.await_verdict(error)
        if cluster.number() == 1:
            raise
        traceback.print_exc()
        return Outcome(1, f"error: {type(error).__name__}: {first_line(error)}")


def _report(line: str) -> None:
    """Prints a line to standard error, if its reader is still there: Ctrl-C also stops `| tee`."""
    try:
        if line:
            print(line, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr.fileno())


def _interrupted(stop: KeyboardInterrupt, command: Command | None) -> str:
    """The message after a signal: what was kept, or else what the same command does next."""
    kept = [*getattr(stop, "__notes__", [])]
    if not kept and command and (mode := _chosen_mode(command)):
        kept = [mode.next_start(command)]
    return ": ".join(["interrupted", *kept])


def _chosen_mode(command: Command) -> Mode | None:
    """The mode that the flags choose; None if they only ask for a list or for the config."""
    flags = command.flags
    if flags.list or flags.print_config:
        return None
    if flags.dry_run:
        return dry_run.MODE if flags.mode == "train" else MODES[flags.mode]
    return launch.MODE if flags.launch else MODES[flags.mode]


def _run(command: Command) -> None:
    mode = _chosen_mode(command)
    _check(command)
    if command.flags.distributed and not (mode and (mode.joins_a_job or mode is launch.MODE)):
        raise UserError("--distributed is for training: drop it here")
    if mode and mode.joins_a_job:
        _join_job(command)
    for note in command.notes if mode is None or mode.uses_recipe else ():
        if cluster.leads():
            print(note, file=sys.stderr)
    if mode:
        if command.flags.topology:
            compile_without_tpu()
        if mode.uses_device and not command.flags.jobs:  # they start devices of their own
            _start_device(command)
        mode.run(command)
    elif command.flags.list:
        list_recipes.show(command.recipe.names)
    else:
        print(config.to_recipe(command.experiment, command.recipe.doc, NAMES), end="")


def _check(command: Command) -> None:
    """Expands the paths; raises UserError for flags and files that the mode does not take."""
    flags = command.flags
    for name in PATHS:
        text = getattr(flags, name)
        if text is not None:
            setattr(flags, name, _expanded(f"--{name}=", text))
    if flags.workdir and Path(flags.workdir).is_file():
        raise UserError(f"--workdir={flags.workdir} is a file: give a folder, or a new name")
    command.args[:] = [_expanded("", argument) for argument in command.args]
    if command.args and not MODES[flags.mode].takes_files:
        raise UserError(f"unexpected argument {command.args[0]!r}: flags begin with --")
    for name in sorted(command.given & ONLY_FOR.keys()):
        if flags.mode not in ONLY_FOR[name] and not (name == "output" and flags.topology):
            also = " or --topology" if name == "output" else ""
            raise UserError(f"--{name} is for --mode={' or '.join(ONLY_FOR[name])}{also}")
    if flags.topology and not flags.dry_run:
        raise UserError(
            "--topology needs --dry_run: nothing can be trained on a TPU that is absent"
        )
    if flags.slurm and not flags.launch:
        raise UserError("--slurm needs --launch=slurm")
    if "num_slices" in command.given and not flags.topology:
        raise UserError("--num_slices needs --topology")


def _expanded(flag: str, text: str) -> str:
    if not text:
        raise UserError(f"{flag or 'an argument'} is empty")
    path = local_path(text, flag.rstrip("=") or "an argument")
    try:
        path.exists()  # raises for a name that is too long, or a folder that can't be read
    except OSError as error:
        raise UserError(f"{flag}{text}: {error.strerror}") from error
    return str(path)


def _join_job(command: Command) -> None:
    """Joins the other processes of a job, if this is one; JAX has touched no device so far."""
    flags = command.flags
    for name in sorted(command.given & {"coordinator", "num_processes", "process_id"}):
        if not flags.distributed:
            raise UserError(f"--{name} needs --distributed")
    if flags.distributed:
        cluster.start(flags.coordinator, flags.num_processes, flags.process_id)
    elif warning := cluster.unshared():
        print(warning, file=sys.stderr)


def _start_device(command: Command) -> None:
    jax_settings.check()
    if command.flags.deterministic:
        hardware.be_deterministic()
    hardware.check_devices()
    kept_at = command.flags.compile_cache
    if cluster.number() > 1 and jax.default_backend() != "cpu":
        # JAX writes from process 0 alone. If only that one found a program, the others would wait
        # for its part in compiling it.
        kept_at = kept_at or compile_cache.OFF
    note = compile_cache.use(kept_at)
    if note and cluster.leads():
        print(note, file=sys.stderr)
