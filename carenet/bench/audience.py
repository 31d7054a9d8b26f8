"""An audience for a bench: clinicians of the hospital, each a participant with keys of its own, who watch patients.

All of them may read the first patient; of the others, each has five readers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from carenet.bench.stand import HOSPITAL, Stand
from carenet.client.bulk import run_windowed
from carenet.client.care import Care, connect
from carenet.client.parts import Options
from carenet.client.updates import CaughtUp
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.keyfile import load_identity, save_identity

PER_PATIENT = 5

_WINDOW = 16  # admissions, and patients, side by side


@dataclass(frozen=True, slots=True)
class Watcher:
    """One who watches.

    Attributes:
        key: its key file.
        group: of which five it is one; their patient is that of `patients[1 + group]`.
    """

    key: Path
    group: int


def patients_for(watchers: int) -> int:
    """How many patients a stand needs for so many watchers."""
    return 1 + -(-watchers // PER_PATIENT)


async def gather_audience(bench: Stand, watchers: int) -> list[Watcher]:
    """Admit watchers and let them read.

    Args:
        bench: with `patients_for(watchers)` patients.
        watchers: how many.

    Raises:
        CarenetError: the network did not let them in.
    """
    keys = bench.directory / "keys"
    hospital = load_identity(keys / f"{HOSPITAL}.key")
    network = bench.stack.plan.genesis.network_id
    members = [_create(keys / f"watcher-{number}.key", network) for number in range(watchers)]
    async with connect(bench.stack.gateway, hospital, bench.stack.kafka, Options(patience_s=60)) as care:

        async def admit(member: Identity) -> None:
            await care.admit(member, ("clinician",), organisation=hospital.id)

        async def give(patient: tuple[str, list[Identity]]) -> None:
            for reader in patient[1]:  # one after the other: each is built on the grants before it
                await care.grant(patient[0], reader.id)

        await run_windowed(members, admit, _WINDOW)
        groups = [members[at : at + PER_PATIENT] for at in range(0, watchers, PER_PATIENT)]
        await run_windowed(zip(bench.patients, [members, *groups], strict=False), give, _WINDOW)
    return [Watcher(keys / f"{each.name}.key", number // PER_PATIENT) for number, each in enumerate(members)]


async def fetch_heads(care: Care, patient: str) -> dict[str, int]:
    """How many entries each partition has now, as a cursor says it: who begins there has nothing behind."""
    async with care.watch(patient, types=["none"]) as watch:
        while True:
            event = await watch.next_event()
            if isinstance(event, CaughtUp) and event.everything:
                return {str(partition): head for partition, head in watch.cursor.at.items()}


def _create(path: Path, network: bytes) -> Identity:
    identity = create_identity(path.stem, network, time.time_ns() // 1_000_000)
    save_identity(identity, path)
    return identity
