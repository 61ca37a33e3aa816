"""The first of several data sets that can be had."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_jax.data.dataset import DataConfig, Dataset, DataUnavailable


@dataclass(frozen=True)
class FirstAvailable:
    """Stands for the first choice that can be had on this machine.

    Attributes:
      choices: Data sets, the preferred one first.
    """

    choices: tuple[DataConfig, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("choices must hold at least one data set, got none")
        for number, choice in enumerate(self.choices):
            if not isinstance(choice, DataConfig):
                raise ValueError(f"choices.{number} must be a data set, got {choice!r}")

    def resolve(self, data_dir: str | None = None) -> tuple[DataConfig, str]:
        """Finds the first choice that can be had, preparing it if need be.

        Returns:
          That choice, and a line on why it is not an earlier one; empty if it is the first.

        Raises:
          DataUnavailable: none can be had; the message has the reason of each.
          DataInvalid: a choice is at hand but damaged: that is not passed over in silence.
        """
        reasons: list[str] = []
        for choice in self.choices:
            try:
                config, note = choice.resolve(data_dir)
            except DataUnavailable as error:
                reasons.append(str(error))
                continue
            if reasons:
                instead = f"Using {type(config).__name__}: {'; '.join(reasons)}"
                note = f"{instead}; {note}" if note else instead
            return config, note
        raise DataUnavailable("; ".join(reasons))

    def load(self, data_dir: str | None = None) -> Dataset:
        """Loads the first choice that can be had."""
        config, _ = self.resolve(data_dir)
        return config.load(data_dir)
