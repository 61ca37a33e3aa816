"""The probe answers within its limit and leaves no connection behind."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time

import pytest

from cnn_jax.data.server_probe import why_unreachable


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
            with connection:
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


def test_through_a_proxy(monkeypatch):
    with listening(b"HTTP/1.1 200 Connection established\r\n\r\n") as (port, heard, thread):
        monkeypatch.setenv("https_proxy", f"http://me:a%20b@127.0.0.1:{port}")
        assert why_unreachable("https://example.invalid/file") == ""
        thread.join(5)
    assert heard[0].startswith(b"CONNECT example.invalid:443 HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"me:a b") in heard[0]
    assert heard[-1] == b"closed"


def test_a_proxy_that_refuses(monkeypatch):
    with listening(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (port, _, _):
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        assert "403 Forbidden" in why_unreachable("https://example.invalid/file")
