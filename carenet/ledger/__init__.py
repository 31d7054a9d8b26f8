"""The log that nobody has to trust: entries, the RFC 6962 tree over them, its tiles, proofs, checkpoints and receipts.

Pure; may import `carenet.errors` and `carenet.encoding` only. Nothing here reads or writes: tiles come in as a mapping,
what must be kept goes out as values, and the keys that sign or verify are handed in.
"""
