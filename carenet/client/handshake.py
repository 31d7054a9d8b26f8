"""The challenge, answered and checked: pure, so that it can be tested without a gateway.

1. The gateway names network, its origin and a nonce. The client refuses another network than its key file's, and an
   origin other than the one it dialled: else a gateway in the middle could answer another gateway's challenge with it.
2. The client signs all of it with a nonce of its own, so that it never signs bytes that the gateway chose whole.
3. The gateway shows the genesis, which must hash to the network id.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from carenet.client import wire
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import BadInputError, EncodingError
from carenet.sealing.identity import Identity
from carenet.statements.challenge import NONCE_BYTES, encode_challenge
from carenet.statements.genesis import Genesis, parse_genesis

_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the gateway said about itself and us.

    Attributes:
        genesis: checked to be the network's.
        name: what our admission calls us.
        roles: our roles.
        max_frame: largest frame that the gateway takes, bytes.
    """

    genesis: Genesis
    name: str
    roles: tuple[str, ...]
    max_frame: int


def origin_of(url: str) -> str:
    """The scheme, host and port of a gateway's URL, in lower case and with the port spelled out.

    Raises:
        BadInputError: not a ws:// or wss:// URL.
    """
    try:
        parts = urlsplit(url)
        default = _PORTS[parts.scheme]
        port = default if parts.port is None else parts.port
    except (ValueError, KeyError) as exc:
        raise BadInputError("a gateway's address is ws://HOST:PORT or wss://HOST:PORT") from exc
    if not parts.hostname:
        raise BadInputError("a gateway's address names a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def answer_challenge(challenge: wire.Message, url: str, identity: Identity, nonce: bytes) -> wire.Message:
    """The `hello` that answers a gateway's first frame.

    Args:
        challenge: the frame.
        url: the address that was dialled.
        identity: who we are.
        nonce: 32 fresh random bytes.

    Raises:
        EncodingError: not a challenge.
        BadInputError: another network or origin; nothing is signed.
    """
    if challenge["type"] != "challenge":
        raise EncodingError("a gateway's first frame is its challenge")
    if wire.read_id(challenge, "network") != identity.network:
        raise BadInputError("the gateway serves another network than the key file's")
    origin = wire.read_text(challenge, "origin")
    if origin_of(origin) != origin_of(url):
        raise BadInputError("the gateway names another origin than the one that was dialled")
    theirs = wire.read_bytes(challenge, "nonce")
    if len(theirs) != NONCE_BYTES:
        raise EncodingError(f"nonce has {NONCE_BYTES} bytes")
    signed = encode_challenge(identity.network, origin, theirs, nonce, identity.id)
    return {
        "type": "hello",
        "participant": encode_id(identity.id),
        "kid": identity.kid,
        "nonce": nonce,
        "signature": identity.sign_key.sign(signed),
    }


def check_welcome(welcome: wire.Message, identity: Identity) -> Welcome:
    """Read the frame that ends the handshake.

    Raises:
        EncodingError: not a welcome, or a genesis that is malformed.
        BadInputError: the genesis is another network's.
    """
    if welcome["type"] != "welcome":
        raise EncodingError("a gateway answers hello with welcome")
    encoded = wire.read_bytes(welcome, "genesis")
    if sha256(encoded) != identity.network:
        raise BadInputError("the gateway's genesis does not hash to the network id in the key file")
    genesis = parse_genesis(encoded)
    roles = wire.read_texts(welcome, "roles")
    return Welcome(genesis, wire.read_text(welcome, "name"), roles, wire.read_int(welcome, "max_frame"))
