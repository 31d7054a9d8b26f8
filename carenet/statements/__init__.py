"""Statements: the signed events of carenet, their headers, payload models, Kafka records and the genesis file.

Pure; may import `carenet.errors`, `carenet.encoding` and `carenet.ledger`. This is the only room that parses untrusted
event bytes: everything to the right works on `Statement` values. Nothing here decides whether a statement is allowed.
"""
