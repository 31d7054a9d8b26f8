"""PostgreSQL: one node's entries, the fold's decision state, tiles, checkpoints and refusals; one database a node.

May import the pure rooms and `carenet.settings`. `store.Store` is the door: `load_state`, `load_rows` and `commit`
serve the fold worker, everything in `queries` serves whoever reads, `snapshot` reads several things at one moment,
`proofs` makes inclusion paths and receipts, `listening` says when something was committed. Nothing here decides
anything: what the fold says is written, in one transaction a batch. README.md: tables, locks, order of writes.
"""
