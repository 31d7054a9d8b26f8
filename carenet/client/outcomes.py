"""What became of a statement, as a value to branch on: `if outcome.accepted:` narrows the type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from carenet.client import wire
from carenet.errors import EncodingError, ProofError, RefusedError
from carenet.ledger.entry import Entry, decode_entry
from carenet.ledger.receipts import VerifiedReceipt

FetchReceipt = Callable[["Accepted"], Awaitable[VerifiedReceipt]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The statement is in its subject's timeline; so says the gateway, and `receipt` proves it.

    Attributes:
        entry: its place in its subject's chain.
        partition: the log that holds it.
        index: its place there.
        digest: of the statement that holds the place: of an earlier build of the same event, if there was one.
    """

    entry: Entry
    partition: int
    index: int
    digest: bytes
    _fetch_receipt: FetchReceipt = field(repr=False, compare=False)
    accepted: ClassVar[Literal[True]] = True

    async def receipt(self) -> VerifiedReceipt:
        """The verified receipt, as soon as a checkpoint covers the entry.

        Raises:
            ProofError: the network's nodes signed something else.
            TransportError: the gateway is away.
        """
        return await self._fetch_receipt(self)

    def or_raise(self) -> Accepted:
        """This; on a refusal it raises."""
        return self


@dataclass(frozen=True, slots=True)
class Refused:
    """The statement changed nothing.

    Attributes:
        reason: a code of `carenet.rules.reasons`.
        detail: which field or rule.
        winner: digest of the statement that holds the place of this one, if that is why.
    """

    reason: str
    detail: str = ""
    winner: bytes | None = None
    accepted: ClassVar[Literal[False]] = False

    def or_raise(self) -> Accepted:
        """Raise it.

        Raises:
            RefusedError: always.
        """
        raise RefusedError(self.reason, self.detail)


Outcome = Accepted | Refused


@dataclass(frozen=True, slots=True)
class Decision:
    """A gateway's answer to `outcomes`, read.

    Attributes:
        outcome: accepted or refused.
        epoch: on `stale_epoch`, the current epoch as the gateway shows it, unproven; else None.
    """

    outcome: Outcome
    epoch: wire.Message | None = None


def read_decision(answer: wire.Message, subject: bytes, digest: bytes, fetch_receipt: FetchReceipt) -> Decision:
    """Read the answer to `outcomes {partition, offset, digest}`.

    Args:
        answer: the gateway's.
        subject: of the statement that was asked about.
        digest: of that statement.
        fetch_receipt: how an accepted outcome gets its receipt.

    Raises:
        EncodingError: malformed.
        ProofError: accepted with an entry of another statement or subject.
    """
    outcome = wire.read_map(answer, "outcome")
    if "accepted" in outcome:
        told = wire.read_map(outcome, "accepted")
        entry = decode_entry(wire.read_bytes(told, "entry"))
        if entry.digest != digest or entry.subject != subject:
            raise ProofError("the gateway answers with another statement's entry")
        place = wire.read_int(told, "partition"), wire.read_int(told, "index")
        return Decision(Accepted(entry, *place, digest, fetch_receipt))
    if "refused" not in outcome:
        raise EncodingError("an outcome is accepted or refused")
    told = wire.read_map(outcome, "refused")
    detail = told.get("detail")
    refused = Refused(
        wire.read_text(told, "reason"),
        detail if isinstance(detail, str) else "",
        wire.read_bytes_or_none(told, "winner"),
    )
    shown = told.get("epoch")
    return Decision(refused, shown if isinstance(shown, dict) else None)
