from __future__ import annotations

from dataclasses import replace
from functools import cache
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, ProofError, StatementError
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.proofs import root_from_inclusion
from carenet.ledger.prover import inclusion_path
from carenet.ledger.tree import Tree
from carenet.statements import batch
from carenet.statements.batch import (
    MAX_BATCH,
    BatchPlace,
    build_batch,
    compute_batch_root,
    encode_batch,
    encode_place,
    is_root_signed,
    match_place,
    path_length,
    read_place,
    sign_root,
)
from carenet.statements.header import ED25519_OVER_BATCH
from carenet.statements.statement import Statement, Unsigned, parse_statement, sign_batch, sign_statement
from tests.support.actors import actor, header_of

LAB = actor("lab")
NETWORK = sha256(b"network")
LEAVES = [hash_leaf(b"%d" % number) for number in range(MAX_BATCH)]
sizes = st.integers(1, MAX_BATCH)


@st.composite
def places(draw: st.DrawFn) -> BatchPlace:
    """A place whose path has the right length and any steps."""
    size = draw(sizes)
    index = draw(st.integers(0, size - 1))
    return BatchPlace(index, size, tuple(LEAVES[: path_length(index, size)]))


def part(number: int, **changes: Any) -> Unsigned:
    header = header_of(
        LAB,
        type="care.observation",
        content_type="application/fhir+json",
        cti=number.to_bytes(16, "big"),
        alg=ED25519_OVER_BATCH,
        **changes,
    )
    return Unsigned.of(header, sha256(b"%d" % number))


@cache
def signed(size: int) -> list[Statement]:
    return sign_batch([part(number) for number in range(size)], LAB.key)


def with_place(statement: Statement, place: object) -> bytes:
    """The statement's bytes with anything as its place."""
    return cose.encode_sign1(statement.protected, statement.payload, statement.signature, {"batch": place})


def is_accepted(encoded: bytes, public: bytes = LAB.key.public) -> bool:
    try:
        return parse_statement(encoded).is_signed_by(public)
    except BadInputError:
        return False


# The tree.


@given(sizes)
def test_the_root_is_that_of_the_ledgers_tree(size: int) -> None:
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert build_batch(LEAVES[:size])[0] == tree.root()


@given(st.data(), sizes)
def test_every_place_is_the_ledgers_inclusion_path(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    tiles = tree.partial_tiles() | {(tile.level, tile.index): tile.hashes for tile in tree.drain_tiles()}
    place = list(build_batch(LEAVES[:size])[1])[index]
    assert place == (index, size, tuple(inclusion_path(index, size, tiles)))
    assert compute_batch_root(LEAVES[index], place) == tree.root()


@given(places())
def test_the_root_of_any_place_is_the_one_of_rfc_9162(place: BatchPlace) -> None:
    leaf = hash_leaf(b"leaf")
    assert compute_batch_root(leaf, place) == root_from_inclusion(leaf, *place)


@given(places(), st.integers(-3, 3))
def test_only_the_exact_length_of_a_path_is_one(place: BatchPlace, more: int) -> None:
    length = len(place.path) + more
    if length < 0:
        return
    try:
        root_from_inclusion(LEAVES[0], place.leaf_index, place.size, LEAVES[:length])
    except ProofError:
        assert more
    else:
        assert not more


@pytest.mark.parametrize("size", [0, MAX_BATCH + 1])
def test_no_batch_is_empty_or_larger_than_its_limit(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024"):
        build_batch([bytes(32)] * size)


# The place, from a decoded header and from bytes.


@given(places())
def test_a_place_survives_its_bytes_both_ways(place: BatchPlace) -> None:
    encoded = encode_place(place)
    assert encoded == cbor.encode({"batch": [place.leaf_index, place.size, list(place.path)]})
    assert read_place(cbor.decode(encoded)) == place
    assert match_place(b"before" + encoded + b"\x58\x20" + bytes(32), 6) == (place, 6 + len(encoded))


@given(places(), st.data())
def test_the_fast_reader_takes_exactly_what_the_general_one_takes(place: BatchPlace, data: st.DataObject) -> None:
    encoded = bytearray(encode_place(place))
    at = data.draw(st.integers(0, len(encoded) - 1))
    removed, inserted = data.draw(st.integers(0, 3)), data.draw(st.binary(max_size=3))
    changed = bytes(encoded[:at] + inserted + encoded[at + removed :])
    try:
        wanted = read_place(cbor.decode(changed))
    except BadInputError:
        found = match_place(changed, 0)
        assert found is None or found[1] < len(changed)  # what follows is the caller's to read
    else:
        assert match_place(changed, 0) == (wanted, len(changed))


def test_the_fast_reader_takes_no_number_outside_its_bounds_or_longer_than_it_need_be() -> None:
    start = b"\xa1\x65batch\x83"
    assert match_place(start + b"\x00\x01\x80", 0) == (BatchPlace(0, 1, ()), 11)
    for body in (
        b"\x00\x00\x80",
        b"\x01\x01\x80",
        b"\x18\x00\x01\x80",
        b"\x00\x18\x01\x80",
        b"\x00\x01\x98\x00",
        b"\x20\x01\x80",
        b"\x00\x19\x04\x01\x8b" + 11 * (b"\x58\x20" + bytes(32)),
        b"\x00\x02\x81\x58\x20" + bytes(31),
        b"\x00\x02\x81\x58\x21" + bytes(33),
        b"\x00\x02\x81\x78\x20" + bytes(32),
    ):
        assert match_place(start + body, 0) is None, body.hex()


@pytest.mark.parametrize(
    ("unprotected", "rule"),
    [
        ({}, "is {"),
        ({"batch": [0, 1, []], "more": 1}, "is {"),
        ({"Batch": [0, 1, []]}, "is {"),
        ({"batch": None}, "is {"),
        ({"batch": [0, 1]}, "is {"),
        ({"batch": [0, 1, [], []]}, "is {"),
        ({"batch": [False, True, []]}, "is {"),
        ({"batch": ["0", 1, []]}, "is {"),
        ({"batch": [0, 1, b""]}, "is {"),
        ({"batch": [0, 0, []]}, "1 to 1024"),
        ({"batch": [-1, 1, []]}, "1 to 1024"),
        ({"batch": [1, 1, []]}, "1 to 1024"),
        ({"batch": [0, 1025, [bytes(32)] * 11]}, "1 to 1024"),
        ({"batch": [0, 1, [bytes(32)]]}, "index 0 in a batch of 1 has 0 steps"),
        ({"batch": [0, 3, [bytes(32)]]}, "index 0 in a batch of 3 has 2 steps"),
        ({"batch": [2, 3, [bytes(32)] * 2]}, "index 2 in a batch of 3 has 1 steps"),
        ({"batch": [0, 2, [bytes(31)]]}, "32 bytes"),
        ({"batch": [0, 2, ["x" * 32]]}, "32 bytes"),
        ([], "is {"),
    ],
)
def test_an_ill_formed_place_is_refused_by_its_rule(unprotected: Any, rule: str) -> None:
    with pytest.raises(StatementError, match=rule):
        read_place(unprotected)


# The signature.


def test_what_is_signed_names_its_purpose_the_network_the_size_and_the_root() -> None:
    root = bytes(range(32))
    assert encode_batch(NETWORK, 258, root) == b"carenet/batch/v1\0" + NETWORK + b"\0\0\1\2" + root


@given(sizes)
def test_every_statement_of_a_batch_of_any_size_holds_alone(size: int) -> None:
    statements = signed(size)
    assert len({each.signature for each in statements}) == 1
    assert len({each.digest for each in statements}) == size
    for each in (statements[0], statements[size // 2], statements[-1]):
        again = parse_statement(each.encoded)
        assert again == each
        assert again.is_signed_by(LAB.key.public)


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (3, 2), (6, 3), (7, 6), (1024, 1000)])
def test_a_flipped_bit_anywhere_in_a_statement_of_a_batch_is_refused(size: int, index: int) -> None:
    statement = signed(size)[index]
    assert is_accepted(statement.encoded)
    for bit in range(8 * len(statement.encoded)):
        flipped = bytearray(statement.encoded)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_accepted(bytes(flipped)), f"bit {bit} may flip"


@given(st.data(), sizes)
def test_no_other_place_of_a_statement_is_accepted(data: st.DataObject, size: int) -> None:
    statement = signed(size)[data.draw(st.integers(0, size - 1))]
    assert statement.place is not None
    place = statement.place
    bit = data.draw(st.integers(0, 8 * 32 - 1))
    step = data.draw(st.integers(0, max(0, len(place.path) - 1)))
    changed = [
        place._replace(leaf_index=data.draw(st.integers(0, 1100))),
        place._replace(size=data.draw(st.integers(0, 1100))),
        place._replace(path=(*place.path, bytes(32))),
        place._replace(path=place.path[:-1]),
        place._replace(path=tuple(reversed(place.path))),
        place._replace(path=tuple(_flip(each, bit) if at == step else each for at, each in enumerate(place.path))),
    ]
    for other in changed:
        encoded = with_place(statement, [other.leaf_index, other.size, list(other.path)])
        assert is_accepted(encoded) == (other == place)
        if other != place:
            assert sha256(encoded) != statement.digest


def test_a_size_at_which_the_same_path_leads_to_the_same_root_is_refused_because_it_is_signed() -> None:
    statement = signed(3)[0]  # from leaf 0 two steps lead to the root of three leaves, and so they would of four
    assert statement.place is not None
    posed = parse_statement(with_place(statement, [0, 4, list(statement.place.path)]))
    assert posed.batch_root == statement.batch_root
    assert not posed.is_signed_by(LAB.key.public)


def test_another_key_or_network_did_not_sign_the_batch() -> None:
    statement = signed(5)[3]
    assert not statement.is_signed_by(actor("pharmacy").key.public)
    elsewhere = sign_batch([part(0, network=bytes(32))], LAB.key)[0]
    assert elsewhere.is_signed_by(LAB.key.public)
    root = elsewhere.batch_root
    assert root is not None
    assert not is_root_signed(LAB.key.public, NETWORK, 1, root, elsewhere.signature)


@given(st.integers(0, 511))
def test_a_flipped_bit_of_the_roots_signature_is_refused(bit: int) -> None:
    statement = signed(5)[3]
    assert not replace(statement, signature=_flip(statement.signature, bit)).is_signed_by(LAB.key.public)


def test_one_key_signature_serves_neither_way_under_the_other_algorithm() -> None:
    batched, single = part(0), header_of(LAB, type="care.observation", content_type="application/fhir+json")
    as_single = LAB.key.sign(cose.encode_sig_structure(batched.protected, batched.payload))
    for place in ([0, 1, []], [0, 2, [bytes(32)]]):
        posed = cose.encode_sign1(batched.protected, batched.payload, as_single, {"batch": place})
        assert not parse_statement(posed).is_signed_by(LAB.key.public)
    with pytest.raises(StatementError, match="batch signature is"):
        parse_statement(cose.encode_sign1(batched.protected, batched.payload, as_single))

    honest = sign_statement(single, bytes(32), LAB.key)
    leaf = hash_leaf(cose.encode_sig_structure(honest.protected, honest.payload))
    root, _ = build_batch([leaf])
    over_root = sign_root(NETWORK, 1, root, LAB.key)
    assert not parse_statement(cose.encode_sign1(honest.protected, honest.payload, over_root)).is_signed_by(
        LAB.key.public
    )
    for signature in (over_root, honest.signature):
        with pytest.raises(StatementError, match="unprotected header is empty"):
            parse_statement(cose.encode_sign1(honest.protected, honest.payload, signature, {"batch": [0, 1, []]}))


def test_a_batch_is_of_one_key_network_and_algorithm() -> None:
    with pytest.raises(ValueError, match="thumbprint"):
        sign_batch([part(0)], actor("pharmacy").key)
    with pytest.raises(ValueError, match="one network"):
        sign_batch([part(0), part(1, network=bytes(32))], LAB.key)
    with pytest.raises(ValueError, match="alg is -8"):
        sign_batch([Unsigned.of(header_of(LAB), b"\xa0")], LAB.key)
    with pytest.raises(ValueError, match="alg is -65537"):
        sign_statement(header_of(LAB, alg=ED25519_OVER_BATCH), b"\xa0", LAB.key)
    with pytest.raises(ValueError, match="1 to 1024"):
        sign_batch([], LAB.key)


def test_a_roots_signature_is_verified_once_whatever_comes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counting(public: bytes, signature: bytes, message: bytes) -> bool:
        asked.append((public, signature, message))
        return public == LAB.key.public

    monkeypatch.setattr(batch, "is_valid_signature", counting)
    is_root_signed.cache_clear()
    for public in (LAB.key.public, bytes(32)):
        assert {each.is_signed_by(public) for each in signed(7)} == {public == LAB.key.public}
    assert len(asked) == 2
    is_root_signed.cache_clear()


def test_many_threads_may_verify_at_once() -> None:
    is_root_signed.cache_clear()
    answers: list[bool] = []
    statements = [parse_statement(each.encoded) for each in signed(64)]

    def verify() -> None:
        answers.extend(each.is_signed_by(LAB.key.public) for each in statements)

    threads = [Thread(target=verify) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * (8 * 64)


def _flip(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]
