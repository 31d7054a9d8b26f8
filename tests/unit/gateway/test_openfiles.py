from __future__ import annotations

import subprocess
import sys

_CODE = """
import resource, sys
from carenet.gateway.openfiles import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1000))
print(raise_open_files(int(sys.argv[1])))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def _say(connections: int) -> list[str]:
    command = [sys.executable, "-c", _CODE, str(connections)]  # limits are the process's: not this one's
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_soft_limit_becomes_the_hard_one() -> None:
    assert _say(800) == ["None", "1000"]


def test_a_hard_limit_that_is_too_low_is_named_with_what_is_needed() -> None:
    said, soft = _say(801)
    assert "1001 open files and the hard limit is 1000" in said
    assert soft == "1000"
