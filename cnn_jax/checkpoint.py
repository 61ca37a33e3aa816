"""Checkpoints of the train state. Orbax is used here and nowhere else."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import jax

from cnn_jax.errors import RunFailed

NOT_EVALUATED = -1.0


class CheckpointError(RunFailed):
    """A checkpoint could not be written or read; one line."""


class Checkpoints:
    """The checkpoints below a folder: the newest two, and the best on validation if asked for.

    A save goes on in the background while training continues; `close` waits for it.

    Args:
      folder: Where the steps' folders go.
      keep_best: Whether the step with the highest validation accuracy is kept too.
    """

    def __init__(self, folder: str | os.PathLike[str], keep_best: bool = False):
        from orbax import checkpoint as ocp

        # Orbax tells every save and garbage collection at INFO and some retries at WARNING.
        logging.getLogger("absl").setLevel(logging.ERROR)
        policies = ocp.checkpoint_managers
        kept: list[Any] = [policies.LatestN(2)]
        if keep_best:
            kept.append(policies.BestN(get_metric_fn=_validation_accuracy, n=1))
        self._ocp = ocp
        self._manager = ocp.CheckpointManager(
            Path(folder).absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(kept),
                best_fn=_validation_accuracy,
                best_mode="max",
            ),
        )

    def latest(self) -> int | None:
        """The newest step that is saved."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The step with the highest validation accuracy; None where none was evaluated."""
        step = self._manager.best_step()
        if step is None or self._manager.metrics(step) == {"validation_accuracy": NOT_EVALUATED}:
            return None
        return step

    def save(
        self, step: int, state: Any, progress: dict[str, Any], accuracy: float = NOT_EVALUATED
    ) -> None:
        """Starts saving a step.

        Args:
          step: Steps taken.
          state: A pytree of arrays; it may be donated as soon as this returns.
          progress: What else a resumed run must know, as JSON.
          accuracy: On validation, where it was measured at this step.

        Raises:
          CheckpointError: where this step is saved already, or an earlier save failed.
        """
        items = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(state),
            progress=self._ocp.args.JsonSave(progress),
        )
        metrics = {"validation_accuracy": accuracy}
        try:
            saved = self._manager.save(step, args=items, metrics=metrics)
        except Exception as error:
            raise CheckpointError(
                f"step {step} could not be saved: {_first_line(error)}"
            ) from error
        if not saved:
            raise CheckpointError(
                f"step {step} was not saved: step {self.latest()} is there already"
            )

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """The state and the progress of a step.

        Args:
          step: A saved step.
          like: A pytree of arrays or shapes of the state's structure.

        Raises:
          CheckpointError: where the step is not there or is damaged.
        """
        device = jax.local_devices()[0]
        sharding = jax.sharding.SingleDeviceSharding(device)
        target = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like
        )
        items = self._ocp.args.Composite(
            state=self._ocp.args.StandardRestore(target), progress=self._ocp.args.JsonRestore()
        )
        try:
            restored = self._manager.restore(step, args=items)
        except Exception as error:
            raise CheckpointError(
                f"step {step} could not be restored, is the model still the one that was saved? "
                f"({_first_line(error).rstrip(':')})"
            ) from error
        return restored["state"], restored["progress"]

    def close(self) -> None:
        """Waits until every save is on the disk.

        Raises:
          CheckpointError: where one failed.
        """
        try:
            self._manager.wait_until_finished()
            self._manager.close()
        except Exception as error:
            raise CheckpointError(f"a save failed: {_first_line(error)}") from error


def _validation_accuracy(metrics: dict[str, float]) -> float:
    return metrics["validation_accuracy"]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
