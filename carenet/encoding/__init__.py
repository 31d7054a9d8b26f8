"""Bytes that every replica reads alike: ids, strict deterministic CBOR, COSE_Sign1 framing, the one Ed25519 rule.

Pure; may import `carenet.errors` only. What is accepted here is fixed by our rules and vectors, never by a
library's version, because replicas that disagree about one byte string disagree about everything after it.
"""
