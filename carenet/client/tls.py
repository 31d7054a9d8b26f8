"""TLS towards a gateway: whom we trust, our own certificate, and what a failed handshake means in words.

Without anything set, a `wss://` gateway is checked against the system's authorities, its name included; there is no
way to switch that off. TLS 1.3 only.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from carenet.errors import SetupError
from carenet.settings import Settings

# By a word of OpenSSL's reason, as the gateway's alert or our own check gives it.
_ADVICE = {
    "CERTIFICATE_REQUIRED": (
        "it wants a client certificate: set CARENET_TLS_CLIENT_CERTIFICATE and CARENET_TLS_CLIENT_KEY"
    ),
    "HANDSHAKE_FAILURE": "it wants a client certificate or another version of TLS",
    "ALERT_UNKNOWN_CA": "it does not trust our client certificate's authority: use one of the gateway's own",
    "CERTIFICATE_EXPIRED": "our client certificate has expired: renew CARENET_TLS_CLIENT_CERTIFICATE",
    "ALERT_BAD_CERTIFICATE": "it does not take our client certificate: renew CARENET_TLS_CLIENT_CERTIFICATE",
    "CERTIFICATE_UNKNOWN": "it does not take our client certificate: renew CARENET_TLS_CLIENT_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE": "our client certificate is not made for clients",
    "WRONG_VERSION_NUMBER": "it does not speak TLS there: dial ws:// if it is meant to",
    "RECORD_LAYER_FAILURE": "it does not speak TLS there: dial ws:// if it is meant to",
    "PROTOCOL_VERSION": "it does not speak TLS 1.3",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
}


@dataclass(frozen=True, slots=True)
class TlsTrust:
    """PEM files; nothing is read before `make_context`.

    Attributes:
        ca: authorities that a gateway's certificate may come from; None takes the system's.
        certificate: our client certificate, for a gateway that wants one.
        key: its private key.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def trust_of(settings: Settings) -> TlsTrust:
    """What the environment says."""
    return TlsTrust(settings.tls_ca, settings.tls_client_certificate, settings.tls_client_key)


def make_context(trust: TlsTrust) -> ssl.SSLContext:
    """The client's side of TLS.

    Raises:
        SetupError: a file cannot be read or is not what it should be; names the setting.
    """
    context = ssl.create_default_context()
    if trust.ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the files' authorities, and no others
        try:
            context.load_verify_locations(trust.ca)
        except OSError as exc:
            raise SetupError(f"CARENET_TLS_CA is a PEM file of certificates; {trust.ca} is not ({_why(exc)})") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if (trust.certificate is None) != (trust.key is None):
        raise SetupError("a client certificate needs both CARENET_TLS_CLIENT_CERTIFICATE and CARENET_TLS_CLIENT_KEY")
    if trust.certificate is not None:
        try:
            context.load_cert_chain(trust.certificate, trust.key, password=_refuse_passphrase)
        except (OSError, ValueError) as exc:
            raise SetupError(
                "CARENET_TLS_CLIENT_CERTIFICATE and CARENET_TLS_CLIENT_KEY are PEM files of a certificate and of its "
                f"own key, without a passphrase; {trust.certificate} and {trust.key} are not ({_why(exc)})"
            ) from exc
    return context


def find_failure(exc: BaseException | None) -> ssl.SSLError | None:
    """TLS's own error behind what a connection attempt raised."""
    seen = exc
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def explain(exc: ssl.SSLError) -> str:
    """What is wrong, and what to do."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"its certificate does not hold ({exc.verify_message.rstrip('.')}): set CARENET_TLS_CA to the authority "
            "that made it, and dial a name that it is for"
        )
    for word, advice in _ADVICE.items():
        if word in (getattr(exc, "reason", None) or ""):
            return advice
    return f"TLS fails ({getattr(exc, 'reason', None) or type(exc).__name__})"


def _refuse_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _why(exc: Exception) -> str:
    reason = getattr(exc, "reason", None)
    return reason or (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
