"""From a new connection to a participant that is in: the challenge is sent, answered and judged, or the door is shut.

What the messages say and how an answer is judged is in `handshake`; what follows, in `session`.
"""

from __future__ import annotations

import asyncio
import secrets

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from carenet.errors import RefusedError
from carenet.gateway.handshake import Challenge, check_hello, welcome
from carenet.gateway.limits import TurnedAwayError
from carenet.gateway.messages import BadRequestError, GarbageError
from carenet.gateway.push import ACCESS_ENDED, BAD_MESSAGE, NOT_AUTHENTICATED, TOO_MANY_REQUESTS
from carenet.gateway.services import Services, codec_of
from carenet.rules.reasons import Reason
from carenet.rules.rows import ParticipantRow
from carenet.statements.challenge import NONCE_BYTES


async def authenticate(connection: ServerConnection, services: Services) -> ParticipantRow | None:
    """Challenge a client; None if it did not answer rightly, and the connection is then closed."""
    challenge = Challenge(services.genesis.network_id, services.origin, secrets.token_bytes(NONCE_BYTES))
    code, reason = NOT_AUTHENTICATED, "no right answer to the challenge in time"
    try:
        async with asyncio.timeout(services.limits.hello_s):
            codec = codec_of(connection)
            await connection.send(codec.encode(challenge.message()), text=codec.is_text)
            hello = codec.decode(await connection.recv())
            row = check_hello(challenge, hello, services.authority)
            services.door.check_participant(row.id)
            connection.protocol.max_message_size = services.limits.max_frame
            greeting = welcome(row, services.genesis, services.limits.max_frame)
            await connection.send(codec.encode(greeting), text=codec.is_text)
            return row
    except (GarbageError, BadRequestError) as exc:
        code, reason = BAD_MESSAGE, str(exc)
    except RefusedError as exc:
        code = ACCESS_ENDED if exc.reason == Reason.SUSPENDED else NOT_AUTHENTICATED
        reason = exc.reason
    except TurnedAwayError as exc:
        code, reason = TOO_MANY_REQUESTS, f"{exc.reason}: {exc.detail}"
    except TimeoutError:
        pass
    except ConnectionClosed:
        return None
    services.metrics.closes.labels(code).inc()
    await connection.close(code, reason[:100])
    return None
