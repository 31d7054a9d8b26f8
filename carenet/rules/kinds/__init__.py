"""Rulebooks: the state transitions of one kind of subject a file; `carenet.rules.rulebooks` lists them."""
