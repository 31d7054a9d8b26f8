"""The command line: one file a command, and the last room, so it may import every other.

Importing it is fast: a command imports the rooms that it works with when it runs. `main` puts the commands together
and turns errors into one line and an exit code; `options` holds what several commands take, `names` leads from what a
person types to an id, `folder` to what lies in DIR, `screen` to what is printed.
"""
