"""Participants as the log proves them: their keys, from admission and rotations that carry receipts.

A key is believed only so: nothing is wrapped to a key that a gateway made up, and no update is shown as somebody's
whose signature does not hold under a key that the log gave them. Genesis participants are proven by the genesis.
Not proven: that a participant is *not* suspended, and that no later rotation is held back (an older key of the same
participant is used then).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from carenet.client import wire
from carenet.client.session import Session, expect_reply
from carenet.client.trust import Recorded, Trust
from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ids import encode_id
from carenet.errors import ProofError
from carenet.statements.payloads import Admit, Rotate

_FRESH_S = 10.0


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant with proven keys.

    Attributes:
        id: 32 bytes.
        name: what its admission (or the genesis) calls it.
        organisation: the organisation that it falls with, or None.
        roles: what its admission gave it.
        keys: every signing key that it ever had, by thumbprint; Ed25519, 32 bytes each.
        sign: the newest of them that the gateway showed.
        hpke: its newest HPKE public key (1,216 bytes), or None.
        suspended: as the gateway says; not proven.
    """

    id: bytes
    name: str
    organisation: bytes | None
    roles: tuple[str, ...]
    keys: dict[bytes, bytes]
    sign: bytes
    hpke: bytes | None
    suspended: bool


class Directory:
    """Proven participants, kept once fetched.

    Args:
        session: to ask the gateway.
        trust: to check its answers.
    """

    def __init__(self, session: Session, trust: Trust) -> None:
        self._session = session
        self._trust = trust
        self._known: dict[bytes, Participant] = {}
        self._fetched: dict[bytes, float] = {}  # when, on the monotonic clock
        self._locks: dict[bytes, asyncio.Lock] = {}  # held while one participant is asked for, so it is asked for once

    async def fetch(self, participant: bytes) -> Participant:
        """A participant, from memory if it was fetched before.

        Raises:
            RefusedError: the gateway knows no such participant.
            ProofError, StatementError, EncodingError: the gateway's answer does not hold.
            TransportError: the gateway is away.
        """
        known = self._known.get(participant)
        return known if known is not None else await self.refresh(participant)

    async def refresh(self, participant: bytes) -> Participant:
        """A participant as of now: after a rotation, or before something is wrapped to it."""
        before = self._known.get(participant)
        async with self._locks.setdefault(participant, asyncio.Lock()):
            now = self._known.get(participant)
            if now is not None and now is not before:
                return now  # somebody else asked while we waited
            answer = expect_reply(await self._session.ask("describe", participant=encode_id(participant)))
            checked = check_participant(answer, participant, self._trust)
            if before is not None and len(checked.keys) < len(before.keys):
                raise ProofError("the gateway holds back a rotation that it showed before")
            self._known[participant] = checked
            self._fetched[participant] = time.monotonic()
            return checked

    async def fetch_recipient(self, participant: bytes) -> Participant:
        """A participant to wrap keys to: at most 10 s old, since an HPKE key may have been rotated because it leaked.

        Raises:
            As `fetch`.
        """
        is_fresh = time.monotonic() < self._fetched.get(participant, -_FRESH_S) + _FRESH_S
        return await (self.fetch(participant) if is_fresh else self.refresh(participant))

    async def fetch_signing_key(self, participant: bytes, kid: bytes) -> bytes | None:
        """The Ed25519 key of a participant with this thumbprint, or None if it never had one."""
        known = await self.fetch(participant)
        if kid not in known.keys:
            known = await self.refresh(participant)
        return known.keys.get(kid)


def check_participant(answer: wire.Message, participant: bytes, trust: Trust) -> Participant:
    """Read and check the answer to `describe {participant}`.

    Raises:
        ProofError: the statements do not lead to keys of this participant.
        StatementError, EncodingError: malformed.
    """
    shown = [trust.verify_recorded(fields) for fields in wire.read_maps(answer, "statements")]
    is_suspended = answer.get("suspended") is True
    if any(each.statement.header.subject != trust.network for each in shown):
        raise ProofError("a participant's statements are about the network")
    seqs = [each.entry.seq for each in shown]
    if seqs != sorted(set(seqs)):
        raise ProofError("a participant's statements come in the log's order")
    first = _founder(participant, trust, is_suspended=is_suspended)
    if first is None:
        if not shown:
            raise ProofError("the gateway shows no admission of this participant")
        first, shown = _admitted(shown[0], participant, is_suspended=is_suspended), shown[1:]
    for each in shown:
        first = _rotated(first, each)
    return first


def _founder(participant: bytes, trust: Trust, *, is_suspended: bool) -> Participant | None:
    genesis = trust.genesis
    named = [(each, "authority") for each in genesis.authorities] + [(each, "node") for each in genesis.nodes]
    for each, role in named:
        if each.id == participant:
            keys = {each.id: each.sign}
            return Participant(each.id, each.name, None, (role,), keys, each.sign, None, is_suspended)
    return None


def _admitted(recorded: Recorded, participant: bytes, *, is_suspended: bool) -> Participant:
    if recorded.statement.header.type != "participant.admit":
        raise ProofError("a participant's first statement is its admission")
    payload = Admit.parse(recorded.statement.control)
    if compute_thumbprint(payload.sign) != participant:
        raise ProofError("the admission is another participant's")
    keys = {participant: payload.sign}
    return Participant(
        id=participant,
        name=payload.name,
        organisation=payload.organisation,
        roles=payload.roles,
        keys=keys,
        sign=payload.sign,
        hpke=payload.hpke,
        suspended=is_suspended,
    )


def _rotated(before: Participant, recorded: Recorded) -> Participant:
    if recorded.statement.header.type != "participant.rotate":
        raise ProofError("a participant's later statements are rotations")
    payload = Rotate.parse(recorded.statement.control)
    if payload.participant != before.id:
        raise ProofError("the rotation is another participant's")
    keys = {**before.keys, compute_thumbprint(payload.sign): payload.sign}
    return replace(before, keys=keys, sign=payload.sign, hpke=payload.hpke or before.hpke)
