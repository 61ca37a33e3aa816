"""Components for readers' own pictures, which the package decodes instead of Gradio."""

from __future__ import annotations

import functools
import tempfile
from typing import TYPE_CHECKING, Any

from cnn_jax.demo import labels

if TYPE_CHECKING:
    import gradio as gr

CANVAS = 320  # pixels

# Path of a file that the receiver deletes, and its name for messages.
File = tuple[str, str]


def uploaded_picture() -> gr.Image:
    """A field for a picture that is dropped, pasted or chosen; its value is a `File`."""
    return _classes()[0](
        label=labels.UPLOAD, sources=["upload", "clipboard"], type="filepath", height=CANVAS
    )


def drawing() -> gr.ImageEditor:
    """A field to draw a picture in; its value is a `File`, or None while it is empty."""
    import gradio as gr

    return _classes()[1](
        label=labels.DRAWING,
        sources=(),
        brush=gr.Brush(default_size=24, colors=[*labels.BRUSHES], default_color=labels.BRUSHES[0]),
        transforms=(),
        layers=False,
        canvas_size=(CANVAS, CANVAS),
        fixed_canvas=True,
        format="png",
        height=CANVAS + 120,
        buttons=[],
    )


@functools.cache
def _classes() -> tuple[Any, Any]:
    """Gradio's components without their decoders, which raise for a bad file and have no limits."""
    import gradio as gr
from gradio.events import Dependency

    class Upload(gr.Image):
        is_template = True

        def preprocess(self, payload: Any) -> Any:
            if payload is None or payload.path is None:
                return None
            return payload.path, payload.orig_name or labels.UPLOAD

    class Drawing(gr.ImageEditor):
        is_template = True

        def preprocess(self, payload: Any) -> Any:
            # The browser sends the pictures first, and then the key under which they are kept.
            sent = payload and payload.id and self.blob_storage.pop(payload.id, None)
            if not sent or sent.composite is None:
                return None
            with tempfile.NamedTemporaryFile(
                dir=self.GRADIO_CACHE, suffix=".png", delete=False
            ) as file:
                file.write(sent.composite)
            return file.name, labels.DRAWING

    return Upload, Drawing