"""The accounts of brokers of ours: made once in a state folder, one password file each, readable by its owner alone.

`DIR/kafka-cluster/accounts/<name>.password`: `admin` makes topics, accounts and access rules; `node` is what the node's
own processes log in as; `participant` is handed to whoever publishes straight to Kafka. Each may be given away alone.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from carenet.bus.security import KafkaLogin
from carenet.errors import SetupError

ADMIN, NODE, PARTICIPANT = "admin", "node", "participant"
CLUSTER_FOLDER = "kafka-cluster"
_FOLDER = "accounts"
_SUFFIX = ".password"
_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class Accounts:
    """The passwords of the three.

    Attributes:
        admin: of the super user.
        node: of the node's processes.
        participant: of everyone who publishes.
    """

    admin: str = field(repr=False)
    node: str = field(repr=False)
    participant: str = field(repr=False)

    def by_name(self) -> dict[str, str]:
        """The passwords by account."""
        return {ADMIN: self.admin, NODE: self.node, PARTICIPANT: self.participant}

    def login(self, bootstrap: str, name: str) -> KafkaLogin:
        """The login of one of them.

        Args:
            bootstrap: where the brokers are.
            name: `admin`, `node` or `participant`.
        """
        return KafkaLogin(bootstrap, name, self.by_name()[name])


def keep_accounts(directory: Path) -> Accounts:
    """The accounts of a state folder, made where they are missing.

    Raises:
        SetupError: the folder cannot be read or written.
    """
    folder = directory / CLUSTER_FOLDER / _FOLDER
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return Accounts(*[_keep(password_path(directory, name)) for name in (ADMIN, NODE, PARTICIPANT)])
    except OSError as exc:
        raise SetupError(f"{folder} cannot be used: {exc.strerror}") from exc


def password_path(directory: Path, name: str) -> Path:
    """Where the password of an account is kept."""
    return directory / CLUSTER_FOLDER / _FOLDER / f"{name}{_SUFFIX}"


def read_login(directory: Path, bootstrap: str, name: str) -> KafkaLogin:
    """The login of one account, as its file says.

    Args:
        directory: the state folder.
        bootstrap: where the brokers are.
        name: `admin`, `node` or `participant`.

    Raises:
        SetupError: there is no such file, or it cannot be read.
    """
    path = password_path(directory, name)
    try:
        return KafkaLogin(bootstrap, name, path.read_text(encoding="ascii").strip())
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc


def _keep(path: Path) -> str:
    if not path.exists():
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_SECRET_BYTES))
        draft.replace(path)
    return path.read_text(encoding="ascii").strip()
