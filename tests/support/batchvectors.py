"""The golden vectors of batch signatures, `tests/conformance/batch_signatures.json`; run as a module, it prints them.

What is accepted is fixed by these bytes: if they change, replicas of two versions split. Keys and contents follow from
labels, and Ed25519 is deterministic, so the file regenerates identically.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ids import sha256
from carenet.statements.batch import BatchPlace
from carenet.statements.header import ED25519_OVER_BATCH
from carenet.statements.statement import Statement, Unsigned, sign_batch
from tests.support.actors import actor, header_of

_SIGNER = actor("lab")
_PICKED = {1: (0,), 2: (0, 1), 3: (0, 2), 7: (4, 6), 1000: (0, 511, 992, 999), 1024: (0, 1023)}


def build_vectors() -> dict[str, Any]:
    """Statements that hold, and changed ones with the reason for which the fold refuses them; bytes in hex."""
    batches = {size: sign_batch([_part(number) for number in range(size)], _SIGNER.key) for size in _PICKED}
    accepted = [_accepted(batches[size][index]) for size, indices in _PICKED.items() for index in indices]
    return {
        "public": _SIGNER.key.public.hex(),
        "network": sha256(b"network").hex(),
        "accepted": accepted,
        "refused": [
            {"name": name, "statement": encoded.hex(), "reason": reason}
            for name, encoded, reason in _refused(batches[3][0], batches[7][4])
        ],
    }


def _part(number: int) -> Unsigned:
    header = header_of(
        _SIGNER,
        type="care.observation",
        content_type="application/fhir+json",
        cti=number.to_bytes(16, "big"),
        alg=ED25519_OVER_BATCH,
    )
    return Unsigned.of(header, sha256(b"body %d" % number))


def _accepted(statement: Statement) -> dict[str, Any]:
    place, root = statement.place, statement.batch_root
    assert place is not None
    assert root is not None
    return {
        "index": place.leaf_index,
        "size": place.size,
        "path": [step.hex() for step in place.path],
        "root": root.hex(),
        "statement": statement.encoded.hex(),
        "digest": statement.digest.hex(),
    }


def _refused(of_three: Statement, of_seven: Statement) -> Iterator[tuple[str, bytes, str]]:
    place = of_three.place
    assert place is not None
    steps = place.path
    for name, other in {
        "another index": place._replace(leaf_index=1),
        "another size with the same root": place._replace(size=4),
        "swapped steps": place._replace(path=steps[::-1]),
        "a step with a flipped bit": place._replace(path=(steps[0], bytes([steps[1][0] ^ 1]) + steps[1][1:])),
    }.items():
        yield name, _placed(of_three, other), "bad_signature"
    for name, other in {
        "a step too many": place._replace(path=(*steps, bytes(32))),
        "a step too few": place._replace(path=steps[:1]),
        "index at the size": place._replace(leaf_index=3),
        "size zero": place._replace(size=0),
        "size 1025": BatchPlace(0, 1025, (*steps, *[bytes(32)] * 9)),
        "a short step": place._replace(path=(steps[0], steps[1][:31])),
    }.items():
        yield name, _placed(of_three, other), "bad_statement"
    seventh = of_seven.signature
    parts = of_three.protected, of_three.payload
    yield "another batch's signature", cose.encode_sign1(*parts, seventh, _map(place)), "bad_signature"
    yield "no place", cose.encode_sign1(*parts, of_three.signature), "bad_statement"
    yield "a second label", cose.encode_sign1(*parts, of_three.signature, _map(place) | {"more": 1}), "bad_statement"
    single = cbor.encode(cbor.decode(of_three.protected) | {cose.ALG: cose.EDDSA})
    signature = _SIGNER.key.sign(cose.encode_sig_structure(single, of_three.payload))
    yield "a place under alg -8", cose.encode_sign1(single, of_three.payload, signature, _map(place)), "bad_statement"
    alone = _SIGNER.key.sign(cose.encode_sig_structure(*parts))
    yield "signed singly", cose.encode_sign1(*parts, alone, _map(BatchPlace(0, 1, ()))), "bad_signature"
    longer = of_three.encoded.replace(b"\x65batch\x83\x00", b"\x65batch\x83\x18\x00")
    yield "an index in two bytes", longer, "bad_encoding"


def _map(place: BatchPlace) -> dict[int | str, Any]:
    return {"batch": [place.leaf_index, place.size, list(place.path)]}


def _placed(statement: Statement, place: BatchPlace) -> bytes:
    return cose.encode_sign1(statement.protected, statement.payload, statement.signature, _map(place))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build_vectors(), indent=1) + "\n")
