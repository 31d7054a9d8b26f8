from __future__ import annotations

import os
import subprocess
import sys

from carenet.bench.cpu import read_cpu_s

_BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
_PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {_BURN!r}], check=True)
living = subprocess.Popen([sys.executable, "-c", {_BURN!r} + "print('done', flush=True)\\ninput()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
living.stdout.readline()
print("ready", flush=True)
input()
living.communicate(b"\\n")
"""


def test_a_tree_is_what_its_living_processes_and_its_ended_children_used() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        used_s = read_cpu_s([parent.pid])
        own_s = read_cpu_s([os.getpid()])
        parent.communicate(b"\n")
    assert used_s >= 0.58  # 0.3 each, in ticks of a hundredth
    assert own_s >= used_s  # it is ours


def test_a_tree_that_is_named_twice_counts_once() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert read_cpu_s([parent.pid, parent.pid]) == read_cpu_s([parent.pid])
        parent.communicate(b"\n")


def test_a_process_that_is_gone_counts_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert read_cpu_s([gone.pid]) == 0
