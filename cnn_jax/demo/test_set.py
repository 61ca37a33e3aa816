"""The tab Test set: the confusion matrix, the images of a cell, and the reliability diagram."""

from typing import TYPE_CHECKING, Any

from cnn_jax.demo import labels
from cnn_jax.demo.chosen import chosen_test_image
from cnn_jax.demo.components import enlarged, picture_gallery, still_picture

if TYPE_CHECKING:
    import gradio as gr

    from cnn_jax.demo.shown import Shown

MOST = 60  # images of a cell in the gallery


def add(shown: "Shown", chosen: "gr.State", tab: "gr.Tab", tabs: "gr.Tabs", back: str) -> None:
    """Adds the tab's components, within its context; they are filled when the tab is selected.

    Args:
      shown: The net.
      chosen: Gets the `Chosen` image.
      tab: The tab.
      tabs: All tabs.
      back: Id of the tab that is selected when an image is chosen.
    """
    import gradio as gr

    scored, classes = shown.scored_set, shown.plan.data.classes
    choices = [(name, number) for number, name in enumerate(classes)]
    gr.Markdown(labels.TEST_SET_WHAT)
    with gr.Row():
        with gr.Column(min_width=300):
            matrix = still_picture(labels.MATRIX_ALT)
        with gr.Column(min_width=300):
            with gr.Row():
                true = gr.Dropdown(choices, value=0, label=labels.TRUE_CLASS, min_width=130)
                predicted = gr.Dropdown(
                    choices, value=0, label=labels.PREDICTED_CLASS, min_width=130
                )
            title = gr.Markdown()
            gallery = picture_gallery(labels.CELL_IMAGES)
            numbers = gr.State(None)
    with gr.Column(visible=shown.plan.experiment.loss.scores_are_logits):
        gr.Markdown(labels.RELIABILITY)
        reliability = still_picture(labels.RELIABILITY_ALT)

    def show_matrix(found: list[int] | None) -> list[Any]:
        if found is not None:  # the reader comes back to the tab
            return [gr.skip()] * 4
        return [scored.confusion.picture, scored.reliability, *scored.first_cell()]

    def show_cell(true: int, predicted: int) -> list[Any]:
        found = scored.cell(true, predicted)[:MOST].tolist()
        images = [
            (
                enlarged(scored.image(number)),
                labels.cell_image(
                    number, scored.values[number, predicted], scored.calibrated is not None
                ),
            )
            for number in found
        ]
        count = int(scored.result.confusion()[true, predicted])
        return [
            labels.cell_title(count, len(found), classes[true], classes[predicted]),
            images,
            found,
        ]

    def click(event: gr.SelectData) -> list[Any]:
        x, y = event.index
        return [*(scored.confusion.cell(x, y) or [gr.skip()] * 2)]

    def choose(found: list[int], event: gr.SelectData) -> list[Any]:
        return [chosen_test_image(shown, found[event.index]), gr.Tabs(selected=back)]

    cell: dict[str, Any] = {
        "fn": show_cell,
        "inputs": [true, predicted],
        "outputs": [title, gallery, numbers],
        "show_progress": "hidden",
    }
    tab.select(
        show_matrix,
        numbers,
        [matrix, reliability, true, predicted],
        show_progress="minimal",
        show_progress_on=[matrix, reliability],
    ).then(**cell)
    matrix.select(click, None, [true, predicted], show_progress="hidden").then(**cell)
    gr.on([true.input, predicted.input], **cell)
    gallery.select(choose, numbers, [chosen, tabs], show_progress="hidden")
