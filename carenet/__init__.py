"""carenet: signed care events on Kafka, folded into a replicated, hash-chained patient timeline."""
