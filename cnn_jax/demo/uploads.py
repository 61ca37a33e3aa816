"""Components for readers' own pictures, which the package decodes instead of Gradio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnn_jax.demo import labels

if TYPE_CHECKING:
    import gradio as gr

CANVAS = 320  # pixels


class File(NamedTuple):
    """A reader's picture.

    Attributes:
      path: The file.
      name: Its name for messages.
      parts: More files that came with it.
    """

    path: str
    name: str
    parts: tuple[str, ...] = ()


class Uploads:
    """The files of all readers, which are deleted when their pages are closed."""

    def __init__(self) -> None:
        self._files: dict[str | None, list[str]] = {}

    def keep(self, session: str | None, file: File) -> None:
        """Keeps a file until `delete` is called for its session."""
        self._files.setdefault(session, []).extend([file.path, *file.parts])

    def delete(self, session: str | None) -> None:
        """Deletes the files of a session."""
        for path in self._files.pop(session, ()):
            Path(path).unlink(missing_ok=True)


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
    return File(payload.path, payload.orig_name or labels.UPLOAD)


def _drawn(payload: Any) -> File | None:
    if payload is None or payload.composite is None:
        return None
    parts = [part.path for part in (payload.background, *payload.layers) if part is not None]
    return File(payload.composite.path, labels.DRAWING, tuple(parts))
