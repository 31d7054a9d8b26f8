"""A stack of its own for a bench: servers on free ports in a temporary folder, a hospital, a clinician, patients."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carenet.client.bulk import run_windowed
from carenet.client.care import connect
from carenet.client.parts import Options
from carenet.local.founding import AUTHORITY, found_network
from carenet.local.stack import Stack, StackPlan
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity, save_identity

NETWORK = "bench"
HOSPITAL, CLINICIAN = "hospital", "clinician"
_WINDOW = 32  # patients that are registered side by side


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
            clinician, registered = await enrol(stack, patients)
            yield Stand(directory, stack, clinician, registered)


async def enrol(
    stack: Stack, patients: int, on_patient: Callable[[], None] = lambda: None
) -> tuple[Identity, tuple[str, ...]]:
    """Admit a hospital and its clinician, and register patients that the clinician may read and write.

    Args:
        stack: running, of a network that was founded in its folder.
        patients: how many.
        on_patient: told of each.

    Returns:
        The clinician, and the patients' ids as text.
    """
    keys, network = stack.directory / "keys", stack.plan.genesis.network_id
    authority = load_identity(keys / f"{AUTHORITY}.key")
    hospital, clinician = (_create(keys / f"{name}.key", network) for name in (HOSPITAL, CLINICIAN))
    async with connect(stack.gateway, authority, stack.kafka) as care:
        await care.admit(hospital, ("registrar", "custodian"), may_give=("clinician",))
    registered: list[str] = []
    async with connect(stack.gateway, hospital, stack.kafka, Options(patience_s=30)) as care:
        await care.admit(clinician, ("clinician",), organisation=hospital.id)

        async def register(_: int) -> None:
            patient = await care.register_patient()
            await care.grant(patient, clinician.id, ("read", "write"))
            registered.append(patient)
            on_patient()

        await run_windowed(range(patients), register, _WINDOW)
    return clinician, tuple(registered)


def _create(path: Path, network: bytes) -> Identity:
    identity = create_identity(path.stem, network, time.time_ns() // 1_000_000)
    save_identity(identity, path)
    return load_identity(path)
