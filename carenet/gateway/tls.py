"""TLS in front of the gateway: the context made from three files, and what is said of handshakes that fail.

TLS 1.3 only: both ends are ours. A handshake that fails never becomes a connection, so nobody else would hear of it:
`TlsObject` counts it and logs why, in a line every few seconds at most, since whoever can dial can cause it.

Not done here: who the participant is. A client certificate only opens the door; the challenge is answered all the same.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from carenet.errors import SetupError

_LOG_EVERY_S = 5.0
_LOG = structlog.get_logger(__name__)

_PLAIN = "tls_plain"

Tell = Callable[[str], None]

# By a word of OpenSSL's reason: our code, and what whoever runs the gateway can do about it.
_FAULTS = {
    "DID_NOT_RETURN_A_CERTIFICATE": ("tls_no_client_certificate", "the client must set CARENET_TLS_CLIENT_CERTIFICATE"),
    "CERTIFICATE_VERIFY_FAILED": ("tls_client_certificate", "it must be valid and come from CARENET_TLS_CLIENT_CA"),
    "HTTP_REQUEST": (_PLAIN, "the client must dial wss:// (or https://)"),
    "UNSUPPORTED_PROTOCOL": ("tls_version", "the client must speak TLS 1.3"),
    "UNKNOWN_CA": ("tls_not_trusted", "the client must trust our certificate's authority: CARENET_TLS_CA"),
    "CERTIFICATE_UNKNOWN": ("tls_not_trusted", "the client does not take our certificate: look at its names"),
    "BAD_CERTIFICATE": ("tls_not_trusted", "the client does not take our certificate: look at its names"),
    "CERTIFICATE_EXPIRED": ("tls_not_trusted", "our certificate has expired: renew CARENET_TLS_CERTIFICATE"),
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files; nothing is read before `make_context`.

    Attributes:
        certificate: the gateway's, with what leads to its authority.
        key: its private key, without a passphrase.
        client_ca: the authority of clients' certificates, which every client must then have; None asks for none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


def read_files(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    """What the settings say; None for no TLS.

    Raises:
        SetupError: a certificate without its key, or the like.
    """
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise SetupError("TLS needs both CARENET_TLS_CERTIFICATE and CARENET_TLS_KEY: set the other one too")
    return TlsFiles(certificate, key, client_ca)


def make_context(files: TlsFiles, tell: Tell) -> ssl.SSLContext:
    """The server's side of TLS.

    Args:
        files: see `TlsFiles`.
        tell: told the code of each handshake that fails.

    Raises:
        SetupError: a file cannot be read or is not what it should be; names the setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_passphrase)
    except (OSError, ValueError) as exc:
        raise SetupError(
            "CARENET_TLS_CERTIFICATE and CARENET_TLS_KEY are PEM files of a certificate and of its own key, without a "
            f"passphrase; {files.certificate} and {files.key} are not ({_why(exc)})"
        ) from exc
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as exc:
            raise SetupError(
                f"CARENET_TLS_CLIENT_CA is a PEM file of certificates; {files.client_ca} is not ({_why(exc)})"
            ) from exc
        context.verify_mode = ssl.CERT_REQUIRED
    context.sslobject_class = _observed(tell)
    return context


def _refuse_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _why(exc: Exception) -> str:
    reason = getattr(exc, "reason", None)
    return reason or (exc.strerror if isinstance(exc, OSError) else None) or str(exc)


def _observed(tell: Tell) -> type[ssl.SSLObject]:
    """A kind of TLS connection that says why its handshake failed; the event loop would not."""
    last_s = -_LOG_EVERY_S

    class TlsObject(ssl.SSLObject):
        fault: ssl.SSLError | None = None

        def do_handshake(self) -> None:
            if self.fault is not None:
                raise self.fault
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise  # not done yet, or the client has gone
            except ssl.SSLError as exc:
                nonlocal last_s
                self.fault = exc
                code, advice = explain(exc)
                tell(code)
                if time.monotonic() - last_s >= _LOG_EVERY_S:
                    last_s = time.monotonic()
                    _LOG.warning(
                        "a TLS handshake failed", reason=code, advice=advice, openssl=getattr(exc, "reason", None)
                    )
                if code == _PLAIN:
                    raise  # who speaks no TLS waits for an answer that it can read: rather none at all
                # The event loop would cut the connection without sending OpenSSL's alert, which tells the client why.
                # Said to want more, it sends what there is, and then waits for the client to go, for a while.
                raise ssl.SSLWantReadError from exc

    return TlsObject


def explain(exc: ssl.SSLError) -> tuple[str, str]:
    """Our code for a failed handshake, and what to do about it."""
    detail = f" ({exc.verify_message})" if isinstance(exc, ssl.SSLCertVerificationError) else ""
    for word, (code, advice) in _FAULTS.items():
        if word in (getattr(exc, "reason", None) or ""):
            return code, advice + detail
    return "tls_other", "the peer does not speak TLS as we do"
