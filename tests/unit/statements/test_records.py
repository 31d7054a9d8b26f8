from __future__ import annotations

from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as kafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError
from carenet.statements.records import (
    RecordValue,
    RelayProof,
    decode_record,
    encode_record,
    murmur2,
    partition_of,
)

hashes = st.binary(min_size=32, max_size=32)
proofs = st.builds(
    RelayProof,
    entry=st.binary(max_size=40),
    index=st.integers(0, cbor.MAX_INT),
    path=st.lists(hashes, max_size=64).map(tuple),
    checkpoint=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
)
values = st.builds(
    RecordValue, statement=st.binary(max_size=40), body=st.none() | st.binary(max_size=40), proof=st.none() | proofs
)
PROOF: list[Any] = [b"entry", 7, [bytes(32)], "note"]


@given(values)
def test_a_record_survives_its_bytes(value: RecordValue) -> None:
    assert decode_record(encode_record(value)) == value


@given(values, st.sampled_from([0, 23, 24, 255, 256, 65535, 65536]))
def test_a_record_is_written_as_the_general_encoder_would(value: RecordValue, length: int) -> None:
    long = RecordValue(bytes(length), value.body and bytes(length), value.proof)
    for each in (value, long):
        assert cbor.encode(cbor.decode(encode_record(each))) == encode_record(each)


def test_a_record_is_two_items_or_with_a_proof_three() -> None:
    assert cbor.decode(encode_record(RecordValue(b"s", None))) == [b"s", None]
    proof = RelayProof(b"entry", 7, (bytes(32),), "note")
    assert cbor.decode(encode_record(RecordValue(b"s", b"b", proof))) == [b"s", b"b", PROOF]


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([], "a record is"),
        ([b"s"], "a record is"),
        ({}, "a record is"),
        ([b"s", None, PROOF, None], "a record is"),
        (["s", None], "statement is bytes"),
        ([None, b"b"], "statement is bytes"),
        ([b"s", "b"], "its body bytes or null"),
        ([b"s", False], "its body bytes or null"),
        ([b"s", None, None], "proof is"),  # a plain record has one form
        ([b"s", None, []], "proof is"),
        ([b"s", None, PROOF[:3]], "proof is"),
        ([b"s", None, [None, *PROOF[1:]]], "bytes, integer, array, text"),
        ([b"s", None, [*PROOF[:3], b"note"]], "bytes, integer, array, text"),
        ([b"s", None, [b"e", 7, {}, "n"]], "bytes, integer, array, text"),
        ([b"s", None, [b"e", -1, [], "n"]], "index is not negative"),
        ([b"s", None, [b"e", True, [], "n"]], "index is not negative"),
        ([b"s", None, [b"e", None, [], "n"]], "index is not negative"),
        ([b"s", None, [b"e", 7, [bytes(32)] * 65, "n"]], "at most 64 hashes"),
        ([b"s", None, [b"e", 7, ["x"], "n"]], "path is an array of bytes"),
    ],
)
def test_a_malformed_record_is_refused_by_its_rule(items: Any, rule: str) -> None:
    with pytest.raises(EncodingError, match=rule):
        decode_record(cbor.encode(items))


@given(values, st.integers(0, 200), st.binary(max_size=6))
def test_cut_and_lengthened_records_are_refused(value: RecordValue, cut: int, tail: bytes) -> None:
    data = encode_record(value)
    for bad in (data[:cut], data + tail):
        if bad != data:
            with pytest.raises(EncodingError):
                decode_record(bad)


@given(st.binary(max_size=60))
def test_murmur2_is_the_one_of_kafkas_clients(data: bytes) -> None:
    assert murmur2(data) == kafkas_murmur2(data) & 0xFFFFFFFF


@given(hashes, st.integers(1, 64))
def test_a_subject_goes_where_kafkas_default_partitioner_sends_its_key(subject: bytes, partitions: int) -> None:
    key = encode_id(subject)
    every = list(range(partitions))
    assert partition_of(key, encode_id(b"n" * 32), partitions) == DefaultPartitioner()(key.encode(), every, every)


@given(hashes, st.integers(1, 64))
def test_the_networks_own_subject_is_always_in_partition_0(network: bytes, partitions: int) -> None:
    assert partition_of(encode_id(network), encode_id(network), partitions) == 0


def test_subjects_spread_over_the_partitions() -> None:
    network = encode_id(bytes(32))
    places = {partition_of(encode_id(bytes([place]) * 32), network, 8) for place in range(1, 100)}
    assert places == set(range(8))


@pytest.mark.parametrize(
    ("data", "wanted"),
    # Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest), as signed 32-bit integers there.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_the_published_hashes(data: bytes, wanted: int) -> None:
    assert murmur2(data) == wanted & 0xFFFFFFFF
