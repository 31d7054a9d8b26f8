"""Giving and withdrawing: grants with the keys that they bring, rotations, and keys sent after (ARCHITECTURE, 6).

- A grant to read with history brings the grantee every epoch of its compartments.
- A grant from now on, a withdrawal and `begin_epochs` carry the next epochs, wrapped to all who read every one of the
  compartments concerned (one wrap brings all its keys to each of its recipients, so others must not be among them).
- Whoever is left out by that, or by the limit of 500, is sent its keys by `key.share` before the call returns.
- Refused because somebody else rotated or withdrew meanwhile: read the control entries again, and build anew with new
  keys.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from carenet.client.access import Access
from carenet.client.delivery import Delivery
from carenet.client.drafts import Control
from carenet.client.keys import Keys
from carenet.client.outcomes import Accepted, Refused
from carenet.client.subjects import Epoch, Subjects
from carenet.client.wrapping import Wrapper, next_epochs, private_halves, public_halves
from carenet.errors import RefusedError
from carenet.rules.access import READ
from carenet.rules.reasons import Reason
from carenet.sealing.epochs import EpochKeys
from carenet.statements.payloads import MAX_BROUGHT, MAX_WRAPS, EpochBegin, Give, KeyShare, Withdraw
from carenet.statements.shape import Shape

MAX_TRIES = 5
_RACED = frozenset({Reason.STALE_EPOCH, Reason.NOT_A_READER, Reason.EPOCHS_INCOMPLETE, Reason.UNKNOWN_EPOCH})

Scan = Callable[[Access], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant allows.

    Attributes:
        grantee: participant id, 32 bytes.
        actions: of `read`, `write`, `manage`.
        compartments: names.
        history: whether entries before the grant are included.
        until_ms: when it ends by itself, ms since 1970, or None.
        purpose: purpose of use, a name.
    """

    grantee: bytes
    actions: tuple[str, ...]
    compartments: tuple[str, ...]
    history: bool
    until_ms: int | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A control statement that was built on an access state.

    Attributes:
        type: the event type.
        payload: its model.
        body: its wraps, or None.
        begun: the epochs that it begins, by compartment.
    """

    type: str
    payload: Shape
    body: bytes | None = field(default=None, repr=False)
    begun: dict[str, EpochKeys] = field(default_factory=dict)


Build = Callable[[Access], Awaitable[Proposal]]


class Grants:
    """Access to one participant's patients.

    Args:
        delivery: to publish.
        wrapper: to wrap keys to readers.
        keys: this participant's keys.
        subjects: told of epochs that are begun here.
        scan: brings an access state up to date with the subject's control entries.
    """

    def __init__(self, delivery: Delivery, wrapper: Wrapper, keys: Keys, subjects: Subjects, scan: Scan) -> None:
        self._delivery = delivery
        self._wrapper = wrapper
        self._keys = keys
        self._subjects = subjects
        self._scan = scan
        self._known: dict[bytes, Access] = {}
        self._outdated: set[bytes] = set()

    async def give(self, subject: bytes, terms: Terms) -> Accepted:
        """Give a grant.

        Raises:
            RefusedError: the rules said no, or this participant lacks a key that the grant must bring.
            TransportError: undecided within the patience.
        """
        accepted = await self._carry(subject, lambda access: self._build_give(access, terms))
        if READ in terms.actions and not terms.history:
            await self.share_missing(subject)
        return accepted

    async def withdraw(self, subject: bytes, grantee: bytes) -> Accepted:
        """End every grant of a grantee, and begin the next epoch of each compartment that it could read.

        Raises:
            As `give`.
        """
        accepted = await self._carry(subject, lambda access: self._build_withdraw(access, grantee))
        await self.share_missing(subject)
        return accepted

    async def begin_epochs(self, subject: bytes, compartments: Iterable[str], trigger: bytes | None = None) -> Accepted:
        """Begin the next epochs of some compartments: after a grant expired or a reader was suspended.

        Args:
            subject: 32 bytes.
            compartments: names.
            trigger: digest of the statement that this reacts to; done once for each trigger and compartment.

        Raises:
            As `give`.
        """
        names = tuple(compartments)
        accepted = await self._carry(subject, lambda access: self._build_begin(access, names), trigger)
        await self.share_missing(subject)
        return accepted

    async def share_missing(self, subject: bytes, trigger: bytes | None = None) -> int:
        """Send readers the keys that they may hold and were never sent.

        Args:
            subject: 32 bytes.
            trigger: digest of the statement that this reacts to.

        Returns:
            How many statements it took.

        Raises:
            As `give`.
        """
        access = await self._fetch_access(subject, afresh=True)
        parts = list(_shares(access, _now_ms()))
        sent = 0
        for part, (readers, gap) in enumerate(parts):
            try:
                await self._carry(subject, self._share_builder(readers, gap, part if trigger else None), trigger)
            except RefusedError as exc:
                if exc.reason != Reason.NOT_A_READER:  # their access ended meanwhile: nothing to send them
                    raise
            else:
                sent += 1
        return sent

    def note_opened(self, access: Access) -> None:
        """Take in a subject that was opened here."""
        self._known[access.subject] = access

    async def fetch_access(self, subject: bytes) -> Access:
        """The access state of a subject now."""
        return await self._fetch_access(subject, afresh=True)

    async def _carry(self, subject: bytes, build: Build, trigger: bytes | None = None) -> Accepted:
        """Build on what is known, publish; if that was out of date, read the entries and build again."""
        refused = Refused(Reason.STALE_EPOCH)
        for attempt in range(MAX_TRIES):
            access = await self._fetch_access(subject, afresh=attempt > 0)
            proposal = await build(access)
            draft = Control(subject, proposal.type, proposal.payload, proposal.body, trigger=trigger)
            outcome = await self._delivery.deliver(draft)
            if outcome.accepted:
                self._note(access, proposal, outcome)
                return outcome
            refused = outcome
            if outcome.reason not in _RACED:
                break
        raise RefusedError(refused.reason, refused.detail)

    def _note(self, access: Access, proposal: Proposal, outcome: Accepted) -> None:
        seq = outcome.entry.seq
        if seq == access.next_seq:
            access.apply_payload(proposal.payload, outcome.digest, seq)
        else:  # somebody wrote in between: the entries are read before the next use
            self._outdated.add(access.subject)
        self._keys.keyring.add(private_halves(proposal.begun))
        for name, keys in proposal.begun.items():
            self._subjects.learn(access.subject, Epoch(name, keys.id, keys.public, seq))

    async def _fetch_access(self, subject: bytes, *, afresh: bool) -> Access:
        access = self._known.get(subject)
        if access is None or afresh or subject in self._outdated:
            access = access or Access(subject)
            await self._scan(access)
            self._known[subject] = access
            self._outdated.discard(subject)
        return access

    async def _build_give(self, access: Access, terms: Terms) -> Proposal:
        fields = (terms.grantee, terms.actions, terms.compartments, terms.history, terms.until_ms, terms.purpose)
        if READ not in terms.actions:
            return Proposal("grant.give", Give(*fields))
        if not terms.history:
            begun = next_epochs(terms.compartments)
            others = access.readers_of_all(terms.compartments, _now_ms()) - {terms.grantee}
            readers = [terms.grantee, *sorted(others)]  # first, so that the limit never leaves it out
            wraps = await self._wrapper.wrap(access.subject, readers, private_halves(begun))
            payload = Give(*fields, public_halves(begun), wraps.to, wraps.brings, wraps.body_hash)
            return Proposal("grant.give", payload, wraps.body, begun)
        keys = await self._history(access, terms.compartments)
        wraps = await self._wrapper.wrap(access.subject, (terms.grantee,), keys)
        return Proposal("grant.give", Give(*fields, None, wraps.to, wraps.brings, wraps.body_hash), wraps.body)

    async def _build_withdraw(self, access: Access, grantee: bytes) -> Proposal:
        concerned = access.readable_by(grantee)
        if not concerned:
            return Proposal("grant.withdraw", Withdraw(grantee))
        begun = next_epochs(concerned)
        readers = access.readers_of_all(concerned, _now_ms())
        # A custodian goes on reading as one, whatever grants of its own end.
        remaining = sorted(reader for reader in readers if reader != grantee or reader in access.custodians)
        wraps = await self._wrapper.wrap(access.subject, remaining, private_halves(begun))
        payload = Withdraw(grantee, public_halves(begun), wraps.to, wraps.brings, wraps.body_hash)
        return Proposal("grant.withdraw", payload, wraps.body, begun)

    async def _build_begin(self, access: Access, compartments: tuple[str, ...]) -> Proposal:
        begun = next_epochs(compartments)
        readers = sorted(access.readers_of_all(compartments, _now_ms()))
        wraps = await self._wrapper.wrap(access.subject, readers, private_halves(begun))
        payload = EpochBegin(public_halves(begun), wraps.to, wraps.brings, wraps.body_hash)
        return Proposal("epoch.begin", payload, wraps.body, begun)

    def _share_builder(self, readers: tuple[bytes, ...], epochs: tuple[bytes, ...], part: int | None) -> Build:
        async def build(access: Access) -> Proposal:
            # What was true when the parts were cut may have changed: only those who may still hold it are served.
            brought = access.in_order(with_current(access, epochs))
            still = [reader for reader in readers if access.entitled(reader, _now_ms()).issuperset(brought)]
            wraps = await self._wrapper.wrap(access.subject, still, await self._private(access.subject, brought))
            if not wraps.to:
                raise RefusedError(Reason.NOT_A_READER, "nobody is left to share these keys with")
            payload = KeyShare(wraps.to, wraps.brings, wraps.body_hash, part)
            return Proposal("key.share", payload, wraps.body)

        return build

    async def _history(self, access: Access, compartments: tuple[str, ...]) -> dict[bytes, bytes]:
        """All epochs of some compartments; of more than a statement may bring, the newest, the rest by key.share."""
        unknown = set(compartments) - access.epochs.keys()
        if unknown:
            raise RefusedError(Reason.UNKNOWN_COMPARTMENT, "the subject has no such compartment")
        share = MAX_BROUGHT // len(compartments)
        newest = {each for name in compartments for each in access.epochs[name].ids[-share:]}
        return await self._private(access.subject, access.in_order(newest))

    async def _private(self, subject: bytes, epochs: tuple[bytes, ...]) -> dict[bytes, bytes]:
        keys = {}
        for epoch in epochs:
            private = await self._keys.fetch(subject, epoch)
            if private is None:
                raise RefusedError(Reason.UNKNOWN_EPOCH, "this participant does not hold a key that must be brought")
            keys[epoch] = private
        return keys


def with_current(access: Access, epochs: Iterable[bytes]) -> set[bytes]:
    """Epochs, and the current one of each of their compartments: a share brings it too, so that races are noticed."""
    wanted = set(epochs)
    current = {epoch.current for epoch in access.epochs.values() if wanted.intersection(epoch.ids)}
    return wanted | current


def _shares(access: Access, now_ms: int) -> Iterable[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Who is to be sent what: readers that miss the same epochs together, within the limits of one statement."""
    groups: dict[tuple[bytes, ...], list[bytes]] = {}
    for reader, gap in sorted(access.missing(now_ms).items()):
        groups.setdefault(access.in_order(gap), []).append(reader)
    room = MAX_BROUGHT - len(access.epochs)  # the current epochs come along
    for epochs, readers in groups.items():
        for first in range(0, len(epochs), room):
            for at in range(0, len(readers), MAX_WRAPS):
                yield tuple(readers[at : at + MAX_WRAPS]), epochs[first : first + room]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
