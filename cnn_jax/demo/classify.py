"""The tab Classify: a picture, its classes, and where the net looks."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.data.pictures.image_files import BadImage
from cnn_jax.demo import labels
from cnn_jax.demo.chosen import Chosen, chosen_test_image
from cnn_jax.demo.classifier import Classifier
from cnn_jax.demo.components import enlarged, picture_gallery, still_picture
from cnn_jax.demo.shown import GRAD_CAM, SALIENCY, SMOOTH_GRAD, Shown
from cnn_jax.demo.uploads import File, Uploads, drawing, uploaded_picture
from cnn_jax.robustness.corruptions import KINDS, SEVERITIES

if TYPE_CHECKING:
    import gradio as gr

EXAMPLES = 12  # test images to choose from
SEEN = "seen"


def add(
    page: "gr.Blocks",
    classifier: Classifier,
    shown: Shown | None,
    chosen: "gr.State",
    seen: "gr.State",
) -> None:
    """Adds the tab's components, within its context.

    Args:
      page: The page.
      classifier: The net.
      shown: The same net with what a run knows of it; None: an exported net, without maps and test
        images.
      chosen: The `Chosen` picture of each reader; None at first.
      seen: Gets the picture as the net sees it, u8[H,W,C].
    """
    import gradio as gr

    maps = [] if shown is None else _map_kinds(shown)
    probable = classifier.scorer.scores_are_logits
    uploads = Uploads()
    gr.Markdown(labels.CLASSIFY_WHAT if shown else labels.CLASSIFY_OWN)
    with gr.Row():
        with gr.Column(min_width=300):
            if shown is not None:
                with gr.Tab(labels.TEST_IMAGES):
                    _add_examples(page, shown, chosen)
            with gr.Tab(labels.UPLOAD):
                upload = uploaded_picture()
            with gr.Tab(labels.DRAW):
                gr.Markdown(labels.DRAW_HOW)
                canvas = drawing()
                done = gr.Button(labels.CLASSIFY_DRAWING, variant="primary")
            message = gr.Markdown()
            with gr.Row():
                corruption = gr.Dropdown(
                    [(labels.NO_CORRUPTION, ""), *((labels.kind(kind), kind) for kind in KINDS)],
                    value="",
                    label=labels.CORRUPTION,
                    min_width=140,
                )
                severity = gr.Slider(
                    SEVERITIES[0],
                    SEVERITIES[-1],
                    value=3,
                    step=1,
                    label=labels.SEVERITY,
                    min_width=140,
                )
        with gr.Column(min_width=300):
            title = gr.Markdown(labels.NO_PICTURE)
            with gr.Row():
                pictures = [_captioned(*labels.PICTURES[kind]) for kind in (SEEN, *maps)]
                if maps:
                    with gr.Column(min_width=100):
                        gr.Markdown(labels.PICTURES[SMOOTH_GRAD][0])
                        smoothed = still_picture(labels.PICTURES[SMOOTH_GRAD][1], visible=False)
                        smooth = gr.Button(labels.SMOOTH, size="sm")
            best = gr.Label(num_top_classes=5, label=labels.TOP, visible=probable)
            calibrated = gr.Checkbox(True, label=labels.calibrated(None), visible=False)
            scores = gr.Dataframe(
                headers=[labels.CLASS, labels.SCORE],
                label=labels.TOP,
                interactive=False,
                visible=not probable,
            )

    def classify(given: Chosen | None, kind: str, severity: int, calibrated: bool) -> list[Any]:
        if given is None:
            return [gr.skip()] * (5 + len(pictures))
        image = classifier.seen(given.image, kind, int(severity))
        computed = classifier.scores(image)
        values = classifier.values(computed, calibrated)
        drawn = [] if shown is None else [shown.map_of(one, image, computed) for one in maps]
        top = sorted(values.items(), key=lambda pair: -pair[1])[:5]
        fitted = classifier.temperature
        return [
            image,
            labels.picture_title(given.name),
            *map(enlarged, [image, *drawn]),
            values if probable else None,
            [[name, f"{value:.3f}"] for name, value in top],
            gr.Checkbox(visible=fitted is not None, label=labels.calibrated(fitted)),
        ]

    def read(file: File | None, request: gr.Request) -> list[Any]:
        if file is None:
            return [gr.skip()] * 2
        uploads.keep(request.session_hash, file)
        try:
            return [Chosen(file.name, classifier.read(file.path, file.name)), ""]
        except BadImage as error:
            return [gr.skip(), labels.bad_picture(error)]

    def forget(request: gr.Request) -> None:
        uploads.delete(request.session_hash)

    def smooth_map(image: np.ndarray | None) -> list[Any]:
        if shown is None or image is None:
            return [gr.skip()] * 2
        drawn = shown.map_of(SMOOTH_GRAD, image, classifier.scores(image))
        return [gr.Image(enlarged(drawn), visible=True), gr.Button(visible=False)]

    def hide_smooth_map() -> list[Any]:
        return [gr.Image(visible=False), gr.Button(visible=True)]

    classified: dict[str, Any] = {
        "fn": classify,
        "inputs": [chosen, corruption, severity, calibrated],
        "outputs": [seen, title, *pictures, best, scores, calibrated],
        "show_progress": "hidden",
        "trigger_mode": "always_last",
    }
    gr.on([chosen.change, corruption.input, severity.input, calibrated.input], **classified)
    if maps:
        smooth.click(smooth_map, seen, [smoothed, smooth])
        seen.change(hide_smooth_map, None, [smoothed, smooth], show_progress="hidden")
    for source, event in ((upload, upload.upload), (canvas, done.click)):
        event(read, source, [chosen, message], show_progress="hidden")
    page.unload(forget)


def _map_kinds(shown: Shown) -> list[str]:
    return [GRAD_CAM, SALIENCY] if shown.has_convolutions else [SALIENCY]


def _captioned(caption: str, alt: str) -> "gr.Image":
    import gradio as gr

    with gr.Column(min_width=100):
        gr.Markdown(caption)
        return still_picture(alt)


def _add_examples(page: "gr.Blocks", shown: Shown, chosen: "gr.State") -> None:
    """Adds test images to choose from, and a button for others."""
    import gradio as gr

    numbers = gr.State([])
    gallery = picture_gallery(labels.TEST_IMAGES)
    others = gr.Button(labels.OTHER_IMAGES, size="sm")

    def draw() -> list[Any]:
        count = len(shown.images.split)
        drawn = np.random.default_rng().choice(count, min(EXAMPLES, count), replace=False).tolist()
        return [drawn, [(enlarged(shown.test_image(n)), shown.test_class(n)) for n in drawn]]

    def choose(numbers: list[int], event: gr.SelectData) -> Chosen:
        return chosen_test_image(shown, numbers[event.index])

    others.click(draw, None, [numbers, gallery], show_progress="hidden")
    gallery.select(choose, numbers, chosen, show_progress="hidden")
    page.load(draw, None, [numbers, gallery], show_progress="hidden")
    page.load(lambda: chosen_test_image(shown, 0), None, chosen, show_progress="hidden")
