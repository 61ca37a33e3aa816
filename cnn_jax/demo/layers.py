"""The tab Layers: the net's volumes, a layer's slices and filters, and its neurons."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.demo import labels
from cnn_jax.demo.components import still_picture

if TYPE_CHECKING:
    import gradio as gr

    from cnn_jax.demo.shown import Shown


def add(shown: "Shown", picture: "gr.State", tab: "gr.Tab") -> None:
    """Adds the tab's components, within its context; they are filled when the tab is selected.

    Args:
      shown: The net.
      picture: The picture that Classify shows, u8[H,W,C]; None: the first test image.
      tab: The tab.
    """
    import gradio as gr

    view = shown.layer_view
    if not view.layers:
        gr.Markdown(labels.NO_LAYERS)
        return
    choices = [(labels.layer_choice(number, row), number) for number, row in enumerate(view.rows)]
    gr.Markdown(labels.LAYERS_WHAT)
    blocks = still_picture(labels.VOLUMES_ALT, view.blocks.picture)
    with gr.Row():
        with gr.Column(min_width=300):
            layer = gr.Dropdown(choices, value=0, label=labels.LAYER)
            facts = gr.Markdown()
            with gr.Column(visible=False) as filters_shown:
                filters_title = gr.Markdown()
                filters = still_picture(labels.FILTERS_ALT)
        with gr.Column(min_width=300):
            slices_title = gr.Markdown()
            slices = still_picture(labels.SLICES_ALT)
            sliders = [
                gr.Slider(0, 1, value=0, step=1, label=label)
                for label in (labels.ROW, labels.COLUMN, labels.CHANNEL)
            ]
    with gr.Row():
        with gr.Column(min_width=300):
            gr.Markdown(labels.NEURON)
            neuron = still_picture(labels.NEURON_ALT)
        with gr.Column(min_width=300) as other_shown:
            other_title = gr.Markdown()
            other = still_picture(labels.OTHER_NEURON_ALT)

    def chosen(given: np.ndarray | None) -> np.ndarray:
        return shown.test_image(0) if given is None else given

    def show_layer(number: int, given: np.ndarray | None) -> list[Any]:
        one, row = view.layers[number], view.rows[number]
        found = view.filters(number)
        return [
            labels.facts_table(one, row),
            gr.Column(visible=found is not None),
            *(found or ("", None)),
            labels.slices_of(row, view.slices_shown(number)),
            view.slices(number, chosen(given)),
            labels.other_neuron(one),
            *(
                gr.Slider(maximum=max(side - 1, 1), value=side // 2, visible=side > 1)
                for side in one.output[:2]
            ),
            gr.Slider(maximum=max(one.output[2] - 1, 1), value=0),
        ]

    def show_neuron(number: int, given: np.ndarray | None, *position: int) -> list[Any]:
        row, column, channel = position
        drawn, *same = view.neuron_pictures(number, chosen(given), (row, column, channel))
        return [drawn, gr.Column(visible=bool(same)), same[0] if same else None]

    def choose(event: gr.SelectData) -> Any:
        number = view.layer_at(*event.index)
        return gr.skip() if number is None else number

    def click(number: int, event: gr.SelectData) -> list[Any]:
        return [*(view.position(number, *event.index) or [gr.skip()] * 3)]

    quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    neuron_of: dict[str, Any] = {
        "fn": show_neuron,
        "inputs": [layer, picture, *sliders],
        "outputs": [neuron, other_shown, other],
    }
    layer_of: dict[str, Any] = {
        "fn": show_layer,
        "inputs": [layer, picture],
        "outputs": [
            *(facts, filters_shown, filters_title, filters, slices_title, slices, other_title),
            *sliders,
        ],
        "show_progress": "minimal",
        "show_progress_on": slices,  # texts would fade
    }
    gr.on([tab.select, layer.input], **layer_of).then(**neuron_of, **quick)
    blocks.select(choose, None, layer, **quick).then(**layer_of).then(**neuron_of, **quick)
    slices.select(click, layer, sliders, **quick).then(**neuron_of, **quick)
    for slider in sliders:
        slider.input(**neuron_of, **quick)
