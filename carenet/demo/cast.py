"""Who takes part: a hospital with two clinicians, a laboratory, a pharmacy, an emergency room; and what each may do.

| who | admitted by | roles | holds |
|---|---|---|---|
| hospital | authority | registrar, custodian (may give clinician) | every patient's epoch keys |
| dr-lee, dr-okafor | hospital | clinician | a grant of their own to read and write, with history |
| lab, pharmacy | authority | lab; pharmacy | nothing: they write by the patients' standing choice |
| er | authority | emergency | a grant to read, for patients on their way |

Everything here may be done again: keys, admissions, patients and grants that exist are left as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carenet.errors import SetupError
from carenet.local.founding import AUTHORITY
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity, save_identity

HOSPITAL = "hospital"
TEAM = ("dr-lee", "dr-okafor")
LAB, PHARMACY, EMERGENCY = "lab", "pharmacy", "er"
WATCHERS = (*TEAM, EMERGENCY)


@dataclass(frozen=True, slots=True)
class Role:
    """One of the cast.

    Attributes:
        name: of its key file, and what the network calls it.
        roles: what it may sign.
        admitted_by: the name of who admits it.
        may_give: roles that it may give to its own members.
        is_member: whether it belongs to who admits it.
    """

    name: str
    roles: tuple[str, ...]
    admitted_by: str = AUTHORITY
    may_give: tuple[str, ...] = ()
    is_member: bool = False


CAST = (
    Role(HOSPITAL, ("registrar", "custodian"), may_give=("clinician",)),
    *(Role(name, ("clinician",), admitted_by=HOSPITAL, is_member=True) for name in TEAM),
    Role(LAB, ("lab",)),
    Role(PHARMACY, ("pharmacy",)),
    Role(EMERGENCY, ("emergency",)),
)


class Nicknames(Protocol):
    """Where the folder keeps what its patients are called."""

    def read(self) -> Mapping[str, bytes]:
        """Subject ids by nickname."""

    def remember(self, nickname: str, subject: bytes) -> None:
        """Keep one."""


def gather_identities(directory: Path, network: bytes, passphrase: str | None) -> dict[str, Identity]:
    """The keys of the cast and of the authority, by name; made where they are missing.

    Raises:
        SetupError: a key is another network's.
        KeyFileError: a key file cannot be read or written.
    """
    now_ms = time.time_ns() // 1_000_000
    found: dict[str, Identity] = {}
    for name in (AUTHORITY, *(role.name for role in CAST)):
        path = directory / "keys" / f"{name}.key"
        if path.exists():
            identity = load_identity(path, passphrase)
        else:
            identity = save_identity(create_identity(name, network, now_ms), path, passphrase)
        if identity.network != network:
            raise SetupError(f"{path} is a key of another network: move it away, or name another folder with --dir")
        found[name] = identity
    return found


def missing_roles(identities: Mapping[str, Identity], admitted: Iterable[bytes]) -> list[Role]:
    """The roles that the network does not know yet, in the order in which they must be admitted."""
    known = set(admitted)
    return [role for role in CAST if identities[role.name].id not in known]
