"""Run one process and say what it cost.

The figures are of the whole process, its start included, with all children that it waited for: the wall clock around
it, and the kernel's count of its CPU time from wait4.
"""
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# No run may hang the benchmark. Seconds.
DEADLINE = 30


@dataclass
class Command:
    """What to run, and what has to be true afterwards for the run to count."""

    argv: list
    env: dict = field(default_factory=dict)
    cwd: Path | None = None
    # Exit codes that mean that all went well.
    good: tuple = (0,)
    # The Maildir that has to hold a file per message, if the job is to make one.
    maildir: Path | None = None


@dataclass
class Cost:
    """Seconds of the wall clock and of CPU, and the most memory that was resident, in octets (0: not asked for)."""

    wall: float
    cpu: float
    memory: int = 0


class Failed(Exception):
    """The run does not count."""


def run(command, memory=False, deadline=DEADLINE):
    """Run the command and return its cost and what it wrote to standard output.

    With memory it runs under GNU time. The kernel carries the peak of a process over exec: asked of a child of ours, it
    would be the size of this Python at least.
    """
    argv = [str(argument) for argument in command.argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as peak:
        if memory:
            argv = ["/usr/bin/time", "--quiet", "--format=%M", f"--output={peak.name}", *argv]
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=command.cwd,
            env={**os.environ, **command.env},
            start_new_session=True,
        )
        # With its children: some fetch in one of them.
        timer = threading.Timer(deadline, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == -signal.SIGKILL:
            raise Failed(f"ended after {deadline} s")
        for stream in out, err:
            stream.seek(0)
        if process.returncode not in command.good:
            said = err.read().decode(errors="replace").strip() or out.read(1000).decode(errors="replace").strip()
            raise Failed(f"exit code {process.returncode}: {said[-400:]}")
        resident = int(peak.read().split()[-1]) * 1024 if memory else 0
        return Cost(wall, usage.ru_utime + usage.ru_stime, resident), out.read()
