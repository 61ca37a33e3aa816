"""Whether the run in a folder is the one that a command describes."""

import contextlib
from typing import NamedTuple

from cnn_jax import config
from cnn_jax.config.names import names_of
from cnn_jax.experiment import Plan
from cnn_jax.runs import run_paths
from cnn_jax.runs.data_changes import differences
from cnn_jax.runs.run_records import RunError, RunRecords


class Same(NamedTuple):
    """The run is the same.

    Attributes:
      note: What has moved, and whether the recipe's file has changed, for the user; "" if nothing.
      moved: Where the paths that have moved are now, by field.
    """

    note: str
    moved: dict[str, str]


def check_same(
    records: RunRecords, plan: Plan, recipe: config.Recipe | None, teacher: str | None = None
) -> Same:
    """Compares a run's records with a plan.

    A path may be spelled otherwise, if it names the same file or folder; if that is gone, the data
    and the teacher may be elsewhere, with the same content.

    Args:
      records: The records of a run that has begun.
      plan: The plan.
      recipe: Where the plan's experiment comes from.
      teacher: Digest of the teacher; None without distillation.

    Raises:
      RunError: they are of another experiment, other data or another teacher.
    """
    saved, recorded = records.saved_config(), records.recorded_paths()
    known = {**names_of(recipe), **config.classes(plan.experiment)}
    verified = {"data", "distill"} if teacher and "teacher" in saved else {"data"}
    before, paths = None, run_paths.Compared(plan.experiment, {}, [])
    with contextlib.suppress(RunError):  # custom classes that this experiment does not know
        before = records.experiment_as_written(known)
        paths = run_paths.compare(before, plan.experiment, recorded, verified)
    now, moved, differing = paths
    if saved["experiment"] != config.to_text(now):
        # 8 epochs and 8.0 have different texts, and are the same
        differing += config.diff(before, now, known) if before else [saved["experiment"]]
    if differing:
        raise RunError(
            f"{records.folder} holds a run of another experiment ({'; '.join(differing)}): "
            f"give another --workdir, or the same experiment"
        )
    facts = records.data_facts()
    if facts.fingerprint != plan.data.fingerprint:
        raise RunError(
            f"{records.folder} holds a run on other data named {plan.data.name} "
            f"({differences(facts, plan.data)}): restore it, or give another --workdir"
        )
    if teacher and saved.get("teacher", teacher) != teacher:
        raise RunError(
            f"distill.teacher: its run has changed since the run in {records.folder} began: "
            "restore it, or give another --workdir"
        )
    notes = [f"note: {name} has moved to {path}" for name, path in moved.items()]
    sha256 = saved["recipe"].get("sha256")
    if recipe and sha256 not in (None, recipe.sha256):
        notes.append(f"note: {recipe.path} has changed since this run began")
    return Same("\n".join(notes), moved)
