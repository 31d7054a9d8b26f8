# ruff: noqa: INP001 - a script that stands alone
"""Prints an `.env` for docker-compose.yml with fresh secrets: `umask 077; python3 infra/new_env.py > .env`.

Run once: what Kafka and PostgreSQL keep was made with these, and the passphrase opens the node's keys.
"""

from __future__ import annotations

import base64
import secrets
import uuid

SECRETS = (
    "CARENET_PASSPHRASE",
    "POSTGRES_PASSWORD",
    "KAFKA_ADMIN_PASSWORD",
    "KAFKA_NODE_PASSWORD",
    "KAFKA_PARTICIPANT_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
)


def lines() -> list[str]:
    """The lines of the file."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
    return [f"KAFKA_CLUSTER_ID={cluster}", *[f"{name}={secrets.token_hex(24)}" for name in SECRETS]]


if __name__ == "__main__":
    print(*lines(), sep="\n")  # noqa: T201 - it is what this script is for
