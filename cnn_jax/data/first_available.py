"""Chooses the first available one of several data sets."""

from dataclasses import dataclass

from cnn_jax.data.dataset import DataConfig, Dataset, DataUnavailable


@dataclass(frozen=True)
class FirstAvailable:
    """The first of several datasets that is available.

    Attributes:
      choices: Data sets in order of preference.
    """

    choices: tuple[DataConfig, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("choices must have at least one data set, got none")
        for number, choice in enumerate(self.choices):
            if not isinstance(choice, DataConfig):
                raise ValueError(f"choices.{number} must be a data set, got {choice!r}")

    def resolve(self, data_dir: str | None = None) -> tuple[DataConfig, str]:
        """Finds the first available choice, and prepares it if necessary.

        Returns:
          The choice, and a line that says why earlier ones are unavailable ("" for the first).

        Raises:
          DataUnavailable: No choice is available; the message gives the reason for each.
          DataInvalid: A choice is damaged; a later one does not silently replace it.
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
        """Loads the first available choice."""
        return self.resolve(data_dir)[0].load(data_dir)
