from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from carenet.encoding import cbor
from carenet.errors import StatementError
from carenet.statements import keys
from carenet.statements.payloads import (
    MAX_BROUGHT,
    MAX_CUSTODIANS,
    MAX_WRAPS,
    PAYLOADS,
    Admit,
    Give,
    Open,
    Rotate,
)
from carenet.statements.shape import Shape
from tests.support.actors import hpke_public

ID, SIGN, HPKE, PROOF, EPOCH = b"i" * 32, b"s" * 32, hpke_public("x"), b"p" * 64, b"e" * 16

# One full example of every payload: each field present.
EXAMPLES: dict[str, dict[str, Any]] = {
    "participant.admit": {
        "name": "ward-3",
        "organisation": ID,
        "roles": ["clinician"],
        "may_give": ["lab"],
        "sign": SIGN,
        "hpke": HPKE,
        "proof": PROOF,
    },
    "participant.rotate": {"participant": ID, "sign": SIGN, "hpke": HPKE, "proof": PROOF},
    "participant.suspend": {"participant": ID},
    "subject.open": {
        "kind": "patient",
        "custodians": [ID],
        "epochs": {"clinical": HPKE},
        "write": ["lab"],
        "emergency": True,
        "opening": SIGN,
        "proof": PROOF,
        "to": [ID],
        "brings": [EPOCH],
        "body": ID,
    },
    "grant.give": {
        "grantee": ID,
        "actions": ["read", "write"],
        "compartments": ["clinical"],
        "history": False,
        "until_ms": 9,
        "purpose": "treat",
        "epochs": {"clinical": HPKE},
        "to": [ID],
        "brings": [EPOCH],
        "body": ID,
    },
    "grant.withdraw": {"grantee": ID, "epochs": {"clinical": HPKE}, "to": [ID], "brings": [EPOCH], "body": ID},
    "epoch.begin": {"epochs": {"clinical": HPKE}, "to": [ID], "brings": [EPOCH], "body": ID},
    "key.share": {"to": [ID], "brings": [EPOCH], "body": ID, "part": 0},
    "care.retract": {"reason": "wrong-patient"},
}
EVERY_FIELD = [(type_, field.name) for type_, model in PAYLOADS.items() for field in fields(model)]


# Values that no field takes, but for those named in ALLOWED.
WRONG: list[Any] = [None, True, False, 0, -1, "x" * 65, "A B", b"short", [], {}, [None], {"A B": b""}, {1: 1}]
ALLOWED: dict[str, list[Any]] = {
    "organisation": [None],
    "hpke": [None],
    "until_ms": [None, 0],
    "part": [0],
    "may_give": [[]],
    "write": [[]],
    "emergency": [True, False],
    "history": [True, False],
}


def is_allowed(field: str, value: Any) -> bool:
    return any(type(value) is type(each) and value == each for each in ALLOWED.get(field, []))


def test_there_is_a_full_example_of_every_payload() -> None:
    assert EXAMPLES.keys() == PAYLOADS.keys()
    for type_, example in EXAMPLES.items():
        assert example.keys() == {field.name for field in fields(PAYLOADS[type_])}


@pytest.mark.parametrize("type_", PAYLOADS)
def test_a_payload_survives_its_bytes(type_: str) -> None:
    model = PAYLOADS[type_].parse(EXAMPLES[type_])
    assert model.to_map() == EXAMPLES[type_]
    assert PAYLOADS[type_].parse(cbor.decode(model.encode())) == model


@pytest.mark.parametrize(("type_", "field"), EVERY_FIELD)
def test_a_missing_field_is_refused_unless_it_is_optional(type_: str, field: str) -> None:
    model = PAYLOADS[type_]
    without = {key: value for key, value in EXAMPLES[type_].items() if key != field}
    if next(each for each in fields(model) if each.name == field).default is MISSING:
        with pytest.raises(StatementError, match=f"payload.{field} is missing"):
            model.parse(without)
    else:
        assert model.parse(without).to_map() == without


@pytest.mark.parametrize(("type_", "field"), EVERY_FIELD)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_field_of_another_form_is_refused_by_name(type_: str, field: str, value: Any) -> None:
    payload = EXAMPLES[type_] | {field: value}
    if is_allowed(field, value):
        assert PAYLOADS[type_].parse(payload).to_map() == payload
    else:
        with pytest.raises(StatementError, match=f"payload.{field}"):
            PAYLOADS[type_].parse(payload)


@pytest.mark.parametrize("type_", PAYLOADS)
def test_an_unknown_field_is_refused(type_: str) -> None:
    with pytest.raises(StatementError, match=r"payload\.note is not a field"):
        PAYLOADS[type_].parse(EXAMPLES[type_] | {"note": "words have no place in a control payload"})


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        ("participant.admit", "roles", []),
        ("participant.admit", "roles", ["lab", "lab"]),
        ("participant.admit", "roles", [f"role-{place}" for place in range(17)]),
        ("subject.open", "kind", "network"),
        ("subject.open", "custodians", [bytes([place]) * 32 for place in range(MAX_CUSTODIANS + 1)]),
        ("subject.open", "custodians", [ID, ID]),
        ("subject.open", "epochs", {f"c{place}": HPKE for place in range(17)}),
        ("subject.open", "to", [place.to_bytes(32, "big") for place in range(MAX_WRAPS + 1)]),
        ("grant.give", "actions", ["look"]),
        ("grant.give", "actions", ["read", "read"]),
        ("grant.give", "until_ms", cbor.MAX_INT + 1),
        ("grant.give", "epochs", {"clinical": HPKE[1:]}),
        ("grant.withdraw", "to", []),
        ("epoch.begin", "brings", [place.to_bytes(16, "big") for place in range(MAX_BROUGHT + 1)]),
        ("key.share", "part", 65536),
        ("care.retract", "reason", "the patient felt better"),
    ],
)
def test_a_field_beyond_its_range_is_refused_by_name(type_: str, field: str, value: Any) -> None:
    with pytest.raises(StatementError, match=f"payload.{field}"):
        PAYLOADS[type_].parse(EXAMPLES[type_] | {field: value})


def test_the_largest_lists_are_allowed() -> None:
    to = [place.to_bytes(32, "big") for place in range(MAX_WRAPS)]
    brings = [place.to_bytes(16, "big") for place in range(MAX_BROUGHT)]
    share = PAYLOADS["key.share"].parse(EXAMPLES["key.share"] | {"to": to, "brings": brings})
    assert len(share.encode()) < 20_000


@pytest.mark.parametrize(
    ("model", "type_", "unbound"),
    [(Admit, "participant.admit", {"sign", "proof"}), (Rotate, "participant.rotate", {"sign", "proof"})],
)
def test_the_admitted_key_agrees_to_every_term(model: type[Admit | Rotate], type_: str, unbound: set[str]) -> None:
    # `sign` need not be inside: it is the key that verifies the proof.
    bound = model.parse(EXAMPLES[type_]).binding(b"n" * 32, b"a" * 32)
    assert model.parse(EXAMPLES[type_]).binding(b"N" * 32, b"a" * 32) != bound
    assert model.parse(EXAMPLES[type_]).binding(b"n" * 32, b"A" * 32) != bound
    others = {"name": "x", "organisation": None, "roles": ["lab"], "may_give": [], "hpke": None}
    others |= {"participant": b"q" * 32, "sign": b"q" * 32, "proof": b"q" * 64}
    for field in EXAMPLES[type_]:
        changed = model.parse(EXAMPLES[type_] | {field: others[field]}).binding(b"n" * 32, b"a" * 32)
        assert (changed == bound) == (field in unbound), field


def test_the_opening_key_signs_the_whole_content() -> None:
    opened = Open.parse(EXAMPLES["subject.open"])
    bound = opened.binding(b"n" * 32, b"r" * 32)
    assert opened.binding(b"N" * 32, b"r" * 32) != bound
    assert opened.binding(b"n" * 32, b"R" * 32) != bound
    changes = {"custodians": [b"q" * 32], "epochs": {"medication": HPKE}, "write": [], "emergency": False}
    changes |= {"opening": b"q" * 32, "to": [b"q" * 32], "brings": [b"q" * 16], "body": b"q" * 32}
    for field, value in changes.items():
        assert Open.parse(EXAMPLES["subject.open"] | {field: value}).binding(b"n" * 32, b"r" * 32) != bound, field
    assert Open.parse(EXAMPLES["subject.open"] | {"proof": bytes(64)}).binding(b"n" * 32, b"r" * 32) == bound


def test_one_purpose_of_a_key_never_signs_for_another() -> None:
    leads = [model.parse(EXAMPLES[type_]).binding(b"n" * 32, b"a" * 32) for model, type_ in
             [(Admit, "participant.admit"), (Rotate, "participant.rotate"), (Open, "subject.open")]]  # fmt: skip
    assert [lead[: lead.index(b"\0") + 1] for lead in leads] == [
        b"carenet/admit/v1\0",
        b"carenet/rotate/v1\0",
        b"carenet/open/v1\0",
    ]


def test_an_optional_field_that_is_none_is_not_written() -> None:
    give = Give(ID, ("read",), ("clinical",), history=True, until_ms=None, purpose="treat")
    assert give.to_map().keys() == {"grantee", "actions", "compartments", "history", "until_ms", "purpose"}
    assert all(issubclass(model, Shape) for model in PAYLOADS.values())


def test_an_epochs_id_is_the_beginning_of_its_public_keys_hash() -> None:
    import hashlib  # noqa: PLC0415 - the independent computation

    assert keys.compute_epoch_id(HPKE) == hashlib.sha256(HPKE).digest()[:16]
