"""`carenet bench …`: loads that measure a whole stack of their own, each figure beside its bare baseline.

May import everything but `carenet.cli`. Every bench brings up servers on free ports in a folder of its own, reports its
method with its figures, and leaves nothing behind.
"""
