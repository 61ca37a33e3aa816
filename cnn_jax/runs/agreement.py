"""Checks that all processes of a job would train the same."""

import os
from typing import Any

import jax

from cnn_jax import config
from cnn_jax.config.names import names_of
from cnn_jax.errors import UserError
from cnn_jax.experiment import Plan
from cnn_jax.runtime import cluster, hardware, jax_settings

# The packages of which all processes must have the same version: a step is made of them.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "cnn_jax")


def check_all_agree(plan: Plan, recipe: config.Recipe | None, teacher: str | None) -> None:
    """Compares this process with process 0; all processes of a job must call this.

    Files and folders may be in different places: the content of the data and the teacher counts.

    Args:
      plan: The run's plan.
      recipe: Where the experiment and its classes come from.
      teacher: Digest of the teacher; None without distillation.

    Raises:
      UserError: this process has another version of a package, other settings or devices, another
        config or other data.
    """
    if cluster.number() == 1:
        return
    software = hardware.software()
    own: dict[str, Any] = {
        "versions": {name: software.get(name) for name in PACKAGES},
        "facts": {
            "commit": hardware.git().get("commit"),
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
            "number of devices": jax.local_device_count(),
            **jax_settings.changing_results(),
        },
        "experiment": config.to_text(plan.experiment),
        "data": plan.data.fingerprint,
        "teacher": teacher,
    }
    leader = cluster.broadcast("facts", own)
    differing = [
        f"{name} {own['versions'][name]} instead of {version}"
        for name, version in leader["versions"].items()
        if own["versions"][name] != version
    ]
    differing += [
        f"{name} {own['facts'][name]} instead of {value}"
        for name, value in leader["facts"].items()
        if own["facts"][name] != value
    ]
    # Other code may not even read the config.
    differing = differing or _differing_fields(plan, recipe, leader["experiment"])
    if own["data"] != leader["data"]:
        differing += [f"other data named {plan.data.name}, by its digest"]
    if leader["teacher"] and own["teacher"] != leader["teacher"]:  # not read for a finished run
        differing += ["another teacher, by the digest of its weights"]
    if differing:
        raise UserError(
            f"process {cluster.own_number()} differs from process 0: {'; '.join(differing)}"
        )
    cluster.meet("agreed")  # process 0 writes nothing before


def _differing_fields(plan: Plan, recipe: config.Recipe | None, leader: str) -> list[str]:
    """The fields of the config that differ from process 0's, paths aside: "seed: 0 -> 1"."""
    names = {**names_of(recipe), **config.classes(plan.experiment)}
    try:
        theirs = config.from_text(leader, names, saved=True)
    except config.ConfigError:  # it has classes that this process does not know
        return [f"the config of process 0 is {leader}"]
    paths, own_paths = config.local_paths(theirs), config.local_paths(plan.experiment)
    same_places = {name: paths[name] for name in own_paths if name in paths}
    return config.diff(theirs, config.with_paths(plan.experiment, same_places), names)
