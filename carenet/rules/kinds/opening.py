"""subject.open: a patient's timeline begins.

Its id is the thumbprint of an opening key that signed network, registrar and the whole content and was then destroyed:
so nobody opens another's timeline, and nobody keeps a hidden owner's key. Every custodian gets every first key.
"""

from __future__ import annotations

from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import is_admissible_key, is_valid_signature
from carenet.rules.case import Case, is_suspended
from carenet.rules.changes import begun, opened
from carenet.rules.reasons import Reason
from carenet.rules.roles import CUSTODIAN
from carenet.rules.rows import EpochsKey, EpochsRow, SubjectKey
from carenet.statements.keys import compute_epoch_id
from carenet.statements.payloads import Open

COMPARTMENTS = {"clinical", "medication", "identity"}


def check_open(case: Case, payload: Open) -> None:
    """The opening key, the custodians, the first epochs and who is wrapped to."""
    header = case.statement.header
    case.require(is_admissible_key(payload.opening), Reason.BAD_PUBLIC_KEY, "payload.opening")
    case.require(compute_thumbprint(payload.opening) == header.subject, Reason.BAD_PROOF, "sub names another key")
    binding = payload.binding(case.scope.network, header.issuer)
    case.require(is_valid_signature(payload.opening, payload.proof, binding), Reason.BAD_PROOF, "payload.proof")
    case.require(set(payload.epochs) <= COMPARTMENTS, Reason.UNKNOWN_COMPARTMENT, "payload.epochs")
    for custodian in payload.custodians:
        row = case.view.participant(custodian)
        fit = row is not None and CUSTODIAN in row.roles and row.hpke is not None
        case.require(fit, Reason.UNKNOWN_PARTICIPANT, "payload.custodians names one that is no custodian with a key")
        assert row is not None
        case.require(not is_suspended(row, case.view), Reason.SUSPENDED, "payload.custodians names a suspended one")
    first = {compute_epoch_id(public) for public in payload.epochs.values()}
    case.require(len(first) == len(payload.epochs), Reason.EPOCHS_INCOMPLETE, "two compartments share an epoch")
    case.require(set(payload.brings) == first, Reason.EPOCHS_INCOMPLETE, "payload.brings is not the first epochs")
    case.require(set(payload.to) <= set(payload.custodians), Reason.NOT_A_READER, "payload.to names no custodian")
    complete = set(payload.to) == set(payload.custodians)
    case.require(complete, Reason.EPOCHS_INCOMPLETE, "a custodian is wrapped nothing")


def apply_open(case: Case, payload: Open) -> bool:
    """Write subject and epochs."""
    subject = case.statement.header.subject
    case.write(SubjectKey(subject), opened(subject, payload))
    digest = case.statement.digest
    first = [begun(None, name, public, seq=0, digest=digest) for name, public in sorted(payload.epochs.items())]
    case.write(EpochsKey(subject), EpochsRow(tuple(first)))
    return True
