"""Delivering drafts: built, stored, sent, and sent or built again until the network has decided.

The steps of one delivery:
1. build: seal to the newest proven epoch, sign; store the bytes before the first send.
2. send; the answer is the record's (partition, offset).
3. ask what became of it. Acceptance is matched by digest and always wins; a refusal counts only at our own offset, so
   nobody who replays our bytes crookedly makes us publish twice.
4. `stale_epoch`: take the epoch that the refusal proves, back to 1. `too_old`, `future`: back to 1. What a node that
   lags behind partition 0 refuses (`unknown_signer` and the like): wait, back to 2 with the same bytes.
5. `duplicate` names the winner: an earlier build of the same event holds the place; its entry is the outcome.
6. remove it from the spool. A crash anywhere before leaves it there, and `resume` begins at 2.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from carenet.client import wire
from carenet.client.backoff import Backoff
from carenet.client.bulk import run_windowed
from carenet.client.carriers import Carrier
from carenet.client.drafts import Care, Control, Draft, build_care, build_control, restore_care
from carenet.client.outcomes import Accepted, Decision, Outcome, Refused, read_decision
from carenet.client.session import DeclinedError, Session, expect_reply
from carenet.client.spool import Letter, Spool
from carenet.client.subjects import Epoch, Subjects
from carenet.client.trust import Trust
from carenet.errors import BadInputError, SealError
from carenet.ledger.receipts import VerifiedReceipt
from carenet.rules.reasons import Reason
from carenet.sealing.identity import Identity
from carenet.statements.statement import Statement, parse_statement

LAGGING_S = 10.0  # a key or participant counts in every partition within this, once partition 0 accepted it
MAX_BUILDS = 5  # an epoch that changes under us is mended by the next build; a clock that is wrong by none
_RESUMED = 64  # letters of an earlier run under way at once
_NO_RECORD = "no_record"  # the gateway's word for a place that was decided and held nothing: what was sent is lost
_LAGGING = frozenset({Reason.UNKNOWN_SIGNER, Reason.UNKNOWN_PARTICIPANT, Reason.WRONG_KID, _NO_RECORD})
_REBUILT = frozenset({Reason.STALE_EPOCH, Reason.TOO_OLD, Reason.FUTURE})


@dataclass(slots=True)
class _Build:
    """A built draft: the statement, its letter, and the epoch that it is sealed to."""

    statement: Statement
    letter: Letter
    epoch: Epoch | None = None


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
        return await self._carry(draft, build)

    async def resume(self) -> list[Outcome]:
        """Carry on with what an earlier run (or another process that is gone) left in the spool.

        Raises:
            TransportError: undecided within the patience.
        """
        outcomes = []

        async def carry(letter: Letter) -> None:
            build = _Build(parse_statement(letter.statement), letter)
            outcomes.append(await self._carry(self._restore(letter), build))

        await run_windowed(self._spool.adopt(), carry, _RESUMED)
        return outcomes

    def _restore(self, letter: Letter) -> Draft | None:
        try:
            return restore_care(letter, self.identity)
        except SealError:
            return None  # kept by other keys: its bytes can be sent again, but not built anew

    async def _carry(self, draft: Draft | None, build: _Build) -> Outcome:
        """Steps 2 to 6. Without a draft (a spooled control statement) nothing can be built again."""
        for _ in range(MAX_BUILDS):
            decision = await self._send_and_learn(build)
            outcome = decision.outcome
            if outcome.accepted or draft is None or outcome.reason not in _REBUILT:
                break
            if outcome.reason == Reason.STALE_EPOCH and isinstance(draft, Control):
                break  # its wraps bring keys: whoever made them builds it anew
            build = await self._build(draft, build.epoch, decision.epoch)
        self._spool.remove(build.letter.subject, build.letter.cti)
        return outcome

    async def _build(self, draft: Draft, stale: Epoch | None, shown: wire.Message | None = None) -> _Build:
        now_s = int(time.time())
        if isinstance(draft, Control):
            build = _Build(*build_control(draft, self.identity, now_s))
        else:
            epoch = await self._fetch_epoch(draft, stale, shown)
            build = _Build(*build_care(draft, epoch, self.identity, now_s), epoch)
        self._spool.put(build.letter)
        return build

    async def _fetch_epoch(self, draft: Care, stale: Epoch | None, shown: wire.Message | None) -> Epoch:
        if shown is not None:
            return await self._subjects.take_shown(draft.subject, draft.compartment, shown)
        if stale is not None:
            return await self._subjects.refresh_epoch(draft.subject, draft.compartment, stale)
        return await self._subjects.fetch_epoch(draft.subject, draft.compartment)

    async def _send_and_learn(self, build: _Build) -> Decision:
        """Steps 2 and 3, again with the same bytes while a node may lag behind partition 0; and step 5."""
        backoff = Backoff()
        deadline = asyncio.get_running_loop().time() + LAGGING_S
        while True:
            try:
                partition, offset = await self._carrier.send(build.letter)
            except DeclinedError as exc:
                return Decision(Refused(exc.reason, exc.detail))
            except BadInputError:
                self._spool.remove(build.letter.subject, build.letter.cti)
                raise
            decision = await self._ask(build.statement, build.statement.digest, partition, offset)
            outcome = decision.outcome
            if outcome.accepted:
                return decision
            if outcome.reason == Reason.DUPLICATE and outcome.winner is not None:
                return await self._ask(build.statement, outcome.winner, partition, offset)
            if outcome.reason not in _LAGGING or asyncio.get_running_loop().time() > deadline:
                return decision
            await asyncio.sleep(backoff.next_s())

    async def _ask(self, statement: Statement, digest: bytes, partition: int, offset: int) -> Decision:
        place = {"partition": partition, "offset": offset, "digest": digest}
        try:
            answer = expect_reply(await self._session.ask("outcomes", **place))
        except DeclinedError as exc:
            return Decision(Refused(exc.reason, exc.detail))
        return read_decision(answer, statement.header.subject, digest, self.fetch_receipt)

    async def fetch_receipt(self, outcome: Accepted) -> VerifiedReceipt:
        """The receipt of an accepted statement, verified.

        Raises:
            ProofError, EncodingError: the gateway's answer does not hold.
            TransportError: the gateway is away.
        """
        answer = expect_reply(await self._session.ask("receipt", digest=outcome.digest))
        return self._trust.verify_receipt(answer, outcome.digest, outcome.entry.subject)
