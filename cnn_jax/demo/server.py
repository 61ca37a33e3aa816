"""Serves the page on this machine."""

import contextlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cnn_jax.demo.classifier import MOST_BYTES
from cnn_jax.demo.theme import CSS, theme
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

HOST = "127.0.0.1"
# Readers whose requests are computed at the same time, and that may wait.
AT_ONCE, WAITING = 2, 64
_OFF = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def check_installed() -> None:
    """Raises UserError if Gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError("Gradio is not installed: pip install -e '.[demo]'")


@contextlib.contextmanager
def served(
    build: Callable[[], "gr.Blocks"], host: str = HOST, port: int | None = None
) -> Iterator[str]:
    """Serves a page within the block, and gives its address.

    Uploads and drawn pictures are kept in a folder of their own, which is deleted afterwards.

    Args:
      build: Makes the page; called once Gradio can be imported.
      host: The address to listen on.
      port: The port; None: the first free one from 7860.

    Raises:
      UserError: Gradio is not installed, or it cannot listen there.
    """
    check_installed()
    os.environ.update(_OFF)  # before Gradio is imported
    with tempfile.TemporaryDirectory(prefix="cnn_jax-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build()
        page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)
        try:
            _, address, _ = page.launch(**_settings(host, port))
        except OSError as error:
            place = f"--host={host}" + (f" --port={port}" if port else "")
            raise UserError(
                f"{place}: cannot serve there: give another, or end the program that does"
            ) from error
        try:
            yield address
        finally:
            page.close(verbose=False)


def _settings(host: str, port: int | None) -> dict[str, Any]:
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "quiet": True,
        "prevent_thread_lock": True,
        "max_file_size": MOST_BYTES,
        "allowed_paths": [],
        "footer_links": ["settings"],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "pwa": False,
        "theme": theme(),
        "css": CSS,
    }


@contextlib.contextmanager
def in_background(steps: Iterable[None]) -> Iterator[None]:
    """Takes steps in a thread while the block runs; its end waits for the step that is under way.

    What a step cannot do, the reader's first request reports.
    """
    ended = threading.Event()

    def take() -> None:
        with contextlib.suppress(Exception):
            for _ in steps:
                if ended.is_set():
                    break

    thread = threading.Thread(target=take, name="warm-up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()  # JAX crashes if Python ends while it compiles
