"""Delivering drafts: built, stored, sent, and sent or built again until the network has decided.

The steps of one delivery; of many, 1 and 2 are taken together, and each goes on alone from 3:
1. build: seal to the newest proven epoch, sign; store the bytes before the first send.
2. send; the answer is the record's (partition, offset).
3. ask what became of it. Acceptance is matched by digest and always wins; a refusal counts only at our own offset, so
   nobody who replays our bytes crookedly makes us publish twice.
4. `stale_epoch`: take the epoch that the refusal proves, back to 1. `too_old`, `future`: back to 1. What a node that
   lags behind partition 0 refuses (`unknown_signer` and the like): wait, back to 2 with the same bytes.
5. `duplicate` names the winner: an earlier build of the same event holds the place; its entry is the outcome.
6. remove it from the spool. A crash anywhere before, or just after, leaves it there, and `resume` begins at 2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.building import build_care_batch
from carenet.client.bulk import run_windowed
from carenet.client.carriers import Carrier, Place
from carenet.client.drafts import Care, Control, Draft, build_control, restore_care
from carenet.client.outcomes import Accepted, Decision, Outcome, Refused, read_decision
from carenet.client.session import DeclinedError, Session, expect_reply
from carenet.client.spool import Letter, Spool
from carenet.client.subjects import Epoch, Subjects
from carenet.client.trust import Trust
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, CarenetError, SealError
from carenet.ledger.receipts import VerifiedReceipt
from carenet.rules.reasons import Reason
from carenet.sealing.identity import Identity

LAGGING_S = 10.0  # a key or participant counts in every partition within this, once partition 0 accepted it
MAX_BUILDS = 5  # an epoch that changes under us is mended by the next build; a clock that is wrong by none
_SWEEP_S = 0.1  # what is decided and not yet out of the spool when a process is killed is sent once more
_RESUMED = 64  # letters of an earlier run under way at once
_NO_RECORD = "no_record"  # the gateway's word for a place that was decided and held nothing: what was sent is lost
_LAGGING = frozenset({Reason.UNKNOWN_SIGNER, Reason.UNKNOWN_PARTICIPANT, Reason.WRONG_KID, _NO_RECORD})
_REBUILT = frozenset({Reason.STALE_EPOCH, Reason.TOO_OLD, Reason.FUTURE})
BuildAll = Callable[[Sequence[Care], Sequence[Epoch], Identity, int], Awaitable[list[Letter]]]


@dataclass(slots=True)
class _Build:
    """A built draft: its letter, the digest of the statement in it, and the epoch that it is sealed to."""

    letter: Letter
    epoch: Epoch | None = None
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.digest = sha256(self.letter.statement)


class Delivery:
    """Delivers one participant's drafts.

    Args:
        identity: who says it; may be replaced after a rotation.
        session: to ask for outcomes.
        carrier: how statements get to Kafka.
        subjects: proven epochs.
        spool: open.
        trust: to check receipts.
    """

    def __init__(
        self, identity: Identity, session: Session, carrier: Carrier, *, subjects: Subjects, spool: Spool, trust: Trust
    ) -> None:
        self.identity = identity
        self._session = session
        self._carrier = carrier
        self._subjects = subjects
        self._spool = spool
        self._trust = trust
        self._sweeping: asyncio.TimerHandle | None = None

    async def deliver(self, draft: Draft) -> Outcome:
        """Carry a draft to its outcome.

        Raises:
            BadInputError: it cannot be built or is too large.
            TransportError: undecided within the patience; it stays in the spool, and `resume` goes on with it.
        """
        try:
            build = await self._build(draft, None)
        except DeclinedError as exc:  # the gateway knows no such subject or compartment: nothing to seal to
            return Refused(exc.reason, exc.detail)
        outcome = await self._carry(draft, build)
        self._forget(draft.subject, draft.cti)
        return outcome

    async def deliver_all(
        self, drafts: Sequence[Care], build: BuildAll, on_outcome: Callable[[int, Outcome], None]
    ) -> None:
        """Carry many drafts to their outcomes: built, stored and sent together, and from then on each by itself.

        Args:
            drafts: care data.
            build: who builds them.
            on_outcome: told of each by its place among the drafts, as it is decided.

        Raises:
            As `deliver`; those of which it was not told stay in the spool.
        """
        epochs = await self._fetch_epochs(drafts, on_outcome)
        places = list(epochs)
        now_s = int(time.time())
        letters = await build([drafts[place] for place in places], list(epochs.values()), self.identity, now_s)
        self._spool.put_all(letters)
        sent = dict(zip(places, await self._carrier.send_all(letters), strict=True))
        builds = {place: _Build(letter, epochs[place]) for place, letter in zip(places, letters, strict=True)}
        decided = []

        async def carry(place: int) -> None:
            outcome = await self._carry(drafts[place], builds[place], sent[place])
            decided.append(builds[place].letter)
            on_outcome(place, outcome)

        try:
            await run_windowed(places, carry, len(places))
        finally:
            self._spool.remove_all(decided)  # later than each was told: what a crash leaves here is a duplicate again

    async def resume(self) -> list[Outcome]:
        """Carry on with what an earlier run (or another process that is gone) left in the spool.

        Raises:
            TransportError: undecided within the patience.
        """
        outcomes = []

        async def carry(letter: Letter) -> None:
            outcomes.append(await self._carry(self._restore(letter), _Build(letter)))
            self._forget(letter.subject, letter.cti)

        await run_windowed(self._spool.adopt(), carry, _RESUMED)
        return outcomes

    def _restore(self, letter: Letter) -> Draft | None:
        try:
            return restore_care(letter, self.identity)
        except SealError:
            return None  # kept by other keys: its bytes can be sent again, but not built anew

    async def _carry(self, draft: Draft | None, build: _Build, sent: Place | CarenetError | None = None) -> Outcome:
        """Steps 2 to 5. Without a draft (a spooled control statement) nothing can be built again.

        Args:
            draft: to build it again.
            build: the first build.
            sent: what became of its first send, where that is known.
        """
        for _ in range(MAX_BUILDS):
            decision = await self._send_and_learn(build, sent)
            sent = None
            outcome = decision.outcome
            if outcome.accepted or draft is None or outcome.reason not in _REBUILT:
                break
            if outcome.reason == Reason.STALE_EPOCH and isinstance(draft, Control):
                break  # its wraps bring keys: whoever made them builds it anew
            build = await self._build(draft, build.epoch, decision.epoch)
        return outcome

    async def _build(self, draft: Draft, stale: Epoch | None, shown: wire.Message | None = None) -> _Build:
        now_s = int(time.time())
        if isinstance(draft, Control):
            build = _Build(build_control(draft, self.identity, now_s)[1])
        else:
            epoch = await self._fetch_epoch(draft, stale, shown)
            build = _Build(build_care_batch([draft], [epoch], self.identity, now_s)[0], epoch)
        self._spool.put(build.letter)
        return build

    async def _fetch_epoch(self, draft: Care, stale: Epoch | None, shown: wire.Message | None) -> Epoch:
        if shown is not None:
            return await self._subjects.take_shown(draft.subject, draft.compartment, shown)
        if stale is not None:
            return await self._subjects.refresh_epoch(draft.subject, draft.compartment, stale)
        return await self._subjects.fetch_epoch(draft.subject, draft.compartment)

    async def _fetch_epochs(
        self, drafts: Sequence[Care], on_outcome: Callable[[int, Outcome], None]
    ) -> dict[int, Epoch]:
        """The epoch of each draft by its place; those that have none are refused and left out."""
        found: dict[tuple[bytes, str], Epoch | Refused] = {}

        async def fetch(key: tuple[bytes, str]) -> None:
            try:
                found[key] = await self._subjects.fetch_epoch(*key)
            except DeclinedError as exc:
                found[key] = Refused(exc.reason, exc.detail)

        wanted = {(draft.subject, draft.compartment) for draft in drafts}
        await run_windowed(wanted, fetch, len(wanted))
        epochs = {}
        for place, draft in enumerate(drafts):
            epoch = found[draft.subject, draft.compartment]
            if isinstance(epoch, Refused):
                on_outcome(place, epoch)
            else:
                epochs[place] = epoch
        return epochs

    def _forget(self, subject: bytes, cti: bytes) -> None:
        """Step 6: at once for us, in the file soon and together with others; closing the spool does it too."""
        self._spool.remove(subject, cti)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        self._spool.sweep()

    async def _send_and_learn(self, build: _Build, sent: Place | CarenetError | None) -> Decision:
        """Steps 2 and 3, again with the same bytes while a node may lag behind partition 0; and step 5."""
        backoff = Backoff()
        deadline = asyncio.get_running_loop().time() + LAGGING_S
        while True:
            try:
                if isinstance(sent, CarenetError):
                    raise sent
                partition, offset = sent or await self._carrier.send(build.letter)
                sent = None
            except DeclinedError as exc:
                return Decision(Refused(exc.reason, exc.detail))
            except BadInputError:
                self._forget(build.letter.subject, build.letter.cti)
                raise
            decision = await self._ask(build.letter.subject, build.digest, partition, offset)
            outcome = decision.outcome
            if outcome.accepted:
                return decision
            if outcome.reason == Reason.DUPLICATE and outcome.winner is not None:
                return await self._ask(build.letter.subject, outcome.winner, partition, offset)
            if outcome.reason not in _LAGGING or asyncio.get_running_loop().time() > deadline:
                return decision
            await asyncio.sleep(backoff.next_s())

    async def _ask(self, subject: bytes, digest: bytes, partition: int, offset: int) -> Decision:
        place = {"partition": partition, "offset": offset, "digest": digest}
        try:
            answer = expect_reply(await self._session.ask("outcomes", **place))
        except DeclinedError as exc:
            return Decision(Refused(exc.reason, exc.detail))
        return read_decision(answer, subject, digest, self.fetch_receipt)

    async def fetch_receipt(self, outcome: Accepted) -> VerifiedReceipt:
        """The receipt of an accepted statement, verified.

        Raises:
            ProofError, EncodingError: the gateway's answer does not hold.
            TransportError: the gateway is away.
        """
        answer = expect_reply(await self._session.ask("receipt", digest=outcome.digest))
        return self._trust.verify_receipt(answer, outcome.digest, outcome.entry.subject)
