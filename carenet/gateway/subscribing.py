"""Reading a `subscribe` request, and asking the database what came since its cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable

from carenet.errors import RefusedError
from carenet.gateway.authority import Authority
from carenet.gateway.backlog import Pass
from carenet.gateway.messages import (
    MAX_LISTED,
    BadRequestError,
    Message,
    get_map,
    get_names,
    read_count,
    read_id,
)
from carenet.gateway.resuming import find_first_seqs
from carenet.gateway.watch import Cursor, Interest, Since
from carenet.ledger.entry import decode_entry
from carenet.store.store import Store

_PASS_NUMBERS = 3  # as_of, shown, shown_ms
_PARTITION = re.compile(r"(0|[1-9][0-9]{0,3})\Z")


def read_interest(request: Message) -> Interest:
    """What a subscription asks for.

    Raises:
        BadRequestError: an ill-formed field.
        RefusedError: a kind of subscription that this version does not know.
    """
    subjects = request.get("subjects")
    if subjects == "inbound":
        raise RefusedError("unsupported", "this gateway does not know inbound subscriptions yet")
    if subjects != "all" and not (isinstance(subjects, list) and 0 < len(subjects) <= MAX_LISTED):
        raise BadRequestError(f"subjects is a list of at most {MAX_LISTED} ids, or all")
    named = None if subjects == "all" else frozenset(read_id(each, "subjects") for each in subjects)
    return Interest(named, get_names(request, "types", ".*"), get_names(request, "compartments"))


def read_cursor(request: Message, partitions: int) -> Cursor | None:
    """Where the client stopped; None where it wants everything.

    Raises:
        BadRequestError: an ill-formed field.
    """
    if request.get("cursor") is None:
        return None
    cursor = get_map(request, "cursor")
    at = {}
    for key, value in get_map(cursor, "at").items():
        if not (_PARTITION.match(key) and int(key) < partitions):
            raise BadRequestError("cursor.at leads from the network's partitions to indexes")
        at[int(key)] = read_count(value, "cursor.at")
    passes = get_map(cursor, "passes")
    behind = {}
    for key, value in get_map(cursor, "behind").items():
        behind[read_id(key, "cursor.behind")] = _read_pass(read_count(value, "cursor.behind"), passes.get(key))
    return Cursor(at, behind)


def _read_pass(next_seq: int, numbers: object) -> Pass:
    if numbers is None:
        # Only what was granted before `next_seq` counts as walked: a client that dropped the numbers may be sent
        # entries twice, but loses none.
        return Pass(next_seq, next_seq)
    if not isinstance(numbers, list) or len(numbers) != _PASS_NUMBERS:
        raise BadRequestError("cursor.passes leads from subjects to three numbers")
    as_of, shown, shown_ms = (read_count(number, "cursor.passes") for number in numbers)
    return Pass(next_seq, as_of, shown, shown_ms)


async def fetch_since(store: Store, authority: Authority, cursor: Cursor, reader: bytes, clock_ms: int) -> Since:
    """What the database says about the time since a cursor, up to the applied heads.

    Args:
        store: to ask.
        authority: the gateway's view; its heads are those of this moment.
        cursor: the client's; not beyond the heads.
        reader: 32 bytes.
        clock_ms: now.

    Raises:
        TransportError: PostgreSQL does not answer.
    """
    first_seqs: dict[bytes, int] = {}
    cursor_ms: dict[int, int] = {}
    heads = list(authority.heads)
    grants = await store.grants_to(reader)
    next_seqs = _next_seqs(authority, {*authority.known_to(reader), *(grant.subject for grant in grants)})
    for partition, head in enumerate(heads):
        index = cursor.at.get(partition, 0)
        if index < head:
            first_seqs |= await find_first_seqs(store, partition, (index, head), next_seqs.get(partition, {}))
        last = await store.read_entries(partition, index - 1, 1) if index else []
        cursor_ms[partition] = decode_entry(last[0].entry).log_time_ms if last else 0
    withdrawn, expired = set(), set()
    for grant in grants:
        to_seq, until_ms = grant.row.to_seq, grant.row.until_ms
        if to_seq is not None and to_seq >= first_seqs.get(grant.subject, to_seq + 1):
            withdrawn.add(grant.subject)
        if to_seq is None and until_ms is not None and cursor_ms.get(grant.partition, 0) < until_ms <= clock_ms:
            expired.add(grant.subject)
    return Since(first_seqs, frozenset(withdrawn), frozenset(expired))


def _next_seqs(authority: Authority, subjects: Iterable[bytes]) -> dict[int, dict[bytes, int]]:
    """How many entries subjects have, by partition; at least as many as at any head that was looked at before."""
    found: dict[int, dict[bytes, int]] = {}
    for subject in subjects:
        timeline = authority.timeline(subject)
        if timeline is not None:
            found.setdefault(timeline.partition, {})[subject] = timeline.next_seq
    return found
