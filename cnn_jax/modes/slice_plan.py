"""The flags --dry_run --topology: predicts training on TPU slices that are not there."""

import collections
import dataclasses
import functools
from typing import Any

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.modes.schedule_facts import schedule_facts
from cnn_jax.report import tables
from cnn_jax.runs import output_paths
from cnn_jax.runtime import hardware, signals
from cnn_jax.setup import Setup
from cnn_jax.storage.json_files import write_json
from cnn_jax.storage.local_paths import local_path
from cnn_jax.terminal.durations import duration
from cnn_jax.tpu import slices as tpu_slices
from cnn_jax.tpu.collectives import Collective
from cnn_jax.tpu.compiled_step import CompiledStep, compiled_step, kept_step, place_of
from cnn_jax.tpu.slices import Slices
from cnn_jax.tpu.step_time import StepTime, seconds, step_time


def slice_plan(
    experiment: Experiment,
    topology: str,
    number: int = 1,
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    output: str | None = None,
    console: Any = None,
) -> dict[str, Any]:
    """Compiles the training step for TPU slices, and prints what it needs and what bounds it.

    Call `tpu.slices.compile_without_tpu` before JAX starts.

    Args:
      experiment: What is to be trained.
      topology: The slice, such as "v5e:4x4".
      number: Number of such slices.
      recipe: Where the experiment's own classes come from.
      data_dir: Where TFDS data is.
      output: A .json file to which the result is also written.
      console: A `rich.console.Console`.

    Returns:
      The result, as the JSON file has it.

    Raises:
      UserError: training would raise it too, or libtpu is missing or does not know the topology.
      RunFailed: the compiler refuses the step, as where it needs more than a chip's memory.
    """
    path = local_path(output, "output") if output else None
    if path:
        output_paths.check("output", path, [".json"])
    if experiment.parallel != "jit":
        raise UserError(f"--topology needs parallel='jit', got {experiment.parallel!r}")
    found = tpu_slices.slices(topology, number)
    setup = Setup.of(experiment, recipe, data_dir, devices=found.devices)
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    if setup.note:
        say(setup.note)
    lowered = setup.lowered_steps.full
    place = place_of(lowered, found)
    step = kept_step(place)
    if step is None:
        about = f"compiling for {topology}, which takes minutes; the result is kept"
        if not out.is_terminal:
            say(about)
        with out.status(about.capitalize()), signals.ending_at_once():
            step = compiled_step(lowered, found, place)
    time = step_time(step, found)
    result = _as_json(setup.plan, found, step, time)
    for name, text in _facts(setup.plan, found, step, time, result).items():
        say(f"{name:<24}{text}")
    if step.collectives:
        out.print(_table(step.collectives, found))
    if path:
        write_json(path, result)
        say(f"wrote {path}")
    return result


def _facts(
    plan: Plan, slices: Slices, step: CompiledStep, time: StepTime | None, result: dict[str, Any]
) -> dict[str, str]:
    chips = len(slices.devices)
    batch = plan.experiment.batch_size
    several = f"{slices.number} slices of " if slices.number > 1 else ""
    facts = {
        "model": f"{config.to_text(plan.experiment.model, NAMES)}, {plan.experiment.precision}",
        "devices": f"{chips:,}: {several}{slices.topology}",
        "batch": f"{batch:,}, {batch // chips:,} on each",
        **schedule_facts(plan, chips),
        "memory a chip": _memory(step, slices),
        "FLOPs a chip": f"{step.flops / 1e9:,.4g} G in a step; {_formula(result)}",
        "bytes accessed": f"{step.bytes_accessed / 1e9:,.4g} GB a chip in a step",
        "remarks": "; ".join(step.remarks()) or "none",
        "compilation took": f"{duration(step.compile_seconds)}, by libtpu {result['libtpu']}",
    }
    if time is None or slices.chip is None:
        kind = slices.devices[0].device_kind
        return facts | {
            "predicted": f"nothing: the peaks of {kind} are not in cnn_jax/tpu/chips.py"
        }
    run = plan.total_steps * time.shortest
    return facts | {
        "predicted": f"nothing was run. Peaks: {slices.chip.source}",
        "  a step, each alone": f"compute {_ms(time.compute)}, memory {_ms(time.memory)} (an upper "
        f"estimate), network {_ms(time.network)}: {time.binds} is the longest",
        "  a step": f"{_ms(time.shortest)} if the three overlap entirely, {_ms(time.longest)} if "
        "not at all",
        "  images/s": f"{batch / time.shortest:,.0f} if they overlap entirely, "
        f"{batch / time.longest:,.0f} if not at all",
        "  training": f"{duration(plan.steps_per_epoch * time.shortest)} an epoch, "
        f"{duration(run)} in all, {chips * run / 3600:,.3g} chip-hours, if they overlap; start, "
        "compilation and evaluation are not included",
    }


def _memory(step: CompiledStep, slices: Slices) -> str:
    parts = (
        f"{_size(step.memory)}: state and data {_size(step.arguments)}, intermediate values "
        f"{_size(step.temporary)}, program {_size(step.code)}"
    )
    if slices.chip is None:
        return parts
    left = slices.chip.memory - step.memory
    verdict = "fits" if left >= 0 else "does not fit"
    return f"{parts}; {verdict} in {_size(slices.chip.memory)}"


def _formula(result: dict[str, Any]) -> str:
    return (
        f"three forward passes, as --dry_run counts, are {result['formula_flops'] / 1e9:,.4g} G "
        f"(ratio {result['flops'] / result['formula_flops']:.3f})"
    )


def _table(exchanges: tuple[Collective, ...], slices: Slices) -> Any:
    """Exchanges of the same kind and origin in one row, the largest first."""
    groups: dict[tuple[Any, ...], list[Collective]] = collections.defaultdict(list)
    for one in exchanges:
        groups[one.kind, one.devices, one.between_slices, _origin(one)].append(one)
    rows = []
    for (kind, devices, between, origin), these in sorted(
        groups.items(), key=lambda item: -sum(one.bytes for one in item[1])
    ):
        over = f"{slices.number:,} slices (DCN)" if between else f"{devices:,} chips (ICI)"
        row = [kind, origin, len(these), _bytes(sum(one.bytes for one in these)), over]
        if slices.chip:
            row.append(_ms(sum(seconds(one, slices.chip, slices) for one in these)))
        rows.append(list(map(str, row)))
    columns = ["exchange", "of", "number", "bytes", "over"]
    return tables.table(columns + (["at least"] if slices.chip else []), rows)


def _origin(exchange: Collective) -> str:
    parts = exchange.name.split("/")
    norms = [part for part in parts if "Norm" in part]
    return norms[-1].rstrip("_0123456789") if norms else "gradients and metrics"


def _as_json(
    plan: Plan, slices: Slices, step: CompiledStep, time: StepTime | None
) -> dict[str, Any]:
    experiment, chips = plan.experiment, len(slices.devices)
    forward = structure.forward_flops(plan.model, plan.data.image_shape)
    versions = hardware.software()
    return {
        "topology": slices.topology,
        "num_slices": slices.number,
        "chips": chips,
        "device_kind": slices.devices[0].device_kind,
        "experiment": config.to_text(experiment),
        "image_shape": list(plan.data.image_shape),
        "batch_size": experiment.batch_size,
        "precision": experiment.precision,
        "formula_flops": plan.forward_passes * forward * experiment.batch_size / chips,
        **dataclasses.asdict(step),
        "memory": step.memory,
        "chip": dataclasses.asdict(slices.chip) if slices.chip else None,
        "predicted_seconds": dataclasses.asdict(time) if time else None,
        "binds": time.binds if time else None,
        "remarks": step.remarks(),
        "jax": versions["jax"],
        "libtpu": versions.get("libtpu"),
        "git": hardware.git(),
    }


def _size(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"


def _ms(time: float) -> str:
    return f"{1e3 * time:,.3g} ms"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.3g} MB" if size >= 1e5 else f"{size:,} B"
