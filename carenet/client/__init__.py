"""The SDK: publish to and watch patients' timelines, register patients, give and withdraw grants.

May import everything up to `bus`, `store` and `fhir`, and `carenet.sealing`; not the other rooms at its own step (node,
audit, gateway). Start at `care.Care`, which `carenet.connect` makes.
"""
