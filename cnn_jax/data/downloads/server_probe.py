"""Tests within seconds whether a server can be reached."""

import base64
import queue
import socket
import threading
import time
import urllib.parse
import urllib.request

from cnn_jax.data.downloads import certificates


def why_unreachable(url: str, limit: float = 3.0) -> str:
    """Tests a connection to the server of a URL, through the proxy of the environment if any.

    With https it makes the TLS handshake, so that a certificate that is not trusted is found here.
    Sends no request to the server, and closes the connection before it returns.

    Args:
      url: Any URL of the server.
      limit: Time limit in seconds.

    Returns:
      The reason why the connection failed; "" if it succeeded.
    """
    deadline = time.monotonic() + limit
    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
    proxy = None
    if not urllib.request.proxy_bypass(host):
        proxy = urllib.request.getproxies().get(parts.scheme)
    try:
        if proxy is None:
            connection = _connect(host, port, deadline)
        else:
            via = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            connection = _connect(via.hostname or "", via.port or 80, deadline)
        with connection:
            if parts.scheme == "https":
                if proxy is not None:
                    _ask_proxy(connection, via, f"{host}:{port}", deadline)
                connection.settimeout(_left(deadline))
                certificates.context().wrap_socket(connection, server_hostname=host).close()
    except OSError as error:  # first: an untrusted certificate is a ValueError too
        advice = f"; {certificates.ADVICE}" if certificates.is_untrusted(error) else ""
        return f"no connection to {host}: {error}{advice}"
    except ValueError as error:
        return f"the proxy {proxy!r} of the environment can't be understood: {error}"
    return ""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Opens a connection to the first address that answers."""
    addresses = _look_up(host, port, deadline)
    error: OSError = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as failure:  # such as IPv6 on a host without it
            error = failure
            continue
        try:
            connection.settimeout(_left(deadline) / (len(addresses) - number))
            connection.connect(address)
            return connection
        except OSError as failure:
            connection.close()
            error = failure
    raise error


def _look_up(host: str, port: int, deadline: float) -> list:
    """Calls `getaddrinfo` in a thread, since it has no time limit of its own."""
    answer: queue.Queue = queue.Queue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError("the host name could not be resolved in time") from None
    if isinstance(found, OSError):
        raise found
    return found


def _ask_proxy(
    connection: socket.socket, via: urllib.parse.SplitResult, target: str, deadline: float
) -> None:
    """Asks the proxy to connect to the target; raises OSError if it refuses."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if via.username is not None:
        name = f"{urllib.parse.unquote(via.username)}:{urllib.parse.unquote(via.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(name.encode()).decode()}")
    connection.settimeout(_left(deadline))
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = connection.recv(256).split(b"\r\n")[0].decode("latin-1")
    if " 200" not in answer:
        raise ConnectionError(f"the proxy answers {answer!r}")
