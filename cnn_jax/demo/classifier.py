"""Classifies pictures for the page: reading, corrupting, and scoring them."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from cnn_jax.analysis import calibration
from cnn_jax.data.pictures.image_files import BadImage, decode, quietly
from cnn_jax.demo.once import Once
from cnn_jax.robustness.corruptions import corrupt, generator
from cnn_jax.runs.run_scorer import Scorer

MOST_PIXELS = 25_000_000  # a photograph of a good camera; decoded, 75 MB
MOST_BYTES = 20 * 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A net that classifies one picture at a time.

    Attributes:
      scorer: The net.
      fit: Finds the softmax temperature that calibrates the probabilities; None without one. It is
        called once, when `temperature` is first needed.
    """

    scorer: Scorer
    fit: Callable[[], float | None] = lambda: None

    @Once
    def temperature(self) -> float | None:
        """The softmax temperature; None without one."""
        return self.fit()

    def read(self, path: str | os.PathLike[str], name: str) -> np.ndarray:
        """An uploaded picture u8[H,W,C], read as `--mode=predict` reads its files.

        Args:
          path: The file.
          name: Its name in messages, which must not show where uploads are.

        Raises:
          BadImage: the file is no picture, or has more than `MOST_BYTES` or `MOST_PIXELS`.
        """
        if os.path.getsize(path) > MOST_BYTES:
            raise BadImage(f"{name}: more than {MOST_BYTES // 2**20} MiB: reduce it")
        try:
            with quietly():
                return decode(path, self.scorer.form, most_pixels=MOST_PIXELS).image
        except BadImage as error:
            raise BadImage(f"{name}{str(error).removeprefix(str(path))}") from None

    def seen(self, picture: np.ndarray, kind: str, severity: int) -> np.ndarray:
        """The picture u8[H,W,C] as the net sees it.

        Args:
          picture: u8[H,W,C].
          kind: One of `corruptions.KINDS`; "": none.
          severity: From 1 to 5.
        """
        if not kind:
            return picture
        return corrupt(kind, picture[None], severity, generator(0, kind, severity, 0))[0]

    def scores(self, picture: np.ndarray) -> np.ndarray:
        """f32[K], the scores of a picture u8[H,W,C]."""
        return self.scorer(picture[None])[0]

    def values(self, scores: np.ndarray, calibrated: bool) -> dict[str, float]:
        """The value of each class by its name: its probability, or its score if there is none.

        Args:
          scores: f32[K].
          calibrated: Whether to divide the scores by the temperature.
        """
        values = scores
        if self.scorer.scores_are_logits:
            temperature = self.temperature if calibrated else None
            values = calibration.softmax(scores[None], temperature or 1.0)[0]
        return dict(zip(self.scorer.classes, values.tolist(), strict=True))
