"""Creates and saves figures of the page's width in one style.

Uses only matplotlib's object interface: no pyplot, no display, and no global settings.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnn_jax.report import fonts
from cnn_jax.storage.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib's settings belong to the process: one thread at a time changes them.
STYLE_LOCK = threading.RLock()
WIDTH = 7.0  # inches: the text width of a page
_STYLE: dict[Any, Any] = {
    "font.family": fonts.FONT,
    "font.size": 9,
    "figure.titlesize": 10,
    "lines.linewidth": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "savefig.facecolor": "white",
}


def save(path: str | os.PathLike[str], build: Callable[..., Figure | None], *args: Any) -> bool:
    """Saves the figure `build(*args)` to a PNG file, in the style of the page.

    Returns:
      False, with nothing written, if `build` returned None.
    """
    png = drawn(build, *args)
    if png is None:
        return False
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png)
    return True


def picture(build: Callable[..., Figure | None], *args: Any) -> np.ndarray | None:
    """The figure `build(*args)` as u8[H,W,3]; None if `build` returned None."""
    png = drawn(build, *args)
    return None if png is None else pixels(png)


def pixels(png: bytes) -> np.ndarray:
    """A PNG file as u8[H,W,3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def drawn(build: Callable[..., Figure | None], *args: Any) -> bytes | None:
    """The figure `build(*args)` as a PNG file, in the style of the page.

    If the figure has characters that DejaVu Sans lacks, other installed fonts draw them, and
    `build` is called a second time.

    Returns:
      None if `build` returned None.
    """
    import matplotlib
    from matplotlib.text import Text

    with STYLE_LOCK, matplotlib.rc_context(), warnings.catch_warnings(), fonts.quiet():
        # Characters that no font has are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        made = build(*args)
        if made is None:
            return None
        texts = [text.get_text() for text in made.findobj(Text) if isinstance(text, Text)]
        if fallbacks := fonts.fallbacks("".join(texts)):
            # A text takes its fonts when it is made.
            matplotlib.rcParams["font.family"] = [fonts.FONT, *fallbacks]
            made = build(*args)
            assert made is not None
        png = io.BytesIO()
        made.savefig(png, format="png", dpi=150)
    return png.getvalue()


def figure(height: float) -> Figure:
    """An empty figure of the page's width; the height is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(made)
    return made
