"""The demo: one network on this machine, a story or real bundles flowing through it, and everything counted afterwards.

May import every room but `bench` and `cli`. Start at `director`, which runs the stack and one demo from end to end;
`cast` founds who takes part, `script` plays the built-in story, `replay` real bundles, `mischief` what must be refused,
`watchers` count what is pushed to them, `screens` shows it, `expected` says independently of the gateway what should
have been pushed, and `summary` adds it up.
"""
