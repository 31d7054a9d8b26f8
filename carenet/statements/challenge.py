"""What a participant signs to open a gateway session; gateway and SDK both build these bytes.

The origin is the gateway's address as the client dialled it (`ws://host:port`), so a gateway that passes another
gateway's challenge on gets a signature that is worth nothing there.
"""

from __future__ import annotations

from carenet.encoding import cbor
from carenet.statements import keys

NONCE_BYTES = 32  # on both sides, so that neither alone chooses what is signed


def encode_challenge(
    network: bytes, origin: str, server_nonce: bytes, client_nonce: bytes, participant: bytes
) -> bytes:
    """The bytes to sign: `domain("challenge")` and deterministic CBOR of the arguments in this order.

    Args:
        network: 32 bytes.
        origin: scheme, host and port.
        server_nonce: 32 bytes, fresh for this connection.
        client_nonce: 32 bytes, fresh for this connection.
        participant: 32 bytes, who signs.
    """
    return keys.domain("challenge") + cbor.encode([network, origin, server_nonce, client_nonce, participant])
