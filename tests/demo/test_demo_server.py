"""The page's server: whom it serves, what it refuses, and what it keeps."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import signal
import socket
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil
import pytest
from demo_browser import until
from PIL import Image
from program import one_line, start

from cnn_jax import cli
from cnn_jax.demo import labels
from cnn_jax.demo.classifier import MOST_BYTES, Classifier
from cnn_jax.demo.server import served
from cnn_jax.errors import UserError
from cnn_jax.modes.predict import predict
from cnn_jax.runs.run_scorer import RunScorer


def test_without_gradio_one_line_says_what_to_install(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name)
    )
    assert cli.main(["run.py", "--mode=demo"]) == 2
    error = capsys.readouterr().err
    assert one_line(error)
    assert "pip install -e '.[demo]'" in error


def test_a_net_needs_one_place(capsys):
    assert cli.main(["run.py", "--mode=demo", "--model=net", "--workdir=run"]) == 2
    assert "drop --workdir" in capsys.readouterr().err
    assert cli.main(["run.py", "--mode=demo", "--workdir=none"]) == 2
    assert one_line(capsys.readouterr().err)


def test_an_exported_net_has_no_tabs_of_a_run(small_run):
    gradio = pytest.importorskip("gradio")
    from cnn_jax.demo.page import build

    page = build(Classifier(RunScorer(small_run)))
    tabs = {block.label for block in page.blocks.values() if isinstance(block, gradio.Tab)}
    assert tabs == {labels.CLASSIFY, labels.BUILD, labels.UPLOAD, labels.DRAW}


def test_a_port_that_is_taken_is_one_line():
    gradio = pytest.importorskip("gradio")

    def empty():
        with gradio.Blocks() as page:
            return page

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"--port={port}: cannot serve there"),
            served(empty, port=port),
        ):
            pass


@pytest.fixture(scope="module")
def client(page):
    """A function that makes a client of the page with a session of its own."""
    gradio_client = pytest.importorskip("gradio_client")
    return lambda: gradio_client.Client(page, verbose=False, analytics_enabled=False)


@pytest.mark.slow
def test_ten_readers_at_once_get_their_own_answers(client, small_run, tmp_path):
    from gradio_client import handle_file

    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(10)]
    for file in files:
        pixels = random.integers(0, 256, (32, 32, 3)) * random.random(3)
        Image.fromarray(pixels.astype(np.uint8)).save(file)

    def ask(file):
        one = client()
        assert one.predict(handle_file(file), api_name="/read") == ""
        return one.predict("", 3, False, api_name="/classify")

    with concurrent.futures.ThreadPoolExecutor(len(files)) as pool:
        answers = list(pool.map(ask, files))
    for answer, expected in zip(
        answers, predict(RunScorer(small_run), [*map(str, files)]), strict=True
    ):
        assert answer[0] == labels.picture_title(expected.path.name)
        seen = np.asarray(
            Image.open(answer[1]["path"] if isinstance(answer[1], dict) else answer[1])
        )
        np.testing.assert_array_equal(seen[::8, ::8], expected.image)
        (best,) = [one for one in answer if isinstance(one, dict) and "confidences" in one]
        assert best["label"] == expected.classes[0]
        assert best["confidences"][0]["confidence"] == pytest.approx(expected.values[0], rel=1e-5)


@pytest.mark.slow
def test_no_file_of_the_disk_can_be_requested(page, small_run, tmp_path):
    import httpx

    secret = tmp_path / "secret.png"
    Image.new("RGB", (32, 32)).save(secret)
    paths = [secret, small_run / "config.json", Path(cli.__file__), Path("/etc/passwd")]
    for path in paths:
        for asked in (quote(str(path)), f"..{quote(str(path), safe='')}"):
            assert httpx.get(f"{page}gradio_api/file={asked}").status_code in (403, 404)
    # Nor as a picture of one's own, which would then be deleted with the session.
    data = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    asked = httpx.post(f"{page}gradio_api/call/read", json={"data": [data], "session_hash": "x"})
    event = asked.json()["event_id"]
    answer = httpx.get(f"{page}gradio_api/call/read/{event}", timeout=30).text
    assert "event: error" in answer
    assert secret.exists()


@pytest.mark.slow
def test_uploads_are_bounded_and_deleted_with_the_session(page, client, tmp_path):
    import httpx
    from gradio_client import handle_file

    large = {"files": ("large.png", b"0" * (MOST_BYTES + 1))}
    assert httpx.post(f"{page}gradio_api/upload", files=large).status_code == 413
    picture = tmp_path / "mine.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    one = client()
    path = httpx.post(f"{page}gradio_api/upload", files={"files": picture.open("rb")}).json()[0]
    assert Path(path).exists()
    uploaded = {"path": path, "orig_name": "mine.png", "meta": {"_type": "gradio.FileData"}}
    assert one.predict(uploaded, api_name="/read") == ""
    assert Path(path).exists()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert one.predict(handle_file(bad), api_name="/read").startswith("**bad.png: not a picture")
    one.close()
    until(lambda: not Path(path).exists(), "deletion")


@pytest.mark.slow
def test_it_listens_on_this_machine_only_and_ends_quietly(small_run, tmp_path):
    pytest.importorskip("gradio")
    process = start("--mode=demo", f"--workdir={small_run}", TMPDIR=str(tmp_path))
    try:
        address = process.stdout.readline().split()[0]
        time.sleep(1)  # it compiles
        sockets = psutil.Process(process.pid).net_connections()
        listening = [one.laddr for one in sockets if one.status == psutil.CONN_LISTEN]
        assert [one.ip for one in listening] == ["127.0.0.1"]
        assert address == f"http://127.0.0.1:{listening[0].port}/"
        assert not [one for one in sockets if one.raddr and one.raddr.ip != "127.0.0.1"]
        assert list(tmp_path.glob("cnn_jax-demo-*"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == ""
        assert not list(tmp_path.glob("cnn_jax-demo-*"))
    finally:
        process.kill()
