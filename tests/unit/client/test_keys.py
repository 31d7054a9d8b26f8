from __future__ import annotations

from typing import Any

from carenet.client.keys import Keys
from carenet.client.wire import to_text
from carenet.encoding.ids import sha256
from carenet.errors import RefusedError
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import create_identity
from carenet.sealing.wraps import encode_wraps, wrap
from carenet.statements.payloads import KeyShare
from tests.support.world import World

WORLD = World()
PATIENT = WORLD.patient(1).id
READER = create_identity("reader", WORLD.network, 1)
KEYS, OTHER = EpochKeys.generate(), EpochKeys.generate()


class Gateway:
    """Answers `keys` with what it was given, and counts how often it was asked."""

    def __init__(self, *wraps: dict[str, Any], refuses: bool = False) -> None:
        self.wraps, self.refuses, self.asked = list(wraps), refuses, 0

    async def ask(self, kind: str, **fields: object) -> dict[str, Any]:
        assert (kind, set(fields)) == ("keys", {"subject"})
        self.asked += 1
        if self.refuses:
            raise RefusedError("no_grant")
        return {"type": "reply", "wraps": self.wraps}


def keys(gateway: Gateway) -> Keys:
    session: Any = gateway
    return Keys(READER, session)


def shared(brings: EpochKeys, inside: EpochKeys, subject: bytes = PATIENT) -> dict[str, Any]:
    wrapped = wrap(WORLD.network, subject, READER.id, READER.hpke_public, [inside.private])
    body = encode_wraps([wrapped])
    payload = KeyShare((READER.id,), (brings.id,), sha256(body))
    statement = WORLD.control(WORLD.hospital, "key.share", subject, payload.to_map() | {"body": sha256(body)}).statement
    return {"statement": to_text(statement.encoded), "entry": "", "wrap": to_text(wrapped)}


async def test_an_unknown_epoch_is_fetched_once():
    gateway = Gateway(shared(KEYS, KEYS))
    made = keys(gateway)
    for _ in range(2):
        assert await made.fetch(PATIENT, KEYS.id) == KEYS.private
    assert gateway.asked == 1


async def test_a_missing_key_is_not_asked_for_at_every_update():
    gateway = Gateway()
    made = keys(gateway)
    for _ in range(5):
        assert await made.fetch(PATIENT, KEYS.id) is None
    assert gateway.asked == 1


async def test_a_key_that_is_not_its_epochs_is_left_out():
    made = keys(Gateway(shared(KEYS, OTHER)))
    assert await made.fetch(PATIENT, KEYS.id) is None


async def test_a_wrap_of_another_subject_is_left_out():
    made = keys(Gateway(shared(KEYS, KEYS, subject=WORLD.patient(1, 1).id)))
    assert await made.fetch(PATIENT, KEYS.id) is None


async def test_a_statement_that_a_gateway_made_up_is_left_out():
    payload = {"to": [READER.id], "brings": [[KEYS.id], {}], "body": bytes(32)}
    statement = WORLD.control(WORLD.hospital, "key.share", PATIENT, payload).statement
    made_up = {"statement": to_text(statement.encoded), "entry": "", "wrap": to_text(b"wrap")}
    assert await keys(Gateway(made_up, shared(KEYS, KEYS))).fetch(PATIENT, KEYS.id) == KEYS.private


async def test_a_refusal_means_no_key():
    assert await keys(Gateway(refuses=True)).fetch(PATIENT, KEYS.id) is None
