"""Becomes another program, after arranging that it dies with the process that asked for it.

Run as a script by `carenet.local.process`, never imported by it: what it does must happen between fork and exec,
and Python code in a forked child of a threaded parent (`preexec_fn`) may deadlock. Standard library only, so that
it starts in about 10 ms under `python -I -S`.

In order:
1. If asked (`--uid`), drop root: other ids, no supplementary groups. With `--search`, keep exactly one capability,
   CAP_DAC_READ_SEARCH, so that the program can pass through folders that only root may enter (a clone in a home
   folder of mode 700). It is inherited by what the program starts, and allows reading, never writing.
2. Ask the kernel for a signal when the parent dies (lost when ids change, hence after 1), and look whether the
   parent died before that.
3. Give back the signal dispositions that Python changed, and exec.

What is not done here: opening log files, new sessions, waiting.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import struct
import sys

# From <linux/prctl.h>, <linux/securebits.h> and <linux/capability.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2


def _call(libc: ctypes.CDLL, name: str, *args: object) -> None:
    """Call a libc function that answers 0 when it worked."""
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _drop_root(libc: ctypes.CDLL, uid: int, gid: int, *, keep_search: bool) -> None:
    """Take other ids; with `keep_search`, hold CAP_DAC_READ_SEARCH across exec and nothing else."""
    if keep_search:
        # Without this bit access(2) ignores capabilities of a non-root user, and initdb asks access(2).
        _call(libc, "prctl", _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if keep_search:
        mask = 1 << _CAP_DAC_READ_SEARCH
        _call(
            libc,
            "capset",
            struct.pack("=II", _CAPABILITY_VERSION_3, 0),
            struct.pack("=6I", mask, mask, mask, 0, 0, 0),
        )
        _call(libc, "prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)
    _call(libc, "prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """Do the three steps of the header; returns only by raising."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("argv", nargs="+")
    args = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    if args.uid is not None:  # 1
        _drop_root(libc, args.uid, args.gid, keep_search=args.search)
    if sys.platform == "linux":
        _call(libc, "prctl", _PR_SET_PDEATHSIG, args.death_signal, 0, 0, 0)  # 2
    if os.getppid() != args.parent:
        sys.exit("the parent ended before its child began")
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):  # 3
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(args.argv[0], args.argv)  # noqa: S606 - becoming the program is this script's purpose
    except OSError as exc:
        sys.exit(f"cannot run {args.argv[0]}: {exc.strerror}")


if __name__ == "__main__":
    main()
