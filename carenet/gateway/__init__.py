"""The gateway: pushes entries to whoever may read them, and answers participants over WebSocket; one process or many.

May import the pure rooms, `carenet.settings`, `carenet.bus` and `carenet.store`; never `carenet.sealing`: a gateway
cannot open what it carries. It writes nothing but what clients publish to Kafka, and keeps no state that a restart
would lose. `server` puts it together; README.md follows one push from commit to socket.
"""
