"""Receipts: the proof that a statement is in a log, small enough to travel beside it (COSE Receipts, RFC 9942).

A receipt is a COSE_Sign1 message whose detached payload is the log's root, which the verifier computes from the entry
and the path inside. The entry's bytes travel beside it, since they, not the statement, are the leaf. Protected header:
`1` alg −8, `4` kid, `16` typ, `395` = 1 (RFC9162_SHA256), and our own `"origin"` and `"size"`: a path alone verifies
at several sizes, and a root alone does not say whose it is. Unprotected: `{396: {-1: [proof]}}`, the proof a byte
string of CBOR `[size, index, [path…]]`.

Verifying, in order:
1. the receipt is a tagged COSE_Sign1 in deterministic CBOR, with exactly these headers, types and a detached payload;
2. its kid is that of a node whose key we know;
3. the entry decodes, and names the statement's digest;
4. the proof is for the size that the protected header states, and its path has the exact length: this gives the root;
5. the node's signature covers header and root.

Left to the caller: that the statement's bytes hash to the digest, that the origin is the log of the statement's
subject, that the keys handed in are those of nodes at that time, and how many nodes' receipts it wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SigningKey, is_valid_signature
from carenet.encoding.ids import ID_BYTES
from carenet.errors import EncodingError, ProofError
from carenet.ledger.checkpoint import Checkpoint
from carenet.ledger.entry import Entry, decode_entry
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.proofs import root_from_inclusion, verify_inclusion

TYP = "application/carenet-receipt"
VERIFIABLE_DATA_STRUCTURE, VERIFIABLE_DATA_PROOFS = 395, 396
RFC9162_SHA256 = 1
INCLUSION_PROOFS = -1
ORIGIN, SIZE = "origin", "size"

_HEADER_TYPES: dict[int | str, type] = {
    cose.ALG: int,
    cose.KID: bytes,
    cose.TYP: str,
    VERIFIABLE_DATA_STRUCTURE: int,
    ORIGIN: str,
    SIZE: int,
}
_PROOF_ITEMS = 3


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a verified receipt proves: that the log `origin` had `entry` at `index` when it was `size` long.

    Attributes:
        origin: which log.
        size: leaves in the log at the time.
        index: the entry's place in it.
        root: the root that the node signed, 32 bytes.
        entry: the entry, decoded.
        kid: thumbprint of the node's key, 32 bytes.
    """

    origin: str
    size: int
    index: int
    root: bytes
    entry: Entry
    kid: bytes


@dataclass(frozen=True, slots=True)
class _Parsed:
    protected: bytes
    kid: bytes
    origin: str
    size: int
    index: int
    path: list[bytes]
    signature: bytes


def build_receipt(
    checkpoint: Checkpoint, entry: bytes, index: int, path: Sequence[bytes], signing_key: SigningKey
) -> bytes:
    """Sign a receipt for one entry.

    Args:
        checkpoint: a root that this node has signed as a checkpoint.
        entry: the entry's bytes, the leaf.
        index: the entry's place in the log.
        path: its inclusion path at the checkpoint's size.
        signing_key: the node's.

    Raises:
        ProofError: the path does not lead from the entry to the checkpoint's root; nothing is signed.
    """
    verify_inclusion(hash_leaf(entry), index, checkpoint.size, path, checkpoint.root)
    protected = cbor.encode(
        {
            cose.ALG: cose.EDDSA,
            cose.KID: cose.compute_thumbprint(signing_key.public),
            cose.TYP: TYP,
            VERIFIABLE_DATA_STRUCTURE: RFC9162_SHA256,
            ORIGIN: checkpoint.origin,
            SIZE: checkpoint.size,
        }
    )
    signature = signing_key.sign(cose.encode_sig_structure(protected, checkpoint.root))
    proof = cbor.encode([checkpoint.size, index, list(path)])
    return cose.encode_sign1(protected, None, signature, {VERIFIABLE_DATA_PROOFS: {INCLUSION_PROOFS: [proof]}})


def verify_receipt(
    receipt: bytes, entry: bytes, statement_digest: bytes, node_keys: Mapping[bytes, bytes]
) -> VerifiedReceipt:
    """Check a receipt by the plan above.

    Args:
        receipt: as `build_receipt` made it.
        entry: the entry's bytes, which travelled beside it.
        statement_digest: SHA-256 of the statement's bytes, computed by the caller; 32 bytes.
        node_keys: the network's nodes: key thumbprint to Ed25519 public key, 32 bytes each.

    Raises:
        EncodingError: the receipt or the entry is malformed.
        ProofError: an unknown node, another statement's entry, a path that does not fit, or a bad signature.
    """
    # 1. Unknown headers could change the meaning of what was signed, so there are none.
    parsed = _parse_unverified(receipt)
    # 2. Anyone can sign a receipt; only the network's nodes count.
    public = node_keys.get(parsed.kid)
    if public is None:
        raise ProofError("the receipt's kid is that of no known node")
    # 3. Else a true receipt for another statement would pass for this one's.
    decoded = decode_entry(entry)
    if len(statement_digest) != ID_BYTES or decoded.digest != statement_digest:
        raise ProofError("the receipt's entry names another statement")
    # 4. Index and size decide which way the path turns; the size is the one that the node signed.
    root = root_from_inclusion(hash_leaf(entry), parsed.index, parsed.size, parsed.path)
    # 5. The root is not in the receipt: the signature holds only for the one that entry and path lead to.
    if not is_valid_signature(public, parsed.signature, cose.encode_sig_structure(parsed.protected, root)):
        raise ProofError("the receipt's signature does not hold for this entry's root")
    return VerifiedReceipt(parsed.origin, parsed.size, parsed.index, root, decoded, parsed.kid)


def _parse_unverified(receipt: bytes) -> _Parsed:
    message = cose.decode_sign1(receipt)
    header = message.header
    if message.payload is not None:
        raise EncodingError("a receipt's payload is detached")
    if header.keys() != _HEADER_TYPES.keys():
        raise EncodingError("a receipt's protected header has exactly alg, kid, typ, 395, origin and size")
    if any(type(header[label]) is not wanted for label, wanted in _HEADER_TYPES.items()):
        raise EncodingError("a receipt's protected header has a value of another type")
    if (header[cose.ALG], header[cose.TYP]) != (cose.EDDSA, TYP):
        raise EncodingError(f"a receipt's alg is {cose.EDDSA} and its typ {TYP}")
    if header[VERIFIABLE_DATA_STRUCTURE] != RFC9162_SHA256:
        raise EncodingError("a receipt's verifiable data structure is RFC9162_SHA256")
    size, index, path = _parse_proof(message.unprotected)
    if size != header[SIZE]:
        raise EncodingError("a receipt's proof is for the size in its protected header")
    return _Parsed(message.protected, header[cose.KID], header[ORIGIN], size, index, path, message.signature)


def _parse_proof(unprotected: dict[int | str, Any]) -> tuple[int, int, list[bytes]]:
    match unprotected:
        # Patterns take no bare names: VERIFIABLE_DATA_PROOFS and INCLUSION_PROOFS, spelled out.
        case {396: {-1: [bytes(encoded)], **other_proofs}, **other_headers} if not (other_proofs or other_headers):
            proof = cbor.decode(encoded)
        case _:
            raise EncodingError("a receipt's unprotected header is {396: {-1: [one inclusion proof]}}")
    if not isinstance(proof, list) or len(proof) != _PROOF_ITEMS:
        raise EncodingError("an inclusion proof is [size, index, path]")
    size, index, path = proof
    if type(size) is not int or type(index) is not int or not isinstance(path, list):
        raise EncodingError("an inclusion proof is [integer, integer, array]")
    if not all(isinstance(step, bytes) for step in path):
        raise EncodingError("an inclusion path is an array of byte strings")
    return size, index, path
