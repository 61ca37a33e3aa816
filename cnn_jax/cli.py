"""The command line: flags -> Experiment -> mode. One line and exit code 2 for a user's mistake."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax import config, pages
from cnn_jax.config import Command, Recipe
from cnn_jax.config.names import NAMES
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.export import export
from cnn_jax.export import load as load_exported
from cnn_jax.modes import volumes
from cnn_jax.modes.benchmark import benchmark
from cnn_jax.modes.dry_run import dry_run
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.modes.explain import explain
from cnn_jax.modes.options import ONLY_FOR, PATHS, PLAIN, USAGE
from cnn_jax.modes.predict import predict
from cnn_jax.modes.report import report
from cnn_jax.modes.sweep import grid, sweep
from cnn_jax.results import listing
from cnn_jax.results.record import check_recordable, record, record_benchmark
from cnn_jax.runs.folder import Run
from cnn_jax.runs.scorer import RunScorer, Scorer
from cnn_jax.runtime import compile_cache, hardware, malloc, signals
from cnn_jax.train import Interrupted, train


def main(argv: Sequence[str]) -> int:
    """Runs the program.

    Returns:
      Its exit code: 0, 1 (it failed), 2 (a user's mistake), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started the program
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):  # a name that can't be printed must not end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with signals.raised():
        return _told(argv)


def _told(argv: Sequence[str]) -> int:
    """Runs the program and tells in a line what has gone wrong; the exit code."""
    try:
        return _run(config.parse(argv, plain=PLAIN, names=NAMES, usage=USAGE))
    except BrokenPipeError:  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as stop:
        print(
            "interrupted: a training resumes with the same command and --workdir", file=sys.stderr
        )
        return 143 if isinstance(stop, signals.Terminated) else 130
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.signal
    except (UserError, RunFailed, OSError) as error:  # OSError: a full disk, a file without rights
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1


def _run(command: Command) -> int:
    flags = command.flags
    for note in command.notes:
        print(note, file=sys.stderr)
    for name in PATHS:
        text = getattr(flags, name)
        if text is not None:
            setattr(flags, name, _expanded(f"--{name}=", text))
    if flags.workdir and Path(flags.workdir).is_file():
        raise UserError(f"--workdir={flags.workdir} is a file: give a folder, or a new name")
    command.args[:] = [_expanded("", argument) for argument in command.args]
    if command.args and flags.mode not in ("predict", "explain", "report"):
        raise UserError(f"unexpected argument {command.args[0]!r}: flags begin with --")
    for name in sorted(command.given & ONLY_FOR.keys()):
        if flags.mode not in ONLY_FOR[name]:
            raise UserError(f"--{name} is for --mode={' or '.join(ONLY_FOR[name])}")
    if flags.list:
        listing.show(command.recipe.names)
    elif flags.print_config:
        print(config.to_recipe(command.experiment, command.recipe.doc), end="")
    else:
        mode = _dry_run if flags.dry_run else MODES[flags.mode]
        if mode not in (_volumes, _report):
            _start_device(command)
        mode(command)
    return 0


def _expanded(flag: str, text: str) -> str:
    if not text:
        raise UserError(f"{flag or 'an argument'} is empty")
    try:
        path = Path(text).expanduser()
        path.exists()  # or it can't be: a name that is too long, a folder that is not to be read
    except RuntimeError as error:
        raise UserError(f"{flag}{text}: {error}") from error
    except OSError as error:
        raise UserError(f"{flag}{text}: {error.strerror}") from error
    return str(path)


def _start_device(command: Command) -> None:
    note = compile_cache.use(command.flags.compile_cache)
    if note:
        print(note, file=sys.stderr)
    if command.flags.deterministic:
        hardware.be_deterministic()
    if malloc.tuned():
        print("malloc is tuned for XLA on a CPU; --nocpu_tuning leaves it as it is")
    hardware.check_devices()


def _dry_run(command: Command) -> None:
    dry_run(command.experiment, recipe=command.recipe, data_dir=command.flags.data_dir)


def _train(command: Command) -> None:
    flags = command.flags
    if flags.record:
        check_recordable(command.recipe, command.overridden)
    result = train(command.experiment, _workdir(command), **_training(command))
    if flags.record:
        _record(command, [result.summary])


def _sweep(command: Command) -> None:
    flags = command.flags
    if flags.sweep is None:
        raise UserError("--mode=sweep needs --sweep='field=value,value,...; ...'")
    if flags.record:
        check_recordable(command.recipe, (*command.overridden, *grid(flags.sweep)[0]))
    summaries = sweep(command.experiment, flags.sweep, _workdir(command), **_training(command))
    if flags.record:
        if len(summaries) < len(grid(flags.sweep)):
            raise RunFailed("nothing is recorded, since some of the runs diverged")
        _record(command, summaries)


def _training(command: Command) -> dict[str, Any]:
    """What every training that a command starts is told."""
    flags = command.flags
    return {
        "recipe": command.recipe,
        "data_dir": flags.data_dir,
        "log_every_steps": flags.log_every_steps,
        "save_every_steps": flags.save_every_steps,
    }


def _record(command: Command, summaries: list[dict[str, Any]]) -> None:
    print(f"recorded in {record(command.recipe, summaries)}")
    pages.refresh()


def _evaluate(command: Command) -> None:
    flags = command.flags
    if flags.examples is not None and not flags.robustness:
        raise UserError("--examples is for --robustness: the test set itself is scored whole")
    workdir, recipe = _run_asked_for(command)
    evaluate(
        workdir,
        recipe=recipe,
        data_dir=flags.data_dir,
        batch_size=flags.eval_batch,
        tta=flags.tta,
        robustness=flags.robustness,
        examples=flags.examples,
    )


def _predict(command: Command) -> None:
    flags = command.flags
    made = predict(
        _scorer(command),
        command.args,
        top=flags.top,
        output=flags.output,
        sheet=flags.contact_sheet,
        warn=lambda line: print(line, file=sys.stderr),
    )
    bad = sum(bool(prediction.error) for prediction in made)
    if bad:
        raise RunFailed(f"{bad} of {len(made)} files could not be read")


def _explain(command: Command) -> None:
    flags = command.flags
    workdir, recipe = _run_asked_for(command)
    explain(
        workdir,
        _numbers(flags.images),
        command.args,
        recipe=recipe,
        data_dir=flags.data_dir,
    )


def _scorer(command: Command) -> Scorer:
    """The net that --model or --workdir names."""
    model = command.flags.model
    if model is None:
        return RunScorer(*_run_asked_for(command))
    for name in ("workdir", "config"):
        if name in command.given:
            raise UserError(f"--model={model} is a net with all it needs: drop --{name}")
    if command.overridden:
        raise UserError(f"an exported net is taken as it is: drop --config.{command.overridden[0]}")
    return load_exported(model)


def _export(command: Command) -> None:
    workdir, recipe = _run_asked_for(command)
    export(workdir, command.flags.output, recipe=recipe)


def _report(command: Command) -> None:
    flags = command.flags
    if command.overridden:
        raise UserError(f"a run is taken as it is: drop --config.{command.overridden[0]}")
    named = [] if flags.workdir is None else [flags.workdir]
    report([*named, *command.args], flags.output)


def _run_asked_for(command: Command) -> tuple[str, Recipe | None]:
    """The workdir of a mode that looks at a run, and the recipe if it was named."""
    flags = command.flags
    if flags.workdir is None:
        raise UserError(f"--mode={flags.mode} needs the --workdir of a run")
    if command.overridden:
        raise UserError(f"a run is taken as it is: drop --config.{command.overridden[0]}")
    return flags.workdir, command.recipe if "config" in command.given else None


def _volumes(command: Command) -> None:
    flags = command.flags
    experiment, facts = command.experiment, None
    if flags.workdir and "config" not in command.given and Run(flags.workdir).exists():
        plan = Run(flags.workdir).plan()
        experiment, facts = plan.experiment, plan.data
    volumes.show(experiment, image_size=flags.image_size, folder=flags.workdir, data_facts=facts)


def _benchmark(command: Command) -> None:
    flags = command.flags
    if flags.record:
        check_recordable(command.recipe, command.overridden)
    result = benchmark(
        command.experiment,
        _workdir(command),
        recipe=command.recipe,
        data_dir=flags.data_dir,
        seconds=flags.seconds,
        batch_sizes=_numbers(flags.batch_sizes),
        profile=flags.profile,
    )
    if flags.record:
        print(f"recorded in {record_benchmark(command.recipe, result)}")


def _numbers(given: tuple[int, ...] | int | None) -> tuple[int, ...]:
    """A flag of several numbers, which is a number where there is one."""
    if given is None:
        return ()
    return (given,) if isinstance(given, int) else given


MODES = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "explain": _explain,
    "export": _export,
    "report": _report,
    "sweep": _sweep,
    "volumes": _volumes,
    "benchmark": _benchmark,
}


def _workdir(command: Command) -> Path:
    default = Path("runs") / command.recipe.name / time.strftime("%Y%m%d-%H%M%S")
    return Path(command.flags.workdir or default)
