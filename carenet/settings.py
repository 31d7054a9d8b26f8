"""The one settings object: what the environment (`CARENET_…`) may say, with its defaults.

Any room from `bus` on may import it; the pure rooms are told by argument. What is not set here and is given on
the command line wins over the environment: the CLI builds `Settings` with what the flags said.
Nothing is read from files, and nothing here opens a connection.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PostgresDsn, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def default_cache() -> Path:
    """Where downloads that every state folder shares are kept (the XDG base directory rule)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "carenet"


class Settings(BaseSettings):
    """What a process of carenet is told from outside.

    Args:
        dir: the folder that holds keys, genesis, run.json, and the data of servers that carenet runs itself.
        cache: the folder for Kafka's jars, shared by all state folders of this user.
        kafka: `host:port` (several separated by commas) of a Kafka that is already there; None runs one.
        kafka_username: name by which this process logs in to Kafka (SCRAM-SHA-512); with `kafka_password`.
        kafka_password: its password there.
        kafka_ca: PEM file of the authority of Kafka's certificates; turns TLS on.
        kafka_certificate: PEM file of this process's certificate for Kafka (mTLS); with `kafka_key` and `kafka_ca`.
        kafka_key: PEM file of that certificate's key.
        postgres: DSN of a PostgreSQL that is already there; None runs one.
        passphrase: encrypts key files at rest; None leaves them to the file mode.
        roles: which parts of the stream processors this process runs.
        entries_topic: whether fold workers hand their entries on to the node's own topic, for its stream processors.
        node: this node's name, part of its topic names and consumer groups.
        gateway_host: address that the gateway binds.
        gateway_port: port that the gateway binds; 0 takes a free one.
        gateway_shares_port: lets several gateways of this user bind the same port, so that a node has one address.
        gateway_origin: the gateway's address as clients dial it, where that is not what it binds (a proxy, a name).
        gateway_sessions: connections that a gateway process takes, of all participants together.
        gateway_sessions_each: of one participant.
        gateway_greeting: of those that have not signed in yet.
        gateway_publish_rate: statements a second that one participant may publish through a gateway process.
        gateway_publish_burst: of them, at once after a pause.
        gateway_max_wait_s: a node that is further behind than this, in seconds, takes no care data for the moment.
        tls_certificate: PEM file of the gateway's certificate; with `tls_key`, it then serves wss:// only.
        tls_key: PEM file of that certificate's key.
        tls_client_ca: PEM file of the authority of clients' certificates, which every client must then have.
        tls_ca: PEM file of the authority that a client trusts for gateways; None trusts the system's.
        tls_client_certificate: PEM file of this client's certificate; with `tls_client_key`.
        tls_client_key: PEM file of that certificate's key.
        metrics_host: address on which a fold worker or the agents serve `/metrics` and `/health`.
        metrics_port: port for that; 0 takes a free one, None serves nothing. (A gateway has them on its own port
            too; of several that share one, each needs this.)
        log_level: least level that is logged.

    Raises:
        pydantic.ValidationError: a variable holds something else than its type allows.
    """

    # A DSN that does not parse has a password too: errors name the field and the rule, not what was given.
    model_config = SettingsConfigDict(env_prefix="CARENET_", frozen=True, extra="ignore", hide_input_in_errors=True)

    dir: Path = Path(".carenet")
    cache: Path = Field(default_factory=default_cache)
    kafka: str | None = Field(default=None, pattern=r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$")
    kafka_username: str | None = Field(default=None, min_length=1)
    kafka_password: SecretStr | None = None
    kafka_ca: Path | None = None
    kafka_certificate: Path | None = None
    kafka_key: Path | None = None
    postgres: PostgresDsn | None = Field(default=None, repr=False)  # has a password in it
    passphrase: SecretStr | None = None
    roles: Annotated[tuple[str, ...], NoDecode] = ("timeline",)
    entries_topic: bool = True
    node: str = Field(default="node", pattern=r"^[a-z0-9._-]{1,64}$")
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=0, ge=0, le=65535)
    gateway_shares_port: bool = False
    gateway_origin: str | None = Field(default=None, pattern=r"^wss?://[^/\s]+:\d{1,5}$")
    gateway_sessions: int = Field(default=10_000, ge=1)
    gateway_sessions_each: int = Field(default=1_000, ge=1)
    gateway_greeting: int = Field(default=1_000, ge=1)
    gateway_publish_rate: float = Field(default=2_000, gt=0)
    gateway_publish_burst: float = Field(default=4_000, ge=1)
    gateway_max_wait_s: float = Field(default=2.0, gt=0)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_ca: Path | None = None
    tls_client_certificate: Path | None = None
    tls_client_key: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        """A comma list, as an environment variable can only hold text."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value
