"""Kafka: which topics there are and how they must be set, publishing to them, reading them in whole batches.

May import the pure rooms and `carenet.settings`. `topics` provisions and checks, `publishing` sends and says where a
record landed, `reading` hands out a partition's records from the place that the store names, `faults` turns Kafka's
errors into ours. Nothing here decides anything about a record.
"""
