"""The probe answers within its limit and leaves no connection behind."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import threading
import time

import pytest
from web_server import AUTHORITY, Proxy, serving

from cnn_jax.data.downloads.server_probe import why_unreachable


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def listening(answer: bytes | None = None):
    """A server on the loopback interface: gives its port and what it heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                if answer is not None:
                    heard.append(connection.recv(4096))
                    connection.sendall(answer)
                while rest := connection.recv(4096):
                    heard.append(rest)
                heard.append(b"closed")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard, thread


def test_row_16_reachable_and_closed_without_a_word():
    with listening() as (port, heard, thread):
        assert why_unreachable(f"http://127.0.0.1:{port}/file") == ""
        thread.join(5)
        assert heard == [b"closed"]


def test_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    reason = why_unreachable(f"https://127.0.0.1:{port}/file")
    assert reason.startswith("no connection to 127.0.0.1: ")


def test_row_16_a_look_up_that_hangs_is_given_up(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30))
    start = time.monotonic()
    reason = why_unreachable("https://example.invalid/file", limit=0.2)
    release.set()
    assert "could not be resolved in time" in reason
    assert time.monotonic() - start < 20


def test_row_16_a_server_that_does_not_answer_is_given_up(monkeypatch):
    made = []

    class Deaf(socket.socket):
        def connect(self, address):
            made.append(self)
            assert self.gettimeout() <= 0.2
            raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "socket", Deaf)
    assert "timed out" in why_unreachable("https://127.0.0.1:9/file", limit=0.2)
    assert [connection.fileno() for connection in made] == [-1]


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that is not to be asked for anything."""

    def do_GET(self):
        raise AssertionError("the probe sent a request")


def test_a_certificate_that_is_not_trusted(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with serving(Answers, tls=True) as port, AUTHORITY.cert_pem.tempfile() as certificate:
        url = f"https://localhost:{port}/file"
        reason = why_unreachable(url)
        assert "CERTIFICATE_VERIFY_FAILED" in reason and "\n" not in reason
        assert "SSL_CERT_FILE" in reason and "REQUESTS_CA_BUNDLE" in reason
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as context:
                context.setenv(variable, certificate)
                assert why_unreachable(url) == ""
                context.setenv(variable, "/nowhere.pem")
                assert f"{variable}=/nowhere.pem cannot be used" in why_unreachable(url)


def test_a_server_that_speaks_no_tls(monkeypatch):
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _, _):
        assert "no connection to 127.0.0.1" in why_unreachable(f"https://127.0.0.1:{port}/file")


def test_through_a_proxy(monkeypatch):
    monkeypatch.setattr(Proxy, "asked", [], raising=False)
    monkeypatch.setattr(Proxy, "credentials", [], raising=False)
    with (
        serving(Answers, tls=True) as port,
        serving(Proxy) as proxy,
        AUTHORITY.cert_pem.tempfile() as certificate,
    ):
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        monkeypatch.setenv("https_proxy", f"http://me:a%20b@127.0.0.1:{proxy}")
        assert why_unreachable(f"https://localhost:{port}/file") == ""
        assert Proxy.asked == [f"localhost:{port}"]
        assert Proxy.credentials == ["Basic " + base64.b64encode(b"me:a b").decode()]
        # A name that the certificate does not have.
        assert "CERTIFICATE_VERIFY_FAILED" in why_unreachable(
            f"https://example.invalid:{port}/file"
        )


def test_without_tls_a_proxy_is_not_asked_to_connect(monkeypatch):
    with listening() as (port, heard, thread):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert why_unreachable("http://example.invalid/file") == ""
        thread.join(5)
    assert heard == [b"closed"]


def test_a_proxy_that_refuses(monkeypatch):
    with listening(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (port, _, _):
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        assert "403 Forbidden" in why_unreachable("https://example.invalid/file")


def test_a_proxy_that_cannot_be_understood(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy:abc")
    assert "the proxy 'http://proxy:abc' of the environment" in why_unreachable(
        "https://a.invalid/"
    )
