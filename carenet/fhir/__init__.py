"""FHIR R4 as it comes: reading bundles without re-serialising them, and the one table of compartments.

Each resource is sealed and signed in the bytes that came, so nothing here parses a resource into a model and writes
it again; checks are structural (JSON, `resourceType`, ids, references). Also here: the claimed clinical time, one line
for people about any resource, and the small generator behind the demo's story. May import `carenet.errors` and
`carenet.encoding`. Read in this order: `compartments.toml`, `resources`, `bundles`, `summary`, `story`.
"""
