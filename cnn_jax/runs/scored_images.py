"""Selects the images that an evaluation of a run scores, and the folder for its results."""

import dataclasses
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.data import DataConfig, Dataset, Split
from cnn_jax.errors import UserError
from cnn_jax.experiment import Plan
from cnn_jax.runs.other_data import load_other
from cnn_jax.runs.trained_run import run_data
from cnn_jax.runs.workdir import Run

NO_VALIDATION = "the run has no validation images"


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredImages:
    """The images that an evaluation scores.

    Attributes:
      name: Name of their data.
      part: "test", or "all" of an unsplit set.
      split: The images, labelled with the net's classes.
      folder: Where evaluation.json and figures/ are written.
      validation: The run's validation images, which the temperature is fitted on.
      no_temperature: Why there are none; "" if there are.
      notes: Lines for the user on the choice of images.
      record: More entries of evaluation.json.
    """

    name: str
    part: str
    split: Split
    folder: Path
    validation: Split | None
    no_temperature: str
    notes: list[str] = dataclasses.field(default_factory=list)
    record: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the images are, for figures."""
        return f"{self.name} test set" if self.part == "test" else f"all images of {self.name}"


def of_run(run: Run, plan: Plan, data_dir: str | None) -> ScoredImages:
    """The run's own test set; raises UserError if its data has changed."""
    data = run_data(plan, data_dir)
    reason = "" if data.validation else NO_VALIDATION
    return ScoredImages(plan.data.name, "test", data.test, run.folder, data.validation, reason)


def of_other_data(run: Run, plan: Plan, source: DataConfig, data_dir: str | None) -> ScoredImages:
    """The images of other data that the net can score; raises the errors of `load_other`."""
    other = load_other(plan, source, data_dir)
    validation, reason, seen = None, NO_VALIDATION, ""
    try:
        own = run_data(plan, data_dir)
        seen = _trained_on(own, other.split)
        if own.validation:
            validation, reason = own.validation, ""
    except (UserError, OSError):
        if plan.data.validation:
            reason = "the run's validation images can't be loaded"
    return ScoredImages(
        name=other.name,
        part=other.part,
        split=other.split,
        folder=run.evaluation_folder(other.name, other.fingerprint),
        validation=validation,
        no_temperature=reason,
        notes=[*other.notes, *filter(None, [seen])],
        record={
            "fingerprint": other.fingerprint,
            "config": config.to_text(other.config),
            "left_out": other.left_out,
            "classes_without_images": other.absent,
        },
    )


def _trained_on(own: Dataset, scored: Split) -> str:
    """A line on the images that are equal to training or validation images of the run."""
    parts = [part for part in (own.train, own.validation) if part is not None]
    known = {hash(image.tobytes()) for part in parts for image in part.images}
    number = sum(hash(image.tobytes()) in known for image in scored.images)
    if not number:
        return ""
    return (
        f"{number:,} of these {len(scored):,} images are training or validation images of the run: "
        "the scores are too good"
    )
