"""The genesis file: what a network is, before its first statement (ARCHITECTURE section 5).

Deterministic CBOR; the network's id is its SHA-256, so nothing in it ever changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import is_admissible_key
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, StatementError
from carenet.statements import keys
from carenet.statements.shape import Shape, integer, listing, name, nested, one_of, raw

FORMAT = 1
MAX_PARTITIONS = 1024


@dataclass(frozen=True, slots=True)
class AuthorityKey(Shape):
    """A key that admits participants."""

    name: Annotated[str, name]
    sign: Annotated[bytes, raw(keys.SIGN_BYTES)]

    @property
    def id(self) -> bytes:
        """The authority's participant id: its key's thumbprint."""
        return cose.compute_thumbprint(self.sign)


@dataclass(frozen=True, slots=True)
class NodeKey(Shape):
    """A node's keys: Ed25519 for checkpoint notes now, ML-DSA-44 for cosignatures that outlive Ed25519."""

    name: Annotated[str, name]
    sign: Annotated[bytes, raw(keys.SIGN_BYTES)]
    mldsa: Annotated[bytes, raw(keys.MLDSA44_BYTES)]

    @property
    def id(self) -> bytes:
        """The node's participant id: its key's thumbprint."""
        return cose.compute_thumbprint(self.sign)


@dataclass(frozen=True, slots=True)
class Genesis(Shape):
    """A network's constants.

    Attributes:
        format: version of this file, 1.
        name: what people call the network.
        salt: 16 random bytes, so that two networks of one name differ.
        authorities: the keys that admit participants.
        threshold: how many of them must agree; 1 until authority statements can carry several signatures.
        nodes: the first nodes.
        quorum: how many nodes' lines make a checkpoint final; above half of them.
        topic: the Kafka topic of the events.
        partitions: its partition count, which never changes.
        snapshot_every: entries between two snapshots of a partition's state.
        retention_days: how long nothing may be erased.
        rulebook: version of the transition rules that the network starts with.
    """

    format: Annotated[int, one_of(FORMAT)]
    name: Annotated[str, name]
    salt: Annotated[bytes, raw(16)]
    authorities: Annotated[tuple[AuthorityKey, ...], listing(nested(AuthorityKey), 1, 16)]
    threshold: Annotated[int, one_of(1)]
    nodes: Annotated[tuple[NodeKey, ...], listing(nested(NodeKey), 1, 64)]
    quorum: Annotated[int, integer(1, 64)]
    topic: Annotated[str, name]
    partitions: Annotated[int, integer(1, MAX_PARTITIONS)]
    snapshot_every: Annotated[int, integer(1, 2**40)]
    retention_days: Annotated[int, integer(0, 365_000)]
    rulebook: Annotated[int, one_of(1)]

    @property
    def network_id(self) -> bytes:
        """SHA-256 of the encoded file, 32 bytes."""
        return sha256(self.encode())


def parse_genesis(data: bytes) -> Genesis:
    """Read and check a genesis file.

    Raises:
        StatementError: a field is missing, unknown or breaks a rule.
        EncodingError: not deterministic CBOR.
    """
    genesis = Genesis.parse(cbor.decode(data), "genesis")
    nodes = len(genesis.nodes)
    if not nodes // 2 < genesis.quorum <= nodes:
        raise StatementError(f"genesis.quorum is above half of the {nodes} nodes and at most all of them")
    keys_named = [authority.sign for authority in genesis.authorities] + [node.sign for node in genesis.nodes]
    if len(set(keys_named)) != len(keys_named):
        raise StatementError("genesis names one key twice")
    if not all(map(is_admissible_key, keys_named)):
        raise StatementError("a genesis key is not a point of Ed25519's prime-order subgroup")
    if genesis.encode() != data:
        raise EncodingError("the genesis file does not encode back to itself")
    return genesis
