"""Neither PostgreSQL, Kafka, the spool nor any log holds what was written about a patient, or anybody's private keys.

A stack logs at its most talkative while events with words that occur nowhere else flow through it, are corrected,
retracted, refused, and left undelivered; then everything that lies in its folder or comes out of its tables and topics
is searched. That the search finds what is there is tested beside it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import pytest_asyncio

from carenet.client.care import connect
from carenet.client.parts import Options
from carenet.encoding.ids import decode_id, encode_id
from carenet.errors import TransportError
from carenet.local.runfile import read_run_file
from carenet.node.identity import load_node_keys
from carenet.store.store import Store
from tests.support.clinic import PARTITIONS, Clinic, Follower, clinic
from tests.support.refolding import read_topic
from tests.support.searching import find, read_files, read_tables
from tests.support.waiting import until_answered

NAME, STREET, FINDING, CODE, DRUG, NOTE, WRONG, LATE = (
    f"{word}-Xq7{number}"
    for number, word in enumerate(
        [
            "Oberhuber",
            "Birkenweg",
            "Tachyarrhythmie",
            "SNO-426749",
            "Flecainid",
            "schläft-schlecht",
            "verwechselt",
            "nachgereicht",
        ]
    )
)
MARKERS = [word.encode() for word in (NAME, STREET, FINDING, CODE, DRUG, NOTE, WRONG, LATE)]


@dataclass
class Left:
    """What was there while the stack ran and after it stopped.

    Attributes:
        folder: the stack's.
        contents: files, tables, topics and HTTP answers by name.
        patient: a subject, 32 bytes.
        bodies: sealed bodies, as they were accepted.
        secrets: private keys by what they are.
    """

    folder: Path
    contents: dict[str, bytes]
    patient: bytes
    bodies: list[bytes]
    secrets: dict[bytes, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Everything that a stack left, which some care was published to."""
    folder = tmp_path_factory.mktemp("clinic")
    contents: dict[str, bytes] = {}
    async with clinic(folder, environment={"CARENET_LOG_LEVEL": "debug"}) as running:
        patient, secrets = await _work(running)
        async with Store(running.stack.postgres) as store:
            rows = await store._fetch("SELECT body FROM entries WHERE type LIKE 'care.%' AND body IS NOT NULL")
        contents |= {f"table {name}": each for name, each in (await read_tables(running.stack.postgres)).items()}
        for topic in ("carenet.events", "carenet.node.entries", "carenet.checkpoints"):
            records = await read_topic(running.stack.kafka, topic, PARTITIONS)
            values = [each.value or b"" for log in records.values() for each in log]
            contents[f"topic {topic}"] = b"\n".join(values)
        contents |= await asyncio.to_thread(_get, running.stack.gateway, ("/health", "/metrics", "/checkpoint/0"))
        contents["run.json while it ran"] = (folder / "run.json").read_bytes()
        run = read_run_file(folder)
        assert run is not None
        contents |= {f"command line of {name}": _read_command_line(pid) for name, pid in run.children.items()}
    contents |= dict(read_files(folder, without=(folder / "keys", folder / "node.key")))
    return Left(folder, contents, patient, [row["body"] for row in rows], secrets)


async def _work(running: Clinic) -> tuple[bytes, dict[bytes, str]]:
    """Publish in every way there is; the patient, and all private keys that were used."""
    hospital, lee, lab = await running.enter("hospital"), await running.enter("lee"), await running.enter("lab")
    patient = await hospital.register_patient()
    for name in ("lee", "okafor"):
        await hospital.grant(patient, running.people[name].id, ("read", "write"))
    follower = Follower("okafor", (await running.enter("okafor")).watch())
    task = asyncio.create_task(follower.follow())
    await lee.publish(patient, {"resourceType": "Patient", "name": [{"family": NAME}], "address": [{"text": STREET}]})
    finding = {"resourceType": "Condition", "code": {"coding": [{"code": CODE}], "text": FINDING}}
    first = (await lee.publish(patient, finding)).or_raise()
    await lee.publish(patient, finding | {"note": [{"text": NOTE}]}, replaces=first.digest)
    await lee.publish(patient, {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": DRUG}})
    mistake = (await lee.publish(patient, finding | {"note": [{"text": WRONG}]})).or_raise()
    await lee.retract(patient, mistake.digest, "clinical")
    refused = await lab.publish(patient, {"resourceType": "MedicationRequest", "note": [{"text": WRONG}]})
    assert not refused.accepted
    await hospital.withdraw(patient, running.people["okafor"].id)
    await lee.publish(patient, finding)  # sealed to the next epoch
    await _leave_undelivered(running, patient)
    task.cancel()
    await asyncio.wait({task})
    assert len(follower.places) > 5
    return decode_id(patient), _collect_secrets(running, dict(hospital._parts.keys.keyring._private))


async def _leave_undelivered(running: Clinic, patient: str) -> None:
    """A publisher gives up while the worker stands still: its letter stays in the spool."""
    (worker,) = (status.pid for status in running.stack.status() if status.service == "worker")
    assert worker is not None
    lee = connect(running.stack.gateway, running.people["lee"], running.stack.kafka, Options(patience_s=2))
    async with lee as care:
        os.kill(worker, signal.SIGSTOP)
        try:
            with pytest.raises(TransportError):
                await care.publish(patient, {"resourceType": "Observation", "valueString": LATE})
        finally:
            os.kill(worker, signal.SIGCONT)

    async def is_decided() -> bool:
        async with Store(running.stack.postgres) as store:
            records = await read_topic(running.stack.kafka, running.genesis.topic, PARTITIONS)
            decided = await store.next_offsets()
            return all(decided[partition] == len(log) for partition, log in records.items())

    await until_answered(is_decided, 20)


def _collect_secrets(running: Clinic, epochs: dict[bytes, bytes]) -> dict[bytes, str]:
    """Private keys by 32 bytes of them, and what they are."""
    secrets = {}
    for name, identity in running.people.items():
        secrets |= dict.fromkeys(identity.seeds, f"signing key of {name}")
        secrets |= {piece: f"HPKE key of {name}" for each in identity.hpke_private for piece in _pieces(each)}
        secrets[identity.tag_secret] = f"tag secret of {name}"
    secrets |= {piece: "key of an epoch" for each in epochs.values() for piece in _pieces(each)}
    node = load_node_keys(running.directory / "node.key")
    return secrets | {node.sign_seed: "signing key of the node", node.mldsa_seed: "ML-DSA key of the node"}


def _pieces(private: bytes) -> tuple[bytes, bytes]:
    """Of an HPKE private key: half of the ML-KEM seed, and the X25519 key."""
    return private[:32], private[64:]


def _read_command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _get(gateway: str, paths: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        with urlopen(gateway.replace("ws:", "http:") + path, timeout=10) as answer:
            found[f"GET {path}"] = answer.read()
    return found


def test_nothing_that_was_written_about_a_patient_lies_anywhere(left: Left) -> None:
    assert find(MARKERS, left.contents.items()) == set()


def test_no_private_key_lies_outside_the_key_files(left: Left) -> None:
    found = find(left.secrets, left.contents.items())
    assert {(place, left.secrets[secret]) for place, secret in found} == set()


def test_key_files_are_their_owners_alone(left: Left) -> None:
    files = [*(left.folder / "keys").iterdir(), left.folder / "node.key", *(left.folder / "spool").iterdir()]
    assert len(files) > len(left.secrets) / 10
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_the_search_reaches_tables_data_folders_topics_logs_and_spool(left: Left) -> None:
    # What is no secret, where it belongs: so what was not found above would have been.
    bodies = find(left.bodies, left.contents.items())
    where = {place.split("/")[0] for place, _ in bodies}
    assert where >= {"table entries", "postgres", "kafka", "topic carenet.events"}
    assert {body for place, body in bodies if place.startswith("kafka")} == set(left.bodies)
    assert {body for place, body in bodies if place.startswith("postgres")} == set(left.bodies)
    assert len(left.bodies) >= 6
    named = {place for place, _ in find([encode_id(left.patient).encode()], left.contents.items())}
    assert any(place.startswith("kafka") for place in named)
    waiting = {place for place, _ in find([left.patient], left.contents.items()) if place.startswith("spool")}
    assert waiting, "a letter was left in the spool"
    logs = {place for place, content in left.contents.items() if place.endswith(".log") and content}
    assert logs >= {"worker.log", "agents.log", "gateway.log", "kafka.log", "postgres.log"}
    assert b'"level": "debug"' in left.contents["worker.log"]


@pytest.mark.parametrize("shift", range(3))
def test_the_search_knows_a_needle_however_it_is_spelled(shift: int) -> None:
    needle, before = "schläft-schlecht-Xq7".encode(), b"ab?"[:shift]
    text = before + needle + b" und mehr"
    for spelled in (text, text.hex().encode(), text.hex().upper().encode(), b64encode(text), urlsafe_b64encode(text)):
        assert find([needle], [("here", b"\0" * 100 + spelled)]) == {("here", needle)}
    assert find([needle], [("here", text.replace(b"Xq7", b"Xq8"))]) == set()
