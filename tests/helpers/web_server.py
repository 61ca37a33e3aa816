"""Servers on the loopback interface, with and without TLS, and a proxy."""

from __future__ import annotations

import contextlib
import http.server
import select
import socket
import ssl
import threading

import trustme

# An authority that nobody trusts yet.
AUTHORITY = trustme.CA()


@contextlib.contextmanager
def serving(handler, tls=False):
    """Serves HTTP with a handler class; gives the port."""

    class Quiet(handler):
        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):  # a client that goes away is part of the test
            pass

    with Server(("127.0.0.1", 0), Quiet) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            AUTHORITY.issue_cert("localhost").configure_cert(context)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy that connects any name to the same port of the loopback interface."""

    asked: list[str]
    credentials: list[str | None]

    def do_CONNECT(self):
        self.asked.append(self.path)
        self.credentials.append(self.headers.get("Proxy-Authorization"))
        port = int(self.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.send_response(200)
            self.end_headers()
            here = self.connection
            while True:
                for ready in select.select([here, there], [], [])[0]:
                    content = ready.recv(65536)
                    if not content:
                        return
                    (there if ready is here else here).sendall(content)
