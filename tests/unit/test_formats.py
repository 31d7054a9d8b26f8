"""docs/formats.md says what the code does: the lists that can be compared are compared."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import pytest

from carenet.encoding import cbor
from carenet.rules.reasons import RETRYABLE, Reason
from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey
from carenet.statements.header import _FORM, _OPTIONAL, _REQUIRED
from carenet.statements.payloads import ACTIONS, MAX_BROUGHT, MAX_CUSTODIANS, MAX_WRAPS, PAYLOADS
from carenet.statements.records import MAX_RECORD_BYTES
from carenet.statements.shape import Shape
from tests.support.actors import actor, header_of

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
CDDL = "\n".join(re.findall(r"```cddl\n(.*?)```", DOCUMENT, re.DOTALL))
PLAIN = re.sub(r";[^\n]*", "", CDDL)
PRELUDE = {"any", "bool", "bytes", "text", "uint", "int", "null", "true", "false"}
MODELS: dict[str, type[Shape]] = PAYLOADS | {"genesis": Genesis, "authority-key": AuthorityKey, "node-key": NodeKey}
FIELD = re.compile(r"^  (?P<optional>\? )?(?P<label>\"?[\w-]+\"?): (?P<type>.*?),?$", re.MULTILINE)


def rule(name: str, opening: str = "{", closing: str = "}") -> list[tuple[str, bool, str]]:
    """The fields of a rule: label, whether it may be absent, and its type."""
    found = re.search(
        rf"^{re.escape(name)} += {re.escape(opening)}\n(.*?)^{re.escape(closing)}", CDDL, re.DOTALL | re.MULTILINE
    )
    assert found, f"docs/formats.md has no rule {name}"
    lines = "\n".join(line.split(";")[0].rstrip() for line in found[1].splitlines())
    return [(each["label"], bool(each["optional"]), each["type"]) for each in FIELD.finditer(lines)]


def reason_rows() -> list[tuple[str, str]]:
    table = DOCUMENT.split("## 12.")[1]
    return re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]*)\|$", table, re.MULTILINE)


def test_the_reasons_are_those_of_the_code_in_the_order_of_the_checks() -> None:
    assert [code for code, _ in reason_rows()] == [reason.value for reason in Reason]


def test_the_document_says_what_the_sdk_mends() -> None:
    assert {code for code, mended in reason_rows() if mended.strip()} == {reason.value for reason in RETRYABLE}


@pytest.mark.parametrize("name", MODELS)
def test_the_fields_of_a_model_are_those_of_its_rule(name: str) -> None:
    wanted = [(each.name, each.default is not MISSING) for each in fields(MODELS[name])]
    assert [(label, optional) for label, optional, _ in rule(name)] == wanted


@pytest.mark.parametrize("name", MODELS)
def test_a_field_may_be_null_where_its_rule_says_so(name: str) -> None:
    hints = get_type_hints(MODELS[name])
    for label, optional, written in rule(name):
        is_nullable = NoneType in get_args(hints[label]) and not optional
        assert written.endswith("/ null") == is_nullable, f"{name}.{label}"


def test_every_control_payload_is_a_choice() -> None:
    choices = re.search(r"^control-payload = (.*?)\n\n", PLAIN, re.DOTALL | re.MULTILINE)
    assert choices
    assert re.findall(r"[\w.]+", choices[1]) == list(PAYLOADS)


def test_the_labels_of_a_header_are_those_of_the_code() -> None:
    written = {label.strip('"') for label, _, _ in rule("header-fields", "(", ")")}
    assert written == {str(label) for label in _REQUIRED | _OPTIONAL.keys()}
    assert {label.strip('"') for label, optional, _ in rule("header-fields", "(", ")") if optional} == _OPTIONAL.keys()
    forms = re.findall(r"header-fields, (.*?) }", PLAIN)
    assert {int(label) for form in forms for label in re.findall(r"(\d+):", form)} == _FORM


def test_the_claims_are_those_of_the_code() -> None:
    header = cbor.decode(header_of(actor("lab")).encode())
    assert [int(label) for label, _, _ in rule("claims")] == list(header[15])


def test_the_limits_are_those_of_the_code() -> None:
    assert f"[1*{MAX_WRAPS} id]" in CDDL
    assert f"[1*{MAX_BROUGHT} epoch-id]" in CDDL
    assert f"[1*{MAX_CUSTODIANS} id]" in CDDL
    assert f"at most {MAX_RECORD_BYTES:,} bytes" in DOCUMENT
    assert " / ".join(f'"{action}"' for action in ACTIONS) in CDDL


def test_every_name_in_the_cddl_is_defined() -> None:
    without = re.sub(r'"[^"]*"|\.[a-z]+\b(?= [("\w])', " ", PLAIN)  # texts, and operators such as .size
    defined = set(re.findall(r"^([\w.-]+) +=", without, re.MULTILINE))
    keys = set(re.findall(r"([\w.-]+):", without))
    used = {each for each in re.findall(r"[A-Za-z][\w.-]*", re.sub(r"[\w.-]+:", " ", without)) if not each.isdigit()}
    assert used <= defined | PRELUDE, sorted(used - defined - PRELUDE)
    assert keys, "members were found at all"
