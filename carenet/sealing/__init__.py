"""Sealing: HPKE, sealed bodies, wrapped keys, epochs, and the key files of those who hold keys.

May import `carenet.errors`, `carenet.encoding`, `carenet.ledger` and `carenet.statements`. This is the only room that
can open anything; rules, bus, store, node and gateway never import it, so servers cannot.
"""
