"""Mode benchmark: measures a recipe's speed, memory and compile time."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.benchmark.bench import Bench
from cnn_jax.benchmark.tables import tables
from cnn_jax.config import Command, Flag
from cnn_jax.config.names import NAMES
from cnn_jax.data import Split
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.modes.mode import RECORD, Mode, as_tuple, new_workdir
from cnn_jax.report import benchmark_figure
from cnn_jax.report.tables import console as standard_output
from cnn_jax.results.writing import check_recordable, write_benchmark
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import hardware
from cnn_jax.runtime.parallel import parallel
from cnn_jax.setup import Setup
from cnn_jax.storage.json_files import write_json

SECONDS = 6.0
# Batches that are kept of a streamed training set.
STREAMED_BATCHES = 4


def benchmark(
    experiment: Experiment,
    workdir: str | os.PathLike[str] | Run,
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    seconds: float = SECONDS,
    batch_sizes: Sequence[int] = (),
    profile: bool = False,
    console: Any = None,
) -> dict[str, Any]:
    """Measures an experiment on its own data; no weights are kept.

    Args:
      experiment: What to measure.
      workdir: Where benchmark.json, the figure and the trace go: a folder, or a `Run` there.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is; default: `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
      seconds: Time limit per measurement, in seconds (approximate); 20 samples end it too.
      batch_sizes: Other batch sizes whose training step is timed.
      profile: Whether to write a trace of a few steps.
      console: A `rich.console.Console`; `Console(quiet=True)` is silent.

    Returns:
      The content of benchmark.json. Speeds are of the median step; keys that end in `seconds`
      hold medians too.

    Raises:
      UserError: the experiment does not fit its data, the devices or the folder.
      DataUnavailable: the data can't be had.
    """
    setup = Setup.of(experiment, recipe, data_dir, weights=False)
    if setup.plan.data.streamed:
        setup = _in_memory(setup)
    plan = setup.plan
    resized = [_resized(plan, size) for size in sorted(set(batch_sizes))]
    run = Run.at(workdir)
    with run.locked():
        manifest = hardware.manifest()
        changed = run.begin(plan, recipe, manifest)
        out = console or standard_output()
        for line in (setup.note, changed, _headline(plan, run)):
            if line:
                out.print(line, highlight=False, markup=False, soft_wrap=True)

        with out.status("Compiling") as status:
            bench = Bench(plan, setup.data, seconds, status.update)
            result = _identity(plan, run) | bench.step()
            result |= bench.inference(result["train_images_per_second"])
            result |= bench.utilisation(result["train_images_per_second"])
            result["parts"] = bench.parts()
            result["epochs"] = bench.epochs()
            result |= bench.saving(run.folder, result["epochs"][0]["epoch_seconds"])
            result["batch_sizes"] = bench.sizes(resized, result)
            if profile:
                bench.trace(run.folder / "profile")
        result["seconds_per_measurement"] = seconds
        result |= {key: manifest[key] for key in ("software", "xla_flags", "glibc_tunables")}
        result |= manifest["git"]
        write_json(run.folder / "benchmark.json", result)
        benchmark_figure.draw(result, run.folder / "figures" / "benchmark.png")
    for table in tables(result):
        out.print(table)
    for line in _notes(result):
        out.print(line, highlight=False, soft_wrap=True)
    out.print(f"benchmark.json and figures/benchmark.png are in {run.folder}", soft_wrap=True)
    return result


def _in_memory(setup: Setup) -> Setup:
    """The setup on the first images of a streamed set: what is measured is the step."""
    data, size = setup.data, setup.plan.experiment.batch_size
    train, test = (
        Split(np.asarray(split.images[:number]), split.labels[:number])
        for split, number in ((data.train, STREAMED_BATCHES * size), (data.test, size))
    )
    data = dataclasses.replace(data, train=train, validation=None, test=test)
    facts = dataclasses.replace(DataFacts.of(data), fingerprint=setup.plan.data.fingerprint)
    held = f"the data is streamed: timed on its first {len(train):,} training images, in memory"
    note = "; ".join(filter(None, (setup.note, held)))
    experiment = dataclasses.replace(setup.plan.experiment, keep_best=False, patience=None)
    return dataclasses.replace(setup, plan=Plan.of(experiment, facts), data=data, note=note)


def _resized(plan: Plan, size: int) -> Plan:
    try:
        experiment = dataclasses.replace(plan.experiment, batch_size=size)
        parallel(experiment.parallel, size)
        return Plan.of(experiment, plan.data)
    except ValueError as error:
        raise UserError(f"--batch_sizes: {error}") from error


def _identity(plan: Plan, run: Run) -> dict[str, Any]:
    experiment = plan.experiment
    return {
        "recipe": run.recipe_name(),
        "model": config.to_text(experiment.model),
        "dataset": plan.data.name,
        "parameters": structure.parameter_count(plan.model, plan.data.image_shape),
        "batch_size": experiment.batch_size,
        "precision": plan.experiment.precision,
        "parallel": experiment.parallel,
        "convolutions": experiment.convolutions,
        "tta": experiment.tta,
        "device": hardware.device_name(),
        "devices": len(jax.local_devices()),
    }


def _headline(plan: Plan, run: Run) -> str:
    return (
        f"{config.to_text(plan.experiment.model, NAMES)} on {plan.data.name}, batch "
        f"{plan.experiment.batch_size}, {plan.experiment.precision}, {hardware.device_name()} "
        f"-> {run.folder}"
    )


def _notes(result: dict[str, Any]) -> list[str]:
    timed = ", ".join(str(row["steps_timed"]) for row in result["epochs"])
    return [
        "Times are medians of synchronous calls after warm-up. Parts overlap in the whole step and "
        "are separate programs here, so they need not add up to it.",
        f"An epoch is its steps at the median of those timed ({timed}), and the drawing of its "
        "order, without evaluation and saving.",
        "A checkpoint is saved in the background: its share of an epoch is an upper bound, as if "
        "training waited for it.",
        "The compiler's count of FLOPs leaves out operations that it cannot analyse; utilisation "
        "uses the formula.",
    ]


def run(command: Command) -> None:
    """Benchmarks the recipe."""
    flags = command.flags
    if flags.record:
        check_recordable(command.recipe, command.overridden)
    result = benchmark(
        command.experiment,
        new_workdir(command),
        recipe=command.recipe,
        data_dir=flags.data_dir,
        seconds=flags.seconds,
        batch_sizes=as_tuple(flags.batch_sizes),
        profile=flags.profile,
    )
    if flags.record:
        print(f"recorded in {write_benchmark(command.recipe, result)}")


MODE = Mode(
    run,
    (
        Flag(
            "seconds",
            float,
            SECONDS,
            "Time limit per measurement, in seconds (approximate)",
            minimum=0.01,
        ),
        Flag(
            "batch_sizes",
            tuple[int, ...] | int | None,
            None,
            "Also time the step at these batch sizes, as 128,256,512",
        ),
        Flag("profile", bool, False, "Also write a jax.profiler trace of a few steps"),
        RECORD,
    ),
)
