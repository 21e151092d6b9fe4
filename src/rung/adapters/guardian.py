"""
Run one command for exactly as long as somebody holds the other end of a pipe.

A process that is killed with -9 cannot stop what it started; the kernel still closes its pipes.  So the
guardian waits for that, or for the command to end by itself, whichever comes first.  It runs as a script
with the standard library only, without site packages, and may be root where its command may not be.

In        argv: descriptors to hold (the first is the pipe), user and group id or "", folder to remove or "", command
Out       the command's exit status; 128 plus the signal that ended it
Not here  which command, where its data live, whether it is ready (cluster.py)
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence

# What PostgreSQL calls fast, then immediate shutdown; both are harmless to data, the second costs a recovery.
ESCALATION = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 8.0), (signal.SIGKILL, None))
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NOT_EXECUTABLE = 126


def main(arguments: Sequence[str]) -> int:
    """
    Start the command, wait for its end or for the pipe's, and return its exit status.
    """
    descriptors, user_id, group_id, leftover, *command = arguments
    held = [int(descriptor) for descriptor in descriptors.split(",")]
    for descriptor in held:
        os.set_inheritable(descriptor, False)  # takes it no other way
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    bell = _bell(signal.SIGCHLD, signal.SIGTERM)

    child = _spawn(command, user=(int(user_id), int(group_id)) if user_id else None)
    status = _watch(child, pipe=held[0], bell=bell)
    if leftover:
        import shutil

        # It does not follow a symlink that somebody may have put in the folder's place.
        shutil.rmtree(leftover, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _bell(*signals: signal.Signals) -> int:
    """
    Return a descriptor from which the number of each of *signals* can be read when it arrives.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, lambda _number, _frame: None)
    return read


def _spawn(command: list[str], *, user: tuple[int, int] | None) -> int:
    prctl = _prctl()
    guardian = os.getpid()
    child = os.fork()
    if child:
        # Both sides do it, since neither knows who runs first; it fails only where the child was faster.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if user is not None:
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])
        os.chdir("/")
        os.umask(0o077)
        if prctl is not None:
            # After setuid, which clears it.  It ends the command even when the guardian is killed with -9.
            prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() == guardian:
            os.execv(command[0], command)  # a list of arguments and no shell: nothing to escape
    except OSError as problem:
        os.write(2, f"{command[0]}: {problem.strerror}\n".encode())
    finally:
        os._exit(NOT_EXECUTABLE)


def _prctl() -> Callable[..., object] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    return ctypes.CDLL(None).prctl


def _watch(child: int, *, pipe: int, bell: int) -> int:
    while True:
        ready, _, _ = select.select([pipe, bell], [], [])
        rung = os.read(bell, 64) if bell in ready else b""
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        # Nobody ever writes to the pipe: readable means closed.
        if pipe in ready or signal.SIGTERM in rung:
            return _stop(child, bell=bell)


def _stop(child: int, *, bell: int) -> int:
    for number, patience_s in ESCALATION:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)
        if patience_s is None:
            break
        while select.select([bell], [], [], patience_s)[0]:
            os.read(bell, 64)
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return status
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
