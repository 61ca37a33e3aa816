"""Components that several tabs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gradio as gr


def still_picture(alt: str, value: np.ndarray | None = None) -> gr.Image:
    """A picture u8[h,w] or u8[h,w,3] that is only shown, without loss.

    Args:
      alt: What it shows, for readers who cannot see it.
      value: The picture; None: filled later.
    """
    import gradio as gr

    return gr.Image(
        value,
        label=alt,
        show_label=False,
        alt_text=alt,
        format="png",
        interactive=False,
        buttons=["fullscreen"],
    )
