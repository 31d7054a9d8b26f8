"""Several Kafka brokers on this machine, as in production: replicated, with accounts, access rules and quotas.

Everything is under `DIR/kafka-cluster` (0700): `cluster.json` (how many, and which cluster), `ports.json`, the brokers'
folders `1`, `2`, …, and `accounts`. Each broker is a service of its own for the supervisor; they are started side by
side, since none is ready before most of them are; `admit` comes after that.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from carenet.bus.security import KafkaLogin
from carenet.errors import SetupError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.kafka_accounts import ADMIN, CLUSTER_FOLDER, Accounts, keep_accounts
from carenet.local.kafka_properties import SAFE_BROKERS, Ports, Seat
from carenet.local.packages import Progress
from carenet.local.ports import choose_ports
from carenet.local.provisioning import give_rights
from carenet.statements.genesis import Genesis

_FILE = "cluster.json"
MAX_BROKERS = 9


def count_brokers(directory: Path) -> int | None:
    """How many brokers a state folder's Kafka has; None where it has none yet.

    Raises:
        SetupError: the file that says so cannot be read.
    """
    path = directory / CLUSTER_FOLDER / _FILE
    if path.exists():
        return _read(path)[0]
    return 1 if (directory / "kafka" / "data").exists() else None


class KafkaCluster:
    """The brokers of a state folder.

    Args:
        directory: the state folder.
        count: how many; 3 to 9.
        cache: folder of the jars; None takes the one of the settings.
        progress: told of jars that are fetched.

    Attributes:
        brokers: to be started side by side.
        accounts: who may log in.

    Raises:
        SetupError: fewer brokers than can lose one, or another number than the folder has.
    """

    def __init__(
        self, directory: Path, count: int, *, cache: Path | None = None, progress: Progress | None = None
    ) -> None:
        if not SAFE_BROKERS <= count <= MAX_BROKERS:
            raise SetupError(f"several brokers are {SAFE_BROKERS} to {MAX_BROKERS}: of fewer, none may die")
        check_count(directory, count)
        self.accounts: Accounts = keep_accounts(directory)
        folder = directory / CLUSTER_FOLDER
        cluster = _keep(folder / _FILE, count)
        names = [f"{kind}-{number}" for number in range(1, count + 1) for kind in ("broker", "controller")]
        chosen = list(choose_ports(folder / "ports.json", dict.fromkeys(names, 0)).values())
        ports = tuple(Ports(*pair) for pair in zip(chosen[::2], chosen[1::2], strict=True))
        self.bootstrap = ",".join(f"127.0.0.1:{each.broker}" for each in ports)
        self.brokers = [
            EmbeddedKafka(directory, seat=Seat(number, ports, cluster, self.accounts), cache=cache, progress=progress)
            for number in range(1, count + 1)
        ]

    def __repr__(self) -> str:
        return f"<KafkaCluster {self.bootstrap}>"

    def login(self, name: str) -> KafkaLogin:
        """The login of one of the accounts."""
        return self.accounts.login(self.bootstrap, name)

    async def admit(self, genesis: Genesis, node_name: str) -> None:
        """Say what the accounts may do, and how much.

        Raises:
            SetupError: the brokers refuse.
            TransportError: they do not answer.
        """
        await give_rights(self.login(ADMIN), genesis, node_name)


def check_count(directory: Path, count: int) -> None:
    """Refuse another number of brokers than the folder's history is kept by.

    Raises:
        SetupError: they differ.
    """
    held = count_brokers(directory)
    if held not in (None, count):
        raise SetupError(
            f"the history in {directory} is kept by {held} broker{'s' if held != 1 else ''}: "
            f"run it with --brokers {held}, or name another folder with --dir"
        )


def _keep(path: Path, count: int) -> uuid.UUID:
    try:
        if not path.exists():
            draft = path.with_name(f".{path.name}.new")
            draft.write_text(json.dumps({"brokers": count, "cluster": str(uuid.uuid4())}), encoding="ascii")
            draft.replace(path)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc
    return _read(path)[1]


def _read(path: Path) -> tuple[int, uuid.UUID]:
    try:
        held = json.loads(path.read_text(encoding="ascii"))
        return int(held["brokers"]), uuid.UUID(held["cluster"])
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise SetupError(f"{path} cannot be read ({type(exc).__name__}): restore it, or name another folder") from exc
