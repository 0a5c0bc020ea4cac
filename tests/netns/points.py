"""Owns the points at which a run changes something, as strace sees them, and how
a run is made to end, or a call to fail, at one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netns.trace import STRACE

# What can change a file, a setting, the kernel's network, or another process.
# Waiting for a child is among them: the child is at work then.
CALLS = (
    "write", "pwrite64", "ftruncate", "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat", "sendto", "sendmsg", "clone", "clone3", "vfork", "fork", "wait4", "openat",
)
# To the log, a terminal or the runtime's own wake-up: no change of the box.
IDLE = re.compile(r"^write\((?:1|2|\d+</dev/kmsg>|\d+<anon_inode:\[eventfd\]>)")
READS = re.compile(r"RTM_GET|_GET,|NLM_F_DUMP|nlmsg_flags=NLM_F_REQUEST\|0x300")


@dataclass(frozen=True)
class Point:
    """The `number`-th call of that name in the program itself, not its children."""

    call: str
    number: int
    what: str
    # What the call returned.
    result: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.number}: {self.what}"


def tracing(output: Path) -> list[str | Path]:
    """The command that runs another one and writes its calls to `output`."""
    return [STRACE[0], "-y", "-q", "-s", "64", "-e", "signal=none", "-e", f"trace={','.join(CALLS)}",
            "-o", output, "--"]


def points(output: Path, wanted: Callable[[str], bool] | None = None) -> list[Point]:
    """The points of a traced run, in order: those that change something, or those
    that `wanted` says of a line of the trace."""
    seen: Counter[str] = Counter()
    found: list[Point] = []
    for line in output.read_text(errors="replace").splitlines():
        call, separator, _ = line.partition("(")
        # One that finds another's hand on the network's settings is made again by the
        # kernel (restart_syscall), in this run and perhaps in no other.
        if not separator or call not in CALLS or "= ? ERESTART" in line:
            continue
        seen[call] += 1
        if (wanted or changes)(line):
            found.append(Point(call, seen[call], line[len(call):][:100], line.rpartition("= ")[2]))
    return found


def changes(line: str) -> bool:
    """Whether a call, as strace prints it, changes anything."""
    if IDLE.match(line):
        return False
    if line.startswith("openat("):
        return "O_CREAT" in line
    if line.startswith(("sendto(", "sendmsg(")):
        return not READS.search(line)
    return True


def injecting(point: Point, how: str) -> list[str | Path]:
    """The command that runs another one in which this happens at the point, before
    the call: `signal=KILL`, or `error=EPERM` in place of it, as strace has it."""
    return [STRACE[0], "-q", "-e", f"trace={point.call}", "-e", "signal=none", "-o", "/dev/null",
            "-e", f"inject={point.call}:{how}:when={point.number}", "--"]
