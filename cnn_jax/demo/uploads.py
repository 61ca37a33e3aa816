"""Components for readers' own pictures, which the package decodes instead of Gradio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.demo import labels

if TYPE_CHECKING:
    import gradio as gr

CANVAS = 320  # pixels

# Path of a file that the receiver deletes, and its name for messages.
File = tuple[str, str]


def uploaded_picture() -> gr.Image:
    """A field for a picture that is dropped, pasted or chosen; its value is a `File`."""
    import gradio as gr

    field = gr.Image(
        label=labels.UPLOAD, sources=["upload", "clipboard"], type="filepath", height=CANVAS
    )
    _replace_decoder(field, _uploaded)
    return field


def drawing() -> gr.ImageEditor:
    """A field to draw a picture in; its value is a `File`, or None while it is empty."""
    import gradio as gr

    field = gr.ImageEditor(
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
    _replace_decoder(field, _drawn)
    return field


def _replace_decoder(field: gr.components.Component, decode: Callable[[Any], File | None]) -> None:
    """Gives a field another decoder than Gradio's, which raises for a bad file and has no limit.

    A subclass would do too, but Gradio writes a file of types beside a module that defines one.
    """
    field.preprocess = decode  # type: ignore[method-assign, assignment]


def _uploaded(payload: Any) -> File | None:
    if payload is None or payload.path is None:
        return None
    return payload.path, payload.orig_name or labels.UPLOAD


def _drawn(payload: Any) -> File | None:
    if payload is None or payload.composite is None:
        return None
    for part in (payload.background, *payload.layers):  # the composite holds them all
        if part is not None:
            Path(part.path).unlink(missing_ok=True)
    return payload.composite.path, labels.DRAWING
