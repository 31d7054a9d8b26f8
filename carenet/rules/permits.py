"""What was judged once and stays so: that a signer may write care data of a type to a patient's current epoch.

Most records of a partition are care data by the same few writers about the same patients. Whether the signer is known
and its key current, whether its role and a grant allow it, and whether the epoch is the current one hangs on rows that
only control statements change. So a judgement is remembered with everything that it hangs on in its key, a subject's
are forgotten when a control statement about it is accepted, and all are when one about the network is. What hangs on
the record itself (signature, freshness, body, id used before) is checked every time.

A permit never decides otherwise than the whole list of checks would; a partition's one writer keeps them beside the
rows that it keeps, and forgets both when a commit fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carenet.rules.prepare import Permit, Prepared
from carenet.rules.rows import PartitionState
from carenet.statements.header import Header

_MOST_SUBJECTS = 20_000  # about 20 MB
_NONE: Mapping[tuple[object, ...], Permit] = {}


class Permits:
    """One partition's permits; see the module header."""

    __slots__ = ("_by_subject",)

    def __init__(self) -> None:
        self._by_subject: dict[bytes, dict[tuple[object, ...], Permit]] = {}

    def __repr__(self) -> str:
        return f"<Permits about {len(self._by_subject)} subjects>"

    def attach(self, records: Sequence[Prepared], state: PartitionState) -> None:
        """Give each record of the next batch its permit, where there is one that holds to the batch's end.

        Of records that are alike and have none, all but the first are marked: they ask for no other rows than it, and
        may find a permit by the time they are decided. A subject that a control statement of the batch may change
        keeps no permit: the whole checks want all its rows.
        """
        plain = []
        latest_ms = state.log_time_ms
        for record in records:
            if record.statement is not None and record.fault is None:
                latest_ms = max(latest_ms, record.timestamp_ms)
                if _is_plain(record, record.statement.header):
                    plain.append(record)
                else:
                    self.forget(record.statement.header)
        seen = set()
        for record in plain:
            record.permit = self.find(record, latest_ms)
            if record.permit is None:
                assert record.statement is not None
                what = (record.statement.header.subject, *_what(record.statement.header))
                record.is_alike = what in seen
                seen.add(what)

    def find(self, record: Prepared, now_ms: int) -> Permit | None:
        """The permit that plain care data has at a log time, if any."""
        assert record.statement is not None
        header = record.statement.header
        permit = self._by_subject.get(header.subject, _NONE).get(_what(header))
        return permit if permit is not None and (permit.until_ms is None or now_ms < permit.until_ms) else None

    def note(self, record: Prepared, header: Header, permit: Permit) -> None:
        """Remember a judgement of care data that was accepted, unless there is more to it than its key holds."""
        if _is_plain(record, header):
            if len(self._by_subject) >= _MOST_SUBJECTS:
                self._by_subject.clear()
            self._by_subject.setdefault(header.subject, {})[_what(header)] = permit

    def forget(self, header: Header) -> None:
        """A control statement was, or may be, accepted: what it may change is judged anew."""
        if header.subject == header.network:
            self._by_subject.clear()
        else:
            self._by_subject.pop(header.subject, None)


def _is_plain(record: Prepared, header: Header) -> bool:
    """Care data that corrects nothing and reacts to nothing."""
    is_care = header.content_type is not None and record.proof is None
    return is_care and header.replaces is None and header.trigger is None


def _what(header: Header) -> tuple[object, ...]:
    """All that the remembered checks of plain care data hang on, but for the subject."""
    return (header.issuer, header.kid, header.type, header.compartment, header.epoch)
