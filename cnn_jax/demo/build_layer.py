"""The tab Build a layer: the arithmetic of a convolution, with sliders."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.spatial_arrangement import Filters
from cnn_jax.demo import labels
from cnn_jax.demo.components import still_picture
from cnn_jax.report import block_picture, figure_style
from cnn_jax.report.window_figure import build_windows

if TYPE_CHECKING:
    import gradio as gr

# W, D, F, S, P, K: the defaults, and the ranges of the sliders.
FIRST = (32, 3, 5, 1, 2, 10)
RANGES = ((1, 256), (1, 512), (1, 256), (1, 16), (0, 16), (1, 4096))
PRESETS = {
    "lesson": FIRST,
    "neuron_32": (32, 3, 32, 1, 0, 1),
    "neuron_200": (200, 3, 200, 1, 0, 1),
    "misfit": (10, 3, 3, 2, 0, 8),
    "alexnet": (227, 3, 11, 4, 0, 96),
    "vgg": (224, 3, 3, 1, 1, 64),
    "connected": (7, 512, 7, 1, 0, 4096),
}


def arrangement(*sizes: int) -> tuple[Filters | None, str]:
    """The layer of W, D, F, S, P, K; or None and the reason why it does not fit."""
    side, depth, window, stride, padding, count = sizes
    try:
        return Filters((side, side, depth), count, window, padding, stride), ""
    except ValueError as error:
        return None, str(error)


def volumes_picture(filters: Filters) -> np.ndarray:
    """The input and the output volume to scale, u8[h,w,3]."""
    layer = Layer(
        name=labels.YOUR_LAYER,
        kind="conv",
        input=filters.input,
        output=filters.output,
        receptive_field=(filters.window, filters.window),
        window=(filters.window, filters.window),
        stride=(filters.stride, filters.stride),
        weights=filters.count * filters.weights_per_neuron,
        biases=filters.count,
        multiply_adds=filters.neurons * filters.weights_per_neuron,
    )
    return block_picture.picture([layer], filters.input).picture


def add(page: "gr.Blocks") -> None:
    """Adds the tab's components, within its context; they are filled when the page is opened."""
    import gradio as gr

    gr.Markdown(labels.BUILD_WHAT)
    with gr.Row():
        with gr.Column(min_width=300):
            preset = gr.Dropdown(
                [(labels.PRESETS[name], name) for name in PRESETS],
                value="lesson",
                label=labels.PRESET,
            )
            sliders = [
                gr.Slider(low, high, value=value, step=1, label=label)
                for label, value, (low, high) in zip(labels.SIZES, FIRST, RANGES, strict=True)
            ]
        with gr.Column(min_width=300):
            result = gr.Markdown()
            windows = still_picture(labels.WINDOWS_ALT)
            volumes = still_picture(labels.BUILT_ALT)
            counts = gr.Markdown()

    def write(*sizes: int) -> list[str]:
        sizes = tuple(map(int, sizes))
        filters, reason = arrangement(*sizes)
        return [
            labels.arithmetic(sizes, filters, reason),
            labels.counts_table(filters) if filters else "",
        ]

    def draw(*sizes: int) -> list[Any]:
        side, _, window, stride, padding, _ = sizes = tuple(map(int, sizes))
        filters, _ = arrangement(*sizes)
        row = figure_style.picture(build_windows, side, window, padding, stride)
        return [
            gr.Image(row, visible=row is not None),
            gr.Image(volumes_picture(filters) if filters else None, visible=filters is not None),
        ]

    def start(name: str) -> list[Any]:
        return [*PRESETS[name], *write(*PRESETS[name])]

    # Numbers appear at once, the pictures when they are drawn.
    quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    texts = [result, counts]
    drawn: dict[str, Any] = {"fn": draw, "inputs": sliders, "outputs": [windows, volumes], **quick}
    preset.input(start, preset, [*sliders, *texts], **quick).then(**drawn)
    for slider in sliders:
        slider.input(write, sliders, texts, **quick).then(**drawn)
    page.load(write, sliders, texts, **quick).then(**drawn)
