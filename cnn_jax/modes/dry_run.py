"""The flag --dry_run: prints shapes, parameters, FLOPs, memory and steps; trains nothing."""

from typing import Any

import jax
from jax.stages import Compiled

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.config import Command
from cnn_jax.config.names import NAMES
from cnn_jax.errors import shape_text
from cnn_jax.experiment import Experiment
from cnn_jax.modes.mode import Mode
from cnn_jax.modes.schedule_facts import peta, schedule_facts, training_flops
from cnn_jax.modes.slice_plan import slice_plan
from cnn_jax.report import tables
from cnn_jax.setup import Setup


def dry_run(
    experiment: Experiment,
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    console: Any = None,
) -> None:
    """Prints what training would take; the step is compiled, not run.

    Raises:
      UserError: training would raise it too.
    """
    setup = Setup.of(experiment, recipe, data_dir)
    out = console or tables.console()
    with out.status("Compiling"):
        memory = _memory(*setup.lowered_steps.compile())
    plan, params = setup.plan, setup.shapes.params
    data = plan.data
    flops = structure.forward_flops(plan.model, data.image_shape)
    recomputed = ", not counting what remat recomputes" if experiment.remat else ""
    facts = {
        "model": config.to_text(plan.model, NAMES),
        "data": f"{data.name}: {data.train:,} train, {data.validation:,} validation, "
        f"{data.test:,} test images of {shape_text(data.image_shape)}",
        "batch": f"u8[{','.join(map(str, (experiment.batch_size, *data.image_shape)))}] on "
        f"{len(jax.local_devices())} device(s)",
        "parameters": f"{structure.numbers(params):,}",
        "forward FLOPs an image": f"{flops:,}",
        "training FLOPs": f"{peta(training_flops(plan, flops))} "
        f"({plan.forward_passes} forward passes an image{recomputed})",
        **schedule_facts(plan, len(jax.local_devices())),
        "memory": memory,
    }
    if setup.note:
        out.print(setup.note, highlight=False)
    out.print(tables.table(["parameter", "shape", "numbers"], _parameters(params)))
    for name, value in facts.items():
        out.print(f"{name:<24}{value}", highlight=False, soft_wrap=True)


def _parameters(params: Any) -> list[list[str]]:
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return [
        ["/".join(entry.key for entry in path), shape_text(leaf.shape), f"{leaf.size:,}"]
        for path, leaf in leaves
    ]


def _memory(*steps: Compiled | None) -> str:
    analysed = [used for step in steps if step and (used := step.memory_analysis())]
    if not analysed:
        return "not reported by this compiler"
    used = max(analysed, key=lambda used: used.temp_size_in_bytes)
    held = used.argument_size_in_bytes + used.output_size_in_bytes - used.alias_size_in_bytes
    return (
        f"{(held + used.temp_size_in_bytes) / 2**20:,.0f} MiB a device in a step: "
        f"{held / 2**20:,.0f} for data and state, {used.temp_size_in_bytes / 2**20:,.0f} for "
        f"intermediate values"
    )


def run(command: Command) -> None:
    """Prints what training the recipe would take, here or on TPU slices."""
    flags = command.flags
    options: dict[str, Any] = {"recipe": command.recipe, "data_dir": flags.data_dir}
    if flags.topology:
        number, output = flags.num_slices, flags.output
        slice_plan(command.experiment, flags.topology, number, output=output, **options)
    else:
        dry_run(command.experiment, **options)


MODE = Mode(run)
