"""The fold: what is accepted, what it changes, and why the rest is refused. One rulebook a file under `kinds/`.

Pure; may import `carenet.errors`, `carenet.encoding`, `carenet.ledger` and `carenet.statements`. No clock, no
randomness, no I/O: `needs(records, view)` says which rows a batch wants, `fold(view, records)` returns its effects, and
the store loads exactly those rows and writes exactly those effects.
"""
