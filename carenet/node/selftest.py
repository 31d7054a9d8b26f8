"""Crafted signatures that a worker judges before it folds: replicas that disagree on one of them would split.

The cases are built here from one honest signature, so they do not depend on a file that could be missing. Ed25519's
libraries differ exactly here; ours must refuse all but the first (libsodium's rule, `carenet.encoding.ed25519`). The
same is asked of signatures over a batch, whose root comes from a path that no signature covers.
"""

from __future__ import annotations

from carenet.encoding.ed25519 import SigningKey, is_admissible_key, is_valid_signature
from carenet.errors import SetupError
from carenet.ledger.hashes import hash_leaf
from carenet.statements.batch import BatchPlace, build_batch, compute_batch_root, is_root_signed, sign_root

_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the prime-order subgroup (RFC 8032 section 5.1)
_PRIME = 2**255 - 19
_MESSAGE = b"carenet self-test"
_IDENTITY = (1).to_bytes(32, "little")  # the neutral point: under it every message has a "signature"
_NON_CANONICAL_IDENTITY = (1 + _PRIME).to_bytes(32, "little")
_SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8


def check_signature_rule() -> None:
    """Judge the crafted signatures.

    Raises:
        SetupError: one comes out otherwise than the network's rule says.
    """
    key = SigningKey(bytes(range(32)))
    honest = key.sign(_MESSAGE)
    point, scalar = honest[:32], int.from_bytes(honest[32:], "little")
    forged_zero = _IDENTITY + bytes(32)
    cases = {
        "honest": (key.public, honest, True),
        "another-message": (key.public, key.sign(b"other"), False),
        "scalar-plus-order": (key.public, point + (scalar + _ORDER).to_bytes(32, "little"), False),
        "identity-key": (_IDENTITY, forged_zero, False),
        "non-canonical-identity-key": (_NON_CANONICAL_IDENTITY, forged_zero, False),
        "small-order-key": (_SMALL_ORDER, forged_zero, False),
        "non-canonical-point": (key.public, _NON_CANONICAL_IDENTITY + honest[32:], False),
        "short": (key.public, honest[:63], False),
    }
    wrong = [
        name
        for name, (public, signature, is_valid) in cases.items()
        if is_valid_signature(public, signature, _MESSAGE) != is_valid
    ]
    wrong += [
        f"admits-{name}"
        for name, public in (("identity", _IDENTITY), ("small-order", _SMALL_ORDER))
        if is_admissible_key(public)
    ]
    wrong += _misjudged_batches(key)
    if wrong:
        raise SetupError(
            f"this machine's Ed25519 library judges {', '.join(wrong)} otherwise than the network's rule;"
            " install PyNaCl with its own libsodium"
        )


def _misjudged_batches(key: SigningKey) -> list[str]:
    network, other_network = bytes(32), bytes(31) + b"\x01"
    leaves = [hash_leaf(bytes((number,))) for number in range(3)]
    root, places = build_batch(leaves)
    first, _, last = places
    honest = sign_root(network, 3, root, key)
    higher = honest[:32] + (int.from_bytes(honest[32:], "little") + _ORDER).to_bytes(32, "little")
    as_single = key.sign(leaves[0])
    cases = {
        "first": (leaves[0], first, network, honest, True),
        "last": (leaves[2], last, network, honest, True),
        "another-leaf": (leaves[1], first, network, honest, False),
        "another-index": (leaves[0], first._replace(leaf_index=1), network, honest, False),
        "another-size-of-the-same-root": (leaves[0], first._replace(size=4), network, honest, False),
        "swapped-steps": (leaves[0], first._replace(path=first.path[::-1]), network, honest, False),
        "another-network": (leaves[0], first, other_network, honest, False),
        "scalar-plus-order": (leaves[0], first, network, higher, False),
        "signed-singly": (leaves[0], BatchPlace(0, 1, ()), network, as_single, False),
    }
    return [
        f"batch-{name}"
        for name, (leaf, place, net, signature, is_valid) in cases.items()
        if is_root_signed(key.public, net, place.size, compute_batch_root(leaf, place), signature) != is_valid
    ]
