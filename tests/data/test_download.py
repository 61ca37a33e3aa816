"""Downloads are verified, tried again a few times with a line each, and leave nothing behind."""

from __future__ import annotations

import hashlib
import http.server

import numpy as np
import pytest
from web_server import AUTHORITY, serving

from cnn_jax.data import DataUnavailable
from cnn_jax.data.downloads import download
from cnn_jax.data.downloads.source import Original

CONTENT = np.random.default_rng(0).bytes(3 * download.BLOCK + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Files(http.server.BaseHTTPRequestHandler):
    """Answers each request by the next of `answers`: a status, or the bytes of CONTENT to send."""

    answers: list[int]
    ranges: list[str | None]
    knows_ranges = True

    def do_GET(self):
        self.ranges.append(self.headers.get("Range"))
        answer = self.answers.pop(0)
        if answer < 1000:
            return self.send_error(answer)
        start = 0
        if self.knows_ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:answer])


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody waits, and no proxy is asked."""
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def fetch(monkeypatch, tmp_path, capsys):
    """A function that downloads from a server with these answers, and returns lines and ranges."""

    def run(*answers, tls=False, sha256=SHA256):
        monkeypatch.setattr(Files, "answers", list(answers), raising=False)
        monkeypatch.setattr(Files, "ranges", [], raising=False)
        with serving(Files, tls) as port:
            url = f"http{'s' if tls else ''}://localhost:{port}/data.bin"
            path = download.download(Original(url, sha256), tmp_path)
        assert path.read_bytes() == CONTENT
        assert [found.name for found in tmp_path.iterdir()] == ["data.bin"]
        return capsys.readouterr().err.splitlines(), Files.ranges

    return run


ALL = len(CONTENT)


def test_downloaded_and_verified(fetch):
    assert fetch(ALL) == ([], [None])


def test_a_server_in_trouble_is_asked_three_times_with_a_line_each(fetch):
    lines, _ = fetch(503, 503, ALL)
    assert [line.partition("/data.bin: ")[2] for line in lines] == [
        "the server answers 503 Service Unavailable; trying again in 2 s (2 tries left).",
        "the server answers 503 Service Unavailable; trying again in 5 s (1 try left).",
    ]


@pytest.mark.parametrize(("knows", "ranges"), [(True, "bytes=2097152-"), (False, None)])
def test_a_connection_that_breaks_off_goes_on(knows, ranges, fetch, monkeypatch):
    monkeypatch.setattr(Files, "knows_ranges", knows)
    lines, asked = fetch(2 * download.BLOCK, ALL)
    assert asked[0] is None and asked[1].startswith("bytes=2") and (asked[1] == ranges or not knows)
    assert len(lines) == 1 and "trying again" in lines[0]


@pytest.mark.parametrize(
    ("answers", "sha256", "reason"),
    [
        ([503, 502, 504], SHA256, "data.bin: the server answers 504 Gateway Timeout$"),
        ([404], SHA256, "data.bin: the server answers 404 Not Found$"),
        ([ALL], "0" * 64, "sends another file than the original, whose SHA-256 is 000"),
        ([5000, 6000, 7000], SHA256, "data.bin: .*"),
    ],
)
def test_what_fails_leaves_nothing(answers, sha256, reason, fetch, tmp_path):
    with pytest.raises(DataUnavailable, match=reason) as caught:
        fetch(*answers, sha256=sha256)
    assert "\n" not in str(caught.value)
    assert Files.answers == [] and not list(tmp_path.iterdir())


def test_certificates(fetch, monkeypatch, tmp_path):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with pytest.raises(DataUnavailable, match=r"CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
        fetch(tls=True)
    assert not list(tmp_path.iterdir())
    with AUTHORITY.cert_pem.tempfile() as certificate:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
        assert fetch(ALL, tls=True)[0] == []
