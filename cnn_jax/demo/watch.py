"""The tab Watch it train: curves, filters and activations of a run while it trains."""

from typing import TYPE_CHECKING, Any

from cnn_jax.demo import labels
from cnn_jax.demo.components import still_picture

if TYPE_CHECKING:
    import gradio as gr

    from cnn_jax.demo.shown import Shown

SECONDS = 2.0  # between two looks at the run's folder


def add(shown: "Shown", tab: "gr.Tab") -> None:
    """Adds the tab's components, within its context; they are filled while the run trains.

    Args:
      shown: The net of a run.
      tab: The tab.
    """
    import gradio as gr

    watched = shown.watched_run
    status = gr.Markdown(labels.WATCH_TRAINING)
    with gr.Row():
        with gr.Column(min_width=300):
            gr.Markdown(labels.CURVES)
            curves = still_picture(labels.CURVES_ALT)
        with gr.Column(min_width=300):
            title = gr.Markdown(labels.NO_EPOCH)
            moment = gr.Slider(0, 1, step=1, value=0, label=labels.MOMENT, visible=False)
            filters = still_picture(labels.WATCH_FILTERS_ALT)
    gr.Markdown(labels.ACTIVATIONS)
    activations = still_picture(labels.ACTIVATIONS_ALT)
    timer = gr.Timer(SECONDS, active=False)
    seen = gr.State(0)

    def show(number: int) -> list[Any]:
        one = watched.moments[int(number)]
        return [labels.moment(one.epoch, one.step), one.filters, one.activations]

    def look() -> list[Any]:
        drawn, moments = watched.look()
        last, finished = len(moments) - 1, watched.finished
        text = labels.WATCH_FINISHED if finished else labels.WATCH_TRAINING
        slider = gr.Slider(maximum=max(last, 1), visible=last > 0)
        return [text, drawn, slider, gr.Timer(active=not finished)]

    def follow(before: int, number: int) -> list[Any]:
        """Shows the newest moment, unless the reader has gone back to an earlier one."""
        count = len(watched.moments)
        if count > before and number >= before - 1:
            return [count - 1, *show(count - 1), count]
        return [*[gr.skip()] * 4, count]

    pictures = [title, filters, activations]
    # The reader may move the slider while a new moment is drawn: where it is, `follow` asks later.
    looked: dict[str, Any] = {"fn": look, "outputs": [status, curves, moment, timer]}
    followed: dict[str, Any] = {
        "fn": follow,
        "inputs": [seen, moment],
        "outputs": [moment, *pictures, seen],
        "show_progress": "hidden",
    }
    shown_on = [curves, filters]
    tab.select(**looked, show_progress="minimal", show_progress_on=shown_on).then(**followed)
    timer.tick(**looked, show_progress="hidden").then(**followed)
    moment.input(show, moment, pictures, show_progress="hidden", trigger_mode="always_last")
