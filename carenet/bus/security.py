"""Where Kafka is, and how a client proves to it who it is.

Everything that talks to Kafka takes a `KafkaAt`: a plain `host:port` for a Kafka that asks for no proof, or a
`KafkaLogin`, which says one of

| given | protocol | proof |
|---|---|---|
| nothing | PLAINTEXT | none |
| username, password | SASL_PLAINTEXT | SCRAM-SHA-512; the connection itself is open to who sits on the wire |
| username, password, ca | SASL_SSL | SCRAM-SHA-512 inside TLS, the broker proven by a certificate of this authority |
| ca | SSL | none, inside TLS |
| ca, certificate, key | SSL (SASL_SSL with a username) | a client certificate (mTLS) |

Not done here: what somebody may do once it is known who it is (`acls`), and how much (`quotas`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiokafka.client import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from carenet.errors import SetupError
from carenet.settings import Settings

MECHANISM = "SCRAM-SHA-512"
LOGIN_VARIABLES = (
    "CARENET_KAFKA",
    "CARENET_KAFKA_USERNAME",
    "CARENET_KAFKA_PASSWORD",
    "CARENET_KAFKA_CA",
    "CARENET_KAFKA_CERTIFICATE",
    "CARENET_KAFKA_KEY",
)
_ASK_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class KafkaLogin:
    """Where Kafka is, and who the client is there.

    Args:
        bootstrap: `host:port`, several separated by commas.
        username: name for SCRAM-SHA-512; with `password`, or not at all.
        password: goes with `username`.
        ca: PEM file of the authority that the brokers' certificates must come from; turns TLS on.
        certificate: PEM file of the client's certificate; with `key` and `ca`, or not at all.
        key: PEM file of the client's key.

    Raises:
        SetupError: one of a pair is missing.
    """

    bootstrap: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise SetupError("Kafka's login takes a user name and a password, or neither")
        if (self.certificate is None) != (self.key is None):
            raise SetupError("Kafka's login takes a certificate and its key, or neither")
        if self.certificate is not None and self.ca is None:
            raise SetupError("a client certificate for Kafka needs the brokers' authority (ca) too")

    def __str__(self) -> str:
        """The address alone, for messages."""
        return self.bootstrap

    @property
    def protocol(self) -> str:
        """Kafka's name for it: PLAINTEXT, SASL_PLAINTEXT, SSL or SASL_SSL."""
        wire = "PLAINTEXT" if self.ca is None else "SSL"
        return wire if self.username is None else f"SASL_{wire}"

    def make_ssl_context(self) -> ssl.SSLContext | None:
        """TLS as the files say; None without TLS.

        Raises:
            SetupError: a file is missing or is no PEM of that kind; names which.
        """
        if self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as exc:
            raise SetupError(f"{self.ca} is no PEM file of a certificate authority: {_why(exc)}") from exc
        if self.certificate is not None and self.key is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as exc:
                raise SetupError(f"{self.certificate} and {self.key} are no PEM pair: {_why(exc)}") from exc
        return context


KafkaAt: TypeAlias = KafkaLogin | str
"""A Kafka that one must log in to, or just its `host:port`."""


def login_of(settings: Settings) -> KafkaLogin | None:
    """What the settings say about Kafka; None where they name none.

    Raises:
        SetupError: one of a pair is missing.
    """
    if settings.kafka is None:
        return None
    password = settings.kafka_password
    return KafkaLogin(
        settings.kafka,
        settings.kafka_username,
        None if password is None else password.get_secret_value(),
        settings.kafka_ca,
        settings.kafka_certificate,
        settings.kafka_key,
    )


def environment_of(at: KafkaAt) -> dict[str, str]:
    """The variables that tell a process of ours the same (`login_of` its settings); has the password in it."""
    if isinstance(at, str):
        return {LOGIN_VARIABLES[0]: at}
    values = (at.bootstrap, at.username, at.password, at.ca, at.certificate, at.key)
    return {name: str(value) for name, value in zip(LOGIN_VARIABLES, values, strict=True) if value is not None}


def bootstrap_of(at: KafkaAt) -> str:
    """`host:port`, several separated by commas."""
    return at if isinstance(at, str) else at.bootstrap


def client_options(at: KafkaAt) -> dict[str, Any]:
    """The arguments by which any client of aiokafka's connects.

    Raises:
        SetupError: a certificate's file is missing or is none.
    """
    if isinstance(at, str):
        return {"bootstrap_servers": at}
    options: dict[str, Any] = {"bootstrap_servers": at.bootstrap, "security_protocol": at.protocol}
    if at.ca is not None:
        options["ssl_context"] = at.make_ssl_context()
    if at.username is not None:
        options |= {
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": at.username,
            "sasl_plain_password": at.password,
        }
    return options


async def open_client(at: KafkaAt, connecting: Coroutine[Any, Any, None]) -> None:
    """Await a client's first connection, and tell a refused login from a Kafka that is away.

    aiokafka says "unable to bootstrap" to both, so after that one is asked again by a connection of our own.

    Args:
        at: where and who.
        connecting: the client's `start` or `bootstrap`.

    Raises:
        SetupError: Kafka does not take this user, or its password.
        KafkaConnectionError: as aiokafka says.
    """
    try:
        await connecting
    except KafkaConnectionError as exc:
        if isinstance(at, KafkaLogin):
            await _check_login(at)
        if await _is_something_there(bootstrap_of(at)):
            raise KafkaConnectionError(
                "something listens there and does not answer: it may still be starting, want a login "
                f"({LOGIN_VARIABLES[1]}) or TLS ({LOGIN_VARIABLES[3]}), or not take our certificate"
            ) from exc
        raise


async def _check_login(at: KafkaLogin) -> None:
    options = client_options(at)
    for address in options.pop("bootstrap_servers").split(","):
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                connection = await create_conn(host, int(port), **options)
        except SaslAuthenticationFailed as exc:
            raise SetupError(
                f"Kafka at {at} does not take the user {at.username} with this password: look at "
                f"{LOGIN_VARIABLES[1]} and {LOGIN_VARIABLES[2]}"
            ) from exc
        except (UnsupportedSaslMechanismError, IllegalSaslStateError) as exc:
            raise SetupError(f"Kafka at {at} takes no user names with {MECHANISM}, by which carenet logs in") from exc
        except ssl.SSLCertVerificationError as exc:
            raise SetupError(
                f"Kafka at {at} has a certificate that {at.ca} does not vouch for ({exc.verify_message}): look at "
                f"{LOGIN_VARIABLES[3]}"
            ) from exc
        except ssl.SSLError as exc:
            raise SetupError(f"Kafka at {at} and we do not agree on TLS ({exc.reason or type(exc).__name__})") from exc
        except Exception:  # noqa: BLE001, S112 - this broker is away: what the client met is what counts
            continue
        connection.close()
        return


async def _is_something_there(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return True
    return False


def _why(exc: OSError | ssl.SSLError) -> str:
    return exc.strerror or type(exc).__name__
