"""Why a record was refused: one code a check, in the order of the checks (docs/formats.md lists them)."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason code; its value is what travels and what `rejections` keeps."""

    # The record itself.
    KEY_MISSING = "key_missing"
    VALUE_MISSING = "value_missing"
    NO_LOG_TIME = "no_log_time"
    OVERSIZED = "oversized"
    BAD_ENCODING = "bad_encoding"
    BAD_STATEMENT = "bad_statement"
    WRONG_NETWORK = "wrong_network"
    WRONG_PARTITION = "wrong_partition"
    WRONG_KEY = "wrong_key"
    # A relay of partition 0's decision.
    RELAY_PROOF = "relay_proof"
    RELAY_GAP = "relay_gap"
    # The one event again.
    DUPLICATE = "duplicate"
    # The signer.
    UNKNOWN_SIGNER = "unknown_signer"
    SUSPENDED = "suspended"
    STALE_KEY = "stale_key"
    WRONG_KID = "wrong_kid"
    BAD_SIGNATURE = "bad_signature"
    # Freshness, body, idempotency.
    TOO_OLD = "too_old"
    FUTURE = "future"
    BODY_MISSING = "body_missing"
    BODY_UNEXPECTED = "body_unexpected"
    BODY_MISMATCH = "body_mismatch"
    CONFLICTING_ID = "conflicting_id"
    # The subject, the type, the permission.
    UNKNOWN_SUBJECT = "unknown_subject"
    SUBJECT_EXISTS = "subject_exists"
    UNKNOWN_TYPE = "unknown_type"
    BAD_PAYLOAD = "bad_payload"
    ROLE_FORBIDS = "role_forbids"
    NO_GRANT = "no_grant"
    NOT_DECIDER = "not_decider"
    UNKNOWN_COMPARTMENT = "unknown_compartment"
    ALREADY_DONE = "already_done"
    STALE_EPOCH = "stale_epoch"
    # A rulebook's own transition.
    KNOWN_PARTICIPANT = "known_participant"
    UNKNOWN_PARTICIPANT = "unknown_participant"
    BAD_PROOF = "bad_proof"
    BAD_PUBLIC_KEY = "bad_public_key"
    ROLE_NOT_GIVEN = "role_not_given"
    EPOCHS_INCOMPLETE = "epochs_incomplete"
    UNKNOWN_EPOCH = "unknown_epoch"
    NOT_A_READER = "not_a_reader"
    ALREADY_ENDED = "already_ended"
    UNKNOWN_REPLACED = "unknown_replaced"
    NOT_AUTHOR = "not_author"


RETRYABLE = frozenset({Reason.UNKNOWN_SIGNER, Reason.STALE_EPOCH, Reason.TOO_OLD, Reason.FUTURE, Reason.NOT_A_READER})
"""What the SDK mends by itself: waiting for a relay, or sealing and signing again."""
