"""A stack of its own for a bench: servers on free ports in a temporary folder, a hospital, a clinician, patients."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carenet.client.care import connect
from carenet.client.parts import Options
from carenet.local.founding import AUTHORITY, found_network
from carenet.local.stack import Stack, StackPlan
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity, save_identity

NETWORK = "bench"
_HOSPITAL, _CLINICIAN = "hospital", "clinician"


@dataclass(frozen=True, slots=True)
class Stand:
    """What a bench works on.

    Attributes:
        directory: its folder, removed afterwards.
        stack: the running servers.
        clinician: may read and write every patient.
        patients: subject ids as text.
    """

    directory: Path
    stack: Stack
    clinician: Identity
    patients: tuple[str, ...]


@asynccontextmanager
async def stand(patients: int, workers: int = 1) -> AsyncIterator[Stand]:
    """Bring up a stand; leaving the block stops the servers and removes the folder.

    Args:
        patients: how many are registered, each readable and writable by the clinician.
        workers: fold workers.
    """
    with tempfile.TemporaryDirectory(prefix="carenet-bench-") as name:
        directory = Path(name)
        genesis = found_network(directory, NETWORK)
        async with Stack(StackPlan(directory, genesis, workers=workers)) as stack:
            authority = load_identity(directory / "keys" / f"{AUTHORITY}.key")
            hospital, clinician = (_create(directory, each, genesis.network_id) for each in (_HOSPITAL, _CLINICIAN))
            async with connect(stack.gateway, authority, stack.kafka) as care:
                await care.admit(hospital, ("registrar", "custodian"), may_give=("clinician",))
            async with connect(stack.gateway, hospital, stack.kafka, Options(patience_s=30)) as care:
                await care.admit(clinician, ("clinician",), organisation=hospital.id)
                registered = [await care.register_patient() for _ in range(patients)]
                for patient in registered:
                    await care.grant(patient, clinician.id, ("read", "write"))
            yield Stand(directory, stack, clinician, tuple(registered))


def _create(directory: Path, name: str, network: bytes) -> Identity:
    identity = create_identity(name, network, time.time_ns() // 1_000_000)
    save_identity(identity, directory / "keys" / f"{name}.key")
    return load_identity(directory / "keys" / f"{name}.key")
