"""The certificates that are trusted when data is downloaded."""

from __future__ import annotations

import contextlib
import os
import ssl

# What to do about a certificate that is not trusted, such as that of a company's proxy.
ADVICE = (
    "if your network's proxy has a certificate of its own, name its file by SSL_CERT_FILE or "
    "REQUESTS_CA_BUNDLE"
)


def context() -> ssl.SSLContext:
    """The system's trusted certificates and those of `$SSL_CERT_FILE` and `$REQUESTS_CA_BUNDLE`.

    Those of `certifi` are added where Python has loaded none of the system's, as on macOS.

    Raises:
      OSError: A variable names a file that can't be read, or that is no certificate.
    """
    trusted = ssl.create_default_context()
    if not trusted.cert_store_stats()["x509_ca"] and "SSL_CERT_FILE" not in os.environ:
        with contextlib.suppress(ImportError):
            import certifi  # a dependency of requests, and so of tensorflow-datasets

            trusted.load_verify_locations(certifi.where())
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if path := os.environ.get(variable):
            try:
                place = {"capath": path} if os.path.isdir(path) else {"cafile": path}
                trusted.load_verify_locations(**place)
            except OSError as error:
                reason = error.strerror or error
                raise OSError(f"{variable}={path} cannot be used ({reason})") from error
    return trusted


def is_untrusted(error: BaseException) -> bool:
    """Whether a connection failed since a certificate is not trusted."""
    return isinstance(error, ssl.SSLCertVerificationError)
