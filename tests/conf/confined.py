"""Runs a command under the MemoryDenyWriteExecute and SystemCallFilter of a unit, without systemd.

    python confined.py SYSTEM_CALL,... COMMAND [ARGUMENT...]

The kernel's own switch does the first, libseccomp, which systemd brings, the second. Both last over an exec.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys

_NO_NEW_PRIVS, _MDWE = 38, 65  # of prctl(2)
_NO_WRITE_EXECUTE_GAIN = 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

UNABLE = 77
"""The exit code where this machine can't do so."""


def confine(allowed: list[str]) -> None:
    """Holds for this process and all that it starts. Raises OSError where it can't be done."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_MDWE, _NO_WRITE_EXECUTE_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(_REFUSE))
    for name in allowed:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else it is of another machine
            seccomp.seccomp_rule_add(rules, _ALLOW, number, 0)
    if seccomp.seccomp_load(rules):
        raise OSError("seccomp_load")


def check() -> None:
    """That it holds."""
    for forbidden in (
        lambda: os.sched_setaffinity(0, {0}),
        lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    ):
        try:
            forbidden()
        except PermissionError:
            continue
        sys.exit("what was forbidden is possible")


if __name__ == "__main__":
    try:
        confine(sys.argv[1].split(","))
    except OSError as error:
        sys.stderr.write(f"can't be confined here: {error}\n")
        sys.exit(UNABLE)
    check()
    os.execvp(sys.argv[2], sys.argv[2:])
