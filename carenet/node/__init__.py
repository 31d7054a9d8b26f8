"""A node's own work: folding its partitions, signing their checkpoints, and handing committed entries on.

May import the pure rooms, `carenet.settings`, `carenet.bus` and `carenet.store`; never `carenet.sealing`: a node opens
nothing. `worker.FoldWorker` is the service that Faust starts; `pipeline` decides and commits one partition,
`continuity` checks that the topic is still the one that was folded, `checkpoints` signs, `outbox` publishes, `identity`
keeps the node's keys. README.md: the life of an event.
"""
