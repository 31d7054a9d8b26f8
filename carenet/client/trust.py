"""What a gateway says, held against what the network's nodes signed.

A recorded statement is believed when, in this order:
1. the statement parses and names our network;
2. its receipt verifies: a node of the genesis signed a root that contains the entry, and the entry names the statement;
3. the entry is of the statement's subject, and the log is that subject's.
That the log accepted it means that the rules did; its issuer's signature was checked there.
"""

from __future__ import annotations

from dataclasses import dataclass

from carenet.client import wire
from carenet.encoding.ids import encode_id
from carenet.errors import ProofError, StatementError
from carenet.ledger.checkpoint import origin_of
from carenet.ledger.entry import Entry
from carenet.ledger.receipts import VerifiedReceipt, verify_receipt
from carenet.statements.genesis import Genesis
from carenet.statements.records import partition_of
from carenet.statements.statement import Statement, parse_statement


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement that the network's log holds, proven.

    Attributes:
        statement: parsed.
        entry: its place in its subject's chain.
    """

    statement: Statement
    entry: Entry


class Trust:
    """A network's constants, as far as proofs rest on them.

    Args:
        genesis: checked to hash to the network id that the user holds.
    """

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.network = genesis.network_id
        self._network_key = encode_id(self.network)
        self._node_keys = {node.id: node.sign for node in genesis.nodes}

    def partition_of(self, subject: bytes) -> int:
        """The partition whose log holds a subject."""
        return partition_of(encode_id(subject), self._network_key, self.genesis.partitions)

    def verify_recorded(self, fields: wire.Message) -> Recorded:
        """Read `statement`, `entry` and `receipt` of a gateway's answer by the plan above.

        Raises:
            EncodingError: malformed.
            StatementError: a statement that breaks a rule, or of another network.
            ProofError: the log does not hold it.
        """
        # 1. Another network's statements may be true there.
        statement = parse_statement(wire.read_bytes(fields, "statement"))
        if statement.header.network != self.network:
            raise StatementError("the statement is another network's")
        # 2. and 3. Without the receipt a gateway could make statements up.
        receipt = self.verify_receipt(fields, statement.digest, statement.header.subject)
        return Recorded(statement, receipt.entry)

    def verify_receipt(self, fields: wire.Message, digest: bytes, subject: bytes) -> VerifiedReceipt:
        """Read `entry` and `receipt` of an answer.

        Args:
            fields: the answer.
            digest: of the statement, computed by the caller; 32 bytes.
            subject: the statement's subject, 32 bytes.

        Raises:
            EncodingError: malformed.
            ProofError: the subject's log does not hold the statement.
        """
        entry, receipt = wire.read_bytes(fields, "entry"), wire.read_bytes(fields, "receipt")
        verified = verify_receipt(receipt, entry, digest, self._node_keys)
        if verified.entry.subject != subject:
            raise ProofError("the receipt's entry is another subject's")
        if verified.origin not in self._origins(subject):
            raise ProofError("the receipt is of another log than the subject's")
        return verified

    def _origins(self, subject: bytes) -> set[str]:
        """The network's own subject stands in every partition's log, relayed; any other in one."""
        if subject == self.network:
            return {origin_of(self.network, partition) for partition in range(self.genesis.partitions)}
        return {origin_of(self.network, self.partition_of(subject))}
