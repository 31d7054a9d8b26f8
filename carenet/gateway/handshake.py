"""Who is there: a challenge, a signed answer, and what the log says of the key. No I/O; the caller brings nonces.

An answer is checked in this order; the first fault closes the connection (4003, or 4004 for the suspended):
1. it is a well-formed `hello`;
2. partition 0 knows the participant, and neither it nor its organisation is suspended;
3. kid is its current key (a key that was rotated away opens nothing);
4. the signature covers this network, this gateway's origin, both nonces and the participant (statements/challenge).
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import SIGNATURE_BYTES, is_valid_signature
from carenet.encoding.ids import ID_BYTES, encode_id
from carenet.errors import RefusedError
from carenet.gateway import messages
from carenet.gateway.authority import Authority
from carenet.gateway.messages import Message
from carenet.rules.reasons import Reason
from carenet.rules.rows import ParticipantRow
from carenet.statements.challenge import NONCE_BYTES, encode_challenge
from carenet.statements.genesis import Genesis


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one connection is asked to sign.

    Attributes:
        network: 32 bytes.
        origin: this gateway's address as clients dial it.
        nonce: 32 bytes, fresh.
    """

    network: bytes
    origin: str
    nonce: bytes

    def message(self) -> Message:
        """The first message of a connection."""
        return {"type": "challenge", "network": encode_id(self.network), "origin": self.origin, "nonce": self.nonce}


def check_hello(challenge: Challenge, message: Message, authority: Authority) -> ParticipantRow:
    """Who answered the challenge.

    Raises:
        GarbageError: another message than `hello`.
        BadRequestError: a field is missing or ill-formed.
        RefusedError: unknown, suspended, another key, or a signature that does not hold.
    """
    # 1.
    if message["type"] != "hello":
        raise messages.GarbageError("the first message is hello")
    participant = messages.get_id(message, "participant")
    kid = messages.get_bytes(message, "kid", ID_BYTES)
    client_nonce = messages.get_bytes(message, "nonce", NONCE_BYTES)
    signature = messages.get_bytes(message, "signature", SIGNATURE_BYTES)
    # 2.
    row = authority.participant(participant)
    if row is None:
        raise RefusedError(Reason.UNKNOWN_SIGNER, "not a participant of this network")
    if authority.is_suspended(participant):
        raise RefusedError(Reason.SUSPENDED, "the participant or its organisation is suspended")
    # 3.
    if not compare_digest(kid, compute_thumbprint(row.sign)):
        raise RefusedError(Reason.STALE_KEY if kid in row.retired else Reason.WRONG_KID, "kid is not the current key")
    # 4.
    signed = encode_challenge(challenge.network, challenge.origin, challenge.nonce, client_nonce, participant)
    if not is_valid_signature(row.sign, signature, signed):
        raise RefusedError(Reason.BAD_SIGNATURE, "the answer to the challenge does not verify")
    return row


def welcome(row: ParticipantRow, genesis: Genesis, max_frame: int) -> Message:
    """What a participant is told when it is in.

    Args:
        row: the participant.
        genesis: the network's; the client checks that it hashes to its network id.
        max_frame: bytes that a message may have.
    """
    return {
        "type": "welcome",
        "participant": encode_id(row.id),
        "name": row.name,
        "roles": list(row.roles),
        "partitions": genesis.partitions,
        "genesis": genesis.encode(),
        "max_frame": max_frame,
    }
