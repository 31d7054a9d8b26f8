"""What every test may use: the servers' fixtures and the settings of hypothesis."""

from __future__ import annotations

import os

import hypothesis

pytest_plugins = ["tests.support.servers"]

# A deadline would make a slow moment of the machine a failure. CI draws the same examples every time, so that a
# failure there is a failure everywhere; at home every run looks at new ones.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")
