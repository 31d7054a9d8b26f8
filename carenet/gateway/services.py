"""What the sessions of one gateway share, and the codec that one of them speaks."""

from __future__ import annotations

from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection

from carenet.gateway.authority import Authority
from carenet.gateway.door import Door
from carenet.gateway.feed import Feed
from carenet.gateway.limits import Limits
from carenet.gateway.messages import CODECS, Codec
from carenet.gateway.metrics import Metrics
from carenet.gateway.outcomes import Outcomes
from carenet.gateway.push import Pusher
from carenet.gateway.requests import Requests
from carenet.statements.genesis import Genesis
from carenet.store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """What the sessions of one gateway share.

    Attributes:
        genesis: the network's.
        origin: the gateway's address as clients dial it.
        limits: what a client may cost.
        door: who may come in.
        store: for clients' questions and backlog.
        authority, feed, pusher, outcomes, requests, metrics: see their modules.
    """

    genesis: Genesis
    origin: str
    limits: Limits
    door: Door
    store: Store
    authority: Authority
    feed: Feed
    pusher: Pusher
    outcomes: Outcomes
    requests: Requests
    metrics: Metrics


def codec_of(connection: ServerConnection) -> Codec:
    """The codec of the subprotocol that was agreed on; there is one, or the handshake would have failed."""
    return CODECS[connection.subprotocol or ""]
