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
# What reads answers.
ANSWERS = ("recvfrom",)
# To the log, a terminal or the runtime's own wake-up: no change of the box.
IDLE = re.compile(r"^write\((?:[12]<|\d+</dev/kmsg>|\d+<anon_inode:\[eventfd\]>)")
READS = re.compile(r"RTM_GET|_GET,|NLM_F_DUMP|nlmsg_flags=NLM_F_REQUEST\|0x300")
# The file, or the folder of an openat, that strace's -P knows a call by.
PATH = re.compile(r"^\w+\(\w+<(/[^>]*)>")
# The program's threads, but not the commands that it runs.
THREADS = ("-f", "-b", "execve")


@dataclass(frozen=True)
class Call:
    """A call of one of the program's threads, as strace prints it."""

    thread: int
    line: str

    @property
    def name(self) -> str:
        return self.line.partition("(")[0]

    @property
    def path(self) -> str:
        match = PATH.match(self.line)
        return match[1] if match else ""


@dataclass(frozen=True)
class Point:
    """The `number`-th call of that name in a thread of the program, not in its
    children; with a path, of those for that path."""

    call: str
    number: int
    what: str
    # What the call returned.
    result: str = ""
    # In the main thread or another one.
    main: bool = True
    path: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.number}: {self.what}"


def tracing(output: Path) -> list[str | Path]:
    """The command that runs another one and writes its calls to `output`."""
    return [STRACE[0], *THREADS, "-y", "-q", "-s", "64", "-e", "signal=none",
            "-e", f"trace={','.join(CALLS + ANSWERS)}", "-o", output, "--"]


def calls(output: Path) -> list[Call]:
    """The calls of a traced run, in the order in which they began."""
    found: list[Call] = []
    threads: set[int] = set()
    under_way: dict[int, int] = {}
    for line in output.read_text(errors="replace").splitlines():
        number, _, text = line.partition(" ")
        thread, text = int(number), text.strip()
        if not threads:
            # The first call is the main thread's.
            threads.add(thread)
        if match := re.match(r"<\.\.\. \w+ resumed>", text):
            index = under_way.pop(thread)
            found[index] = Call(thread, found[index].line + text[match.end():])
        elif "(" in text and not text.startswith(("+++", "---")):
            if text.endswith("<unfinished ...>"):
                under_way[thread] = len(found)
                text = text.removesuffix("<unfinished ...>")
            found.append(Call(thread, text))
    threads.update(int(call.line.rpartition("= ")[2]) for call in found
                   if "CLONE_THREAD" in call.line and call.line.rpartition("= ")[2].isdecimal())
    # One that finds another's hand on the network's settings is made again by the
    # kernel (restart_syscall), in this run and perhaps in no other.
    return [call for call in found if call.thread in threads and "= ? ERESTART" not in call.line]


def points(output: Path, wanted: Callable[[str], bool] | None = None) -> list[Point]:
    """The points of a traced run, in order: those that change something, or those
    that `wanted` says of a line of the trace."""
    made = calls(output)
    main = made[0].thread
    threads_of: dict[tuple[str, str], set[int]] = {}
    for call in made:
        for path in ("", call.path):
            threads_of.setdefault((call.name, path), set()).add(call.thread)
    seen: Counter[tuple[int, str, str]] = Counter()
    found: list[Point] = []
    for call in made:
        for path in {"", call.path}:
            seen[call.thread, call.name, path] += 1
        if not (wanted or changes)(call.line):
            continue
        # strace counts for each thread, but makes the same of the number of each: where
        # others make such calls as well, the path has to tell them apart.
        path = "" if call.thread == main or len(threads_of[call.name, ""]) == 1 else call.path
        if call.thread != main and len(threads_of[call.name, path]) > 1:
            raise AssertionError(f"more than one thread makes such calls: {call.line}")
        found.append(Point(call.name, seen[call.thread, call.name, path], call.line[len(call.name):][:100],
                           call.line.rpartition("= ")[2], call.thread == main, path))
    return found


def changes(line: str) -> bool:
    """Whether a call, as strace prints it, changes anything."""
    if IDLE.match(line) or line.startswith(ANSWERS):
        return False
    if line.startswith("openat("):
        return "O_CREAT" in line
    if line.startswith(("sendto(", "sendmsg(")):
        return not READS.search(line)
    return True


def injecting(point: Point, how: str) -> list[str | Path]:
    """The command that runs another one in which this happens at the point, before
    the call: `signal=KILL`, or `error=EPERM` in place of it, as strace has it."""
    threads = () if point.main else THREADS
    path = ("-P", point.path) if point.path else ()
    return [STRACE[0], *threads, *path, "-qqq", "-e", f"trace={point.call}", "-e", "signal=none", "-o", "/dev/null",
            "-e", f"inject={point.call}:{how}:when={point.number}", "--"]
