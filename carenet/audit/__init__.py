"""Verification from scratch: everything that the store claims, derived again from the statements and compared.

May import the pure rooms, `carenet.sealing`, `carenet.bus` and `carenet.store`. It trusts the genesis file and nothing
else: `replay` is the judge (pure), `database` feeds it from a node's PostgreSQL.
"""
