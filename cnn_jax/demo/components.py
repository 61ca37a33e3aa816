"""Components that several tabs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gradio as gr


def still_picture(alt: str, value: np.ndarray | None = None, visible: bool = True) -> gr.Image:
    """A picture u8[h,w] or u8[h,w,3] that is only shown, without loss.

    Args:
      alt: What it shows, for readers who cannot see it.
      value: The picture; None: filled later.
      visible: Whether it is shown at first.
    """
    import gradio as gr

    return gr.Image(
        value,
        label=alt,
        show_label=False,
        alt_text=alt,
        format="png",
        interactive=False,
        visible=visible,
        buttons=["fullscreen"],
    )


def picture_gallery(label: str) -> gr.Gallery:
    """Small pictures to choose from; `label` names them for readers who cannot see it."""
    import gradio as gr

    return gr.Gallery(
        label=label,
        show_label=False,
        height="auto",
        elem_classes="gallery",
        format="png",
        allow_preview=False,
        buttons=[],
        interactive=False,
    )


def enlarged(picture: np.ndarray, side: int = 256) -> np.ndarray:
    """A small picture with each pixel repeated, so that browsers do not blur it.

    Args:
      picture: u8[H,W,C].
      side: Smallest height and width of the result.

    Returns:
      u8[h,w,3], with h and w multiples of H and W.
    """
    height, width, _ = picture.shape
    times = max(1, -(-side // min(height, width)))
    colour = np.broadcast_to(picture, (height, width, 3))
    return colour.repeat(times, 0).repeat(times, 1)
