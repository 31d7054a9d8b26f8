"""Where subjects go on after a cursor: each one's first entry since then, whatever the cursor's age.

A cursor of a moment ago is answered by reading the log from there. For an old one that would be the whole log, for
every client that comes back; then each of the reader's subjects is searched for by itself: sequence numbers grow with
indexes, so that halving finds the place in a few questions, put for many subjects at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from carenet.store.store import Store

_SCANNED = 20_000  # entries after a cursor that are read rather than searched, whoever asks
_SCANNED_A_LOOKUP = 8  # what one lookup costs, in entries read
_PAGE = 50_000  # entries read by one question: far less than a statement's timeout
_SUBJECTS = 2_000  # in one question


async def find_first_seqs(
    store: Store, partition: int, span: tuple[int, int], next_seqs: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Subjects with entries in a part of a log, and the first sequence number of each there.

    Args:
        store: to ask.
        partition: the log.
        span: its first index, and the one after its last.
        next_seqs: the subjects that matter, with the number of entries that each has (or more); others may be left
            out of the answer.

    Raises:
        TransportError: PostgreSQL does not answer.
    """
    begin, end = span
    lookups = len(next_seqs) * max(next_seqs.values(), default=0).bit_length()
    if end - begin <= max(_SCANNED, lookups * _SCANNED_A_LOOKUP):
        found: dict[bytes, int] = {}
        for at in range(begin, end, _PAGE):
            found = await store.first_seqs(partition, at, min(at + _PAGE, end)) | found
        return found
    firsts: dict[bytes, int] = {}
    for some in _chunks(next_seqs):
        firsts |= await _search(store, partition, span, some)
    return firsts


async def _search(
    store: Store, partition: int, span: tuple[int, int], next_seqs: Mapping[bytes, int]
) -> dict[bytes, int]:
    low = dict.fromkeys(next_seqs, 0)  # before it all lie before the span, from `high` on none does
    high = dict(next_seqs)
    indexes: dict[bytes, int] = {}  # of the entry at `high`, where it was looked up
    while open_ones := {each: (low[each] + high[each]) // 2 for each in low if low[each] < high[each]}:
        looked_up = await store.indexes_at(partition, open_ones)
        for subject, seq in open_ones.items():
            index = looked_up.get(subject)
            if index is not None and index < span[0]:
                low[subject] = seq + 1
            else:  # in the span or after it, or not there (yet)
                high[subject] = seq
                indexes.pop(subject, None)
                if index is not None:
                    indexes[subject] = index
    return {each: high[each] for each, index in indexes.items() if index < span[1]}


def _chunks(next_seqs: Mapping[bytes, int]) -> Iterator[dict[bytes, int]]:
    pairs = iter(next_seqs.items())
    while chunk := dict(islice(pairs, _SUBJECTS)):
        yield chunk
