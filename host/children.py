"""Runs programs that end with this process, whatever ends it: they and all that they started."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
#: Runs its arguments in a process group of its own, which is killed when standard input ends.
_LEADER = 'exec 3<&0; (read _ <&3; kill -9 0) >/dev/null 2>&1 & "$@" </dev/null 3<&- & wait $!'


def run(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[Any]":
    """`subprocess.run` for a program that ends with this process; a signal n that ended it gives exit code 128 + n."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    reader, writer = os.pipe()
    try:
        with subprocess.Popen(
            ["sh", "-c", _LEADER, "sh", *command], stdin=reader, process_group=0, **options
        ) as leader:
            try:
                stdout, stderr = leader.communicate()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(leader.pid, signal.SIGKILL)
                raise
    finally:
        os.close(reader)
        os.close(writer)
    return subprocess.CompletedProcess(command, leader.returncode, stdout, stderr)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, process `parent`, ends; end it now if it has. Linux only."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
