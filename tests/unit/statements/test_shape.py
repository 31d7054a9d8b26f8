from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from carenet.encoding import cbor
from carenet.errors import StatementError
from carenet.statements.shape import (
    Rule,
    Shape,
    boolean,
    identity,
    integer,
    listing,
    mapping,
    maybe,
    name,
    nested,
    one_of,
    raw,
)


@dataclass(frozen=True, slots=True)
class Leaf(Shape):
    size: Annotated[int, integer(0, 9)]


@dataclass(frozen=True, slots=True)
class Branch(Shape):
    leaf: Annotated[Leaf, nested(Leaf)]
    leaves: Annotated[tuple[Leaf, ...], listing(nested(Leaf), 0, 2)]
    keys: Annotated[dict[str, bytes], mapping(raw(2), 1, 2)]
    until: Annotated[int | None, maybe(integer(0, 9))]
    extra: Annotated[str | None, name] = None


WHOLE = {"leaf": {"size": 1}, "leaves": [{"size": 2}], "keys": {"a": b"xx"}, "until": None}


def test_a_model_survives_its_map_and_its_bytes() -> None:
    branch = Branch.parse(WHOLE)
    assert branch == Branch(Leaf(1), (Leaf(2),), {"a": b"xx"}, None)
    assert branch.to_map() == WHOLE
    assert Branch.parse(cbor.decode(branch.encode())) == branch


def test_an_absent_field_stays_absent_and_a_null_one_stays_null() -> None:
    assert "extra" not in Branch.parse(WHOLE).to_map()
    assert Branch.parse(WHOLE | {"extra": "x"}).to_map()["extra"] == "x"
    assert Branch.parse(WHOLE).to_map()["until"] is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "^payload is a map"),
        (WHOLE | {"more": 1}, "^payload.more is not a field of it"),
        (WHOLE | {1: 1}, "^payload.1 is not a field of it"),
        (WHOLE | {"y" * 80: 1}, "^payload.that is no name is not"),
        ({key: value for key, value in WHOLE.items() if key != "until"}, "^payload.until is missing"),
        (WHOLE | {"extra": None}, "^payload.extra is a name"),  # absent is the one way to say nothing
        (WHOLE | {"leaf": {"size": 10}}, "^payload.leaf.size is an integer from 0 to 9"),
        (WHOLE | {"leaf": {"sizes": 1}}, "^payload.leaf.sizes is not a field"),
        (WHOLE | {"leaf": None}, "^payload.leaf is a map"),
        (WHOLE | {"leaves": [{"size": 2}, {"size": -1}]}, r"^payload.leaves\[1\].size is an integer"),
        (WHOLE | {"leaves": [{"size": 2}, {"size": 2}]}, "^payload.leaves repeats an item"),
        (WHOLE | {"leaves": [{"size": place} for place in range(3)]}, "^payload.leaves is a list of 0 to 2"),
        (WHOLE | {"leaves": {}}, "^payload.leaves is a list"),
        (WHOLE | {"keys": {}}, "^payload.keys is a map of 1 to 2"),
        (WHOLE | {"keys": {"A": b"xx"}}, "^payload.keys key is a name"),
        (WHOLE | {"keys": {1: b"xx"}}, "^payload.keys key is a name"),
        (WHOLE | {"keys": {"a": b"x"}}, "^payload.keys.a is 2 bytes"),
        (WHOLE | {"keys": [b"xx"]}, "^payload.keys is a map"),
    ],
)
def test_a_broken_rule_is_named_with_its_field(value: Any, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        Branch.parse(value)


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (raw(2), [b"ab"], [b"a", b"abc", "ab", None, 2]),
        (identity, [bytes(32)], [bytes(31), "x" * 32, None]),
        (integer(-1, 1), [-1, 0, 1], [-2, 2, True, "0", None]),
        (one_of("a", 1), ["a", 1], ["b", True, b"a", None, []]),
        (name, ["a", "x" * 64, "a.b_c-9"], ["", "x" * 65, "A", "a b", "a\n", b"a", None]),
        (boolean, [True, False], [0, 1, None, "true"]),
        (maybe(raw(1)), [b"a", None], [b"", False]),
    ],
)
def test_a_rule_allows_and_refuses(rule: Rule, allowed: list[Any], refused: list[Any]) -> None:
    for value in allowed:
        assert rule(value, "field") == value
    for value in refused:
        with pytest.raises(StatementError, match=r"^field "):
            rule(value, "field")
