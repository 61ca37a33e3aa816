"""Initial weights from a run, an exported net or a PyTorch state dict (`init_from`)."""

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import config
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError, shape_text
from cnn_jax.experiment import Plan
from cnn_jax.optim.averages import initial_average
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.trained_run import trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.training.state import TrainState, state_shapes
from cnn_jax.transfer.torch_weights import from_torch

FILES = (".npz", ".safetensors")
# Prefixes of the array names in files that export/ writes.
OWN = ("params/", "batch_stats/")
# Arrays by their path in the net, such as "params/Conv_0/kernel".
Arrays = dict[str, Any]


def load_initial_weights(plan: Plan, recipe: config.Recipe | None = None) -> Arrays:
    """The weights that the experiment's `init_from` names.

    Args:
      plan: The run's plan.
      recipe: Where custom classes of the run are defined.

    Raises:
      UserError: there are none, or none fits the net.
    """
    source = Path(plan.experiment.init_from).expanduser()
    try:
        if source.is_file() or source.suffix in FILES:
            given = _of_file(plan, source)
        else:
            run = Run(source)
            given = _by_name(trained_state(run, _plan_of(run, recipe)).variables)
        _check_some_fit(plan, given)
    except UserError as error:
        unset = "; --config.init_from= leaves it unset" if str(source) == "None" else ""
        raise UserError(f"init_from={source}: {error}{unset}") from error
    return given


def with_initial_weights(plan: Plan, state: TrainState, given: Arrays) -> tuple[TrainState, str]:
    """The first state, with every given array that has the same path and shape.

    Statistics of the data are loaded too; the optimiser's state is initialised.

    Returns:
      The state, and a line on the arrays loaded, of another shape, fresh and left over.
    """
    own, loaded, resized, fresh = _variables(state), [], [], []

    def chosen(path, mine):
        name = _name(path)
        other = given.get(name)
        if other is None:
            fresh.append(name)
        elif other.shape != mine.shape:
            resized.append(f"{name} ({shape_text(other.shape)}, here {shape_text(mine.shape)})")
        else:
            loaded.append(name)
            return jnp.asarray(other, mine.dtype)
        return mine

    variables = jax.tree_util.tree_map_with_path(chosen, own)
    places = len(jax.tree.leaves(own))
    parts = [f"{plan.experiment.init_from}: {len(loaded)} of the net's {places} arrays loaded"]
    for what, names in (
        ("of another shape", resized),
        ("fresh", fresh),
        ("left over", sorted(given.keys() - _by_name(own).keys())),
    ):
        if names:
            parts.append(f"{what}: {', '.join(names)}")
    # Copies where two would share a buffer, which can't be donated twice.
    state = TrainState(
        step=state.step,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.jit(plan.tx.init)(variables["params"]),
        metrics=state.metrics,
        ema=None if state.ema is None else initial_average(variables),
    )
    return state, "; ".join(parts)


def _of_file(plan: Plan, source: Path) -> Arrays:
    if source.suffix not in FILES:
        raise UserError(
            f"must be the folder of a run, or a file that ends in {' or '.join(FILES)}; "
            "safetensors.torch.save_file writes a PyTorch state dict"
        )
    try:
        arrays = _read(source)
    except Exception as error:  # each format has its own kinds of error
        raise UserError(f"can't be read: {error}") from error
    if all(name.startswith(OWN) for name in arrays):
        return arrays
    try:
        return _by_name(from_torch(arrays, plan.model, plan.data.image_shape))
    except UserError as error:
        net = config.to_text(plan.experiment.model, NAMES)
        raise UserError(f"{error}; are these weights of {net}, the net here?") from error


def _check_some_fit(plan: Plan, given: Arrays) -> None:
    for name, array in given.items():
        if not np.isfinite(array).all():
            raise UserError(f"{name} holds NaN or infinity")
    own = _by_name(_variables(state_shapes(plan)))
    if not any(name in own and own[name].shape == given[name].shape for name in given):
        raise UserError(f"none of its {len(given)} arrays fits the net")


def _plan_of(run: Run, recipe: config.Recipe | None) -> Plan:
    try:
        return run.plan(recipe)
    except RunError as error:
        if not isinstance(error.__cause__, config.ConfigError):
            raise
        raise UserError(
            "its recipe has custom classes that this one lacks; "
            f"--mode=export --workdir={run.folder} --config={run.recipe_path()} writes its weights "
            "as a .safetensors file, which can be named instead"
        ) from error


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        if path.exists() and not zipfile.is_zipfile(path):
            raise ValueError("not an .npz file")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    from safetensors.numpy import load_file

    return load_file(path)


def _variables(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _by_name(tree: Any) -> Arrays:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
