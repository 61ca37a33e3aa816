"""The page: its tabs, and what they share."""

from typing import TYPE_CHECKING

from cnn_jax.demo import build_layer, classify, labels, layers, test_set, watch
from cnn_jax.demo.classifier import Classifier
from cnn_jax.demo.shown import Shown

if TYPE_CHECKING:
    import gradio as gr

# Seconds between two deletions of old pictures, such as those drawn, and their age in seconds.
DELETE_CACHE = (60, 3600)


def build(classifier: Classifier, shown: Shown | None = None) -> "gr.Blocks":
    """The page of a net; `server.serve` shows it.

    Args:
      classifier: The net.
      shown: The same net with what a run knows of it; None: an exported net, which can only be used
        to classify.
    """
    import gradio as gr

    with gr.Blocks(
        title=labels.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE
    ) as blocks:
        gr.Markdown(f"# {labels.TITLE}")
        chosen, seen = gr.State(None), gr.State(None)
        with gr.Tabs() as tabs:
            with gr.Tab(labels.CLASSIFY, id=labels.CLASSIFY):
                classify.add(blocks, classifier, shown, chosen, seen)
            if shown is not None:
                with gr.Tab(labels.LAYERS) as tab:
                    layers.add(shown, seen, tab)
            with gr.Tab(labels.BUILD):
                build_layer.add(blocks)
            if shown is not None:
                with gr.Tab(labels.TEST_SET) as tab:
                    test_set.add(shown, chosen, tab, tabs, labels.CLASSIFY)
                with gr.Tab(labels.WATCH) as tab:
                    watch.add(shown, tab)
    return blocks
