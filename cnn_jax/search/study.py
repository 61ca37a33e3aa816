"""A search that several processes share: its trials, and who trains which."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from cnn_jax.errors import UserError, first_line
from cnn_jax.search.space import Axis
from cnn_jax.storage import files

NAME = "search"
JOURNAL, LOCK = "search.log", ".search.lock"
# Trials draw from streams of their own, so that processes do not draw the same.
_STREAM = 100_003
# Name of the reason in Optuna's record of a trial.
REFUSED = "refused"

Sampler = Literal["tpe", "random"]


def folder_name(number: int) -> str:
    """Name of the folder of a trial, in the folder of the search."""
    return f"{number:03d}"


class Study:
    """An Optuna study in a folder, or in another storage.

    Args:
      folder: The search's folder; exists.
      storage: The URL of an Optuna storage; None: a journal file in the folder, which processes on
        one machine or on a shared disk may use.
      sampler: "tpe", Optuna's default, or "random".
      seed: Of the sampler.

    Raises:
      UserError: Optuna is not installed, or can't open the storage.
    """

    def __init__(self, folder: Path, storage: str | None, sampler: Sampler, seed: int):
        try:
            import optuna
        except ImportError as error:
            raise UserError("--mode=search needs Optuna: pip install 'optuna>=5,<6'") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna: Any = optuna
        self._folder, self._sampler, self._seed = folder, sampler, seed
        try:
            self._study = optuna.create_study(
                study_name=NAME if storage is None else folder.name,
                storage=storage or self._journal(),
                direction="maximize",
                load_if_exists=True,
            )
        except Exception as error:  # of a database's driver, or of a damaged file
            raise UserError(f"--storage={storage or JOURNAL}: {first_line(error)}") from error

    def _journal(self) -> Any:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        path = str(self._folder / JOURNAL)
        return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))

    def check_same(self, text: str, axes: Mapping[str, Axis], fixed: Mapping[str, str]) -> None:
        """Records the space and the experiment of a new search.

        Args:
          text: The space as the user wrote it.
          axes: The same, read.
          fixed: The fields that all trials share, as text.

        Raises:
          UserError: an earlier search in this folder had another space or another experiment.
        """
        known = {name: repr(axis) for name, axis in axes.items()}
        with files.locked(self._folder / LOCK):
            kept = self._study.user_attrs
            before = kept.get("fixed", fixed)
            if changed := [
                f"{name}: {before.get(name, 'default')} -> {fixed.get(name, 'default')}"
                for name in sorted({*before, *fixed})
                if before.get(name) != fixed.get(name)
            ]:
                raise UserError(
                    f"{self._folder} holds a search of another experiment ({'; '.join(changed)}): "
                    "give another --workdir, or the same experiment"
                )
            if kept.get("axes", known) != known:
                raise UserError(
                    f"--space: another search is in {self._folder}, of {kept['space']!r}: give "
                    "another --workdir"
                )
            if "axes" not in kept:
                self._study.set_user_attr("space", text)
                self._study.set_user_attr("axes", known)
            if "fixed" not in kept:  # new, or of a version that did not record them
                self._study.set_user_attr("fixed", dict(fixed))

    def trials(self) -> list[Any]:
        """All trials so far, in the order of their numbers."""
        return self._study.get_trials(deepcopy=False)

    def counted(self) -> int:
        """Trials that count towards --trials: all but those that are being trained."""
        return sum(trial.state.is_finished() for trial in self.trials())

    def next(self, trials: int, held: Callable[[int], bool]) -> Any | None:
        """A trial to train: one whose process was killed, or a new one.

        Args:
          trials: How many there may be.
          held: Whether a process trains the trial of a number now.

        Returns:
          None if other processes train all that are left.
        """
        with files.locked(self._folder / LOCK):
            known = self.trials()
            for trial in known:
                if not trial.state.is_finished() and not held(trial.number):
                    return self._seeded(self._optuna.trial.Trial(self._study, trial._trial_id))
            return self._seeded(self._study.ask()) if len(known) < trials else None

    def _seeded(self, trial: Any) -> Any:
        samplers, seed = self._optuna.samplers, self._seed * _STREAM + trial.number
        kinds = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}
        self._study.sampler = kinds[self._sampler](seed=seed)
        return trial

    def suggest(self, trial: Any, axes: Mapping[str, Axis]) -> dict[str, str]:
        """The values of a trial, as text; those that it has already stay.

        Raises:
          UserError: an earlier search in this folder had another space.
        """
        try:
            return {name: axis.suggest(trial, name) for name, axis in axes.items()}
        except ValueError as error:
            raise UserError(
                f"--space: another search is in {self._folder}: {first_line(error)}"
            ) from error

    def report(self, trial: Any, epoch: int, value: float) -> bool:
        """Reports an epoch's validation; returns whether the trial is to be given up."""
        trial.report(value, epoch)
        return trial.should_prune()

    def refuse(self, trial: Any, reason: str) -> None:
        """Ends a trial whose values do not fit each other."""
        trial.set_user_attr(REFUSED, reason)
        self.tell(trial, None)

    def tell(self, trial: Any, value: float | None, *, pruned: bool = False) -> None:
        """Ends a trial: with its value, pruned, or, without a value, diverged."""
        states = self._optuna.trial.TrialState
        state = states.PRUNED if pruned else states.FAIL if value is None else states.COMPLETE
        self._study.tell(trial, None if pruned else value, state, skip_if_finished=True)

    def best(self) -> Any | None:
        """The finished trial with the best value; None without any."""
        finished = [t for t in self.trials() if t.state == self._optuna.trial.TrialState.COMPLETE]
        return max(finished, key=lambda trial: (trial.value, -trial.number), default=None)
