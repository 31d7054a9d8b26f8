"""A Kafka broker whose clock can be set while it runs, by a tiny library that the kernel's loader puts before libc.

The library shifts the wall clock (`CLOCK_REALTIME`, `gettimeofday`, `time`) by seconds that it reads from a mapped
file; the monotonic clock, by which Java waits, stays as it is. So the broker stamps records with a wrong LogAppendTime
and is otherwise well, as a machine whose clock was set by hand is.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from carenet.local.kafka import EmbeddedKafka
from carenet.local.process import Command

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift;

__attribute__((constructor)) static void open_shift(void) {
    const char *path = getenv("CARENET_TEST_CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) shift = page;
}

static int64_t seconds(void) { return shift ? *shift : 0; }

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && is_wall(clock)) at->tv_sec += seconds();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, at, zone);
    if (!failed && at) at->tv_sec += seconds();
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def find_compiler() -> str | None:
    """A C compiler, if this machine has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class ShiftedKafka(EmbeddedKafka):
    """See the module header.

    Args:
        directory: the state folder.
        compiler: path of a C compiler.
    """

    def __init__(self, directory: Path, compiler: str, **options: Any) -> None:
        super().__init__(directory, **options)
        directory.mkdir(parents=True, exist_ok=True)
        self._shift = directory.absolute() / "clock.shift"
        self._library = directory.absolute() / "clock.so"
        source = directory / "clock.c"
        source.write_text(_SOURCE, encoding="ascii")
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        self.set_clock(0)

    def set_clock(self, ahead_s: int) -> None:
        """Set the broker's wall clock so many seconds ahead of ours (or behind); it takes effect at once."""
        with self._shift.open("r+b" if self._shift.exists() else "w+b") as file:
            file.write(struct.pack("=q", ahead_s))  # in place: the broker has this very file mapped

    def _java(self, class_path: str, main: tuple[str, ...]) -> Command:
        command = super()._java(class_path, main)
        assert command.env is not None
        preload = {"LD_PRELOAD": str(self._library), "CARENET_TEST_CLOCK_SHIFT": str(self._shift)}
        return replace(command, env={**command.env, **preload})
