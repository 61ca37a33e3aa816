"""The net of a run that the page shows, with what the tabs compute of it."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from cnn_jax.demo.classifier import Classifier
from cnn_jax.demo.layer_view import LayerView
from cnn_jax.demo.once import Once
from cnn_jax.demo.scored_set import ScoredSet
from cnn_jax.demo.watched_run import WatchedRun
from cnn_jax.experiment import Plan
from cnn_jax.report.heat_picture import heat_picture
from cnn_jax.runs import scored_images
from cnn_jax.runs.attributions import Attributions
from cnn_jax.runs.run_scorer import RunScorer
from cnn_jax.runs.scored_images import ScoredImages
from cnn_jax.runs.workdir import Run

SALIENCY, SMOOTH_GRAD, GRAD_CAM = "saliency", "smooth_grad", "grad_cam"


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """A run's net. Data is loaded, and programs are compiled, when they are first needed.

    Attributes:
      run: The run.
      scorer: Its net.
      data_dir: Where TFDS data is; None: the default.
    """

    run: Run
    scorer: RunScorer
    data_dir: str | None = None

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        return self.scorer.plan

    @Once
    def classifier(self) -> Classifier:
        """The net as the tab Classify uses it, calibrated on the run's validation images."""
        return Classifier(self.scorer, lambda: self.scored_set.fitted[0])

    @Once
    def attributions(self) -> Attributions:
        """The net's attribution maps."""
        return Attributions(self.plan, self.scorer.variables)

    @Once
    def layer_view(self) -> LayerView:
        """The net's layers."""
        return LayerView(self.plan, self.scorer.variables)

    @Once
    def images(self) -> ScoredImages:
        """The run's test and validation images; raises the errors of `run_data`."""
        return scored_images.of_run(self.run, self.plan, self.data_dir)

    @Once
    def scored_set(self) -> ScoredSet:
        """The scores of the test images."""
        return ScoredSet(self.plan, self.scorer.variables, self.images)

    @Once
    def watched_run(self) -> WatchedRun:
        """The run's progress, with the activations of the first test image."""
        first = self.test_image(0)
        return WatchedRun(self.run, self.plan, first, "test 0", self.test_label(0))

    @property
    def has_convolutions(self) -> bool:
        """Whether Grad-CAM is possible."""
        return bool(self.attributions.program.volumes)

    def test_image(self, number: int) -> np.ndarray:
        """A test image, u8[H,W,C]."""
        return np.asarray(self.images.split.images[number])

    def test_label(self, number: int) -> int:
        """The index of a test image's class."""
        return int(self.images.split.labels[number])

    def test_class(self, number: int) -> str:
        """The name of a test image's class."""
        return self.plan.data.classes[self.test_label(number)]

    def map_of(self, kind: str, picture: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """An attribution map of a picture for its top class, as `--mode=explain` draws it.

        Args:
          kind: SALIENCY, SMOOTH_GRAD or GRAD_CAM.
          picture: u8[H,W,C].
          scores: f32[K], the picture's.

        Returns:
          u8[H,W,3].
        """
        compute = getattr(self.attributions, kind)
        heat = compute(picture[None].astype(np.float32), np.array([scores.argmax()]))[0]
        return heat_picture(picture, heat, over=kind == GRAD_CAM)

    def warm(self) -> Iterator[None]:
        """Loads the images and compiles what the first clicks need, in steps."""
        picture = np.zeros(self.plan.data.image_shape, np.uint8)
        scores = self.classifier.scores(picture)
        yield
        self.map_of(SALIENCY, picture, scores)
        yield
        if self.has_convolutions:
            self.map_of(GRAD_CAM, picture, scores)
        yield
        _ = self.classifier.temperature
        yield
        if self.layer_view.layers:
            self.layer_view.values(0, picture)
