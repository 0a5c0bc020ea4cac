"""Owns the points at which a run changes something, as seen by strace, and how to end a
run, or make a call fail, at one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netns.trace import STRACE

# The calls that can change a file, a setting, the kernel's network state, or another
# process. Waiting for a child is included, because the child works meanwhile.
CALLS = (
    "write", "pwrite64", "ftruncate", "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat", "sendto", "sendmsg", "clone", "clone3", "vfork", "fork", "wait4", "openat",
)
# The calls that read answers.
ANSWERS = ("recvfrom",)
# Writes to the log or a terminal, or wake-ups of the runtime: no change to the box.
IDLE = re.compile(r"^write\((?:[12]<|\d+</dev/kmsg>|\d+<anon_inode:\[eventfd\]>)")
READS = re.compile(r"RTM_GET|_GET,|NLM_F_DUMP|nlmsg_flags=NLM_F_REQUEST\|0x300")
# The file, or the folder of an openat, by which strace's -P selects a call.
PATH = re.compile(r"^\w+\(\w+<(/[^>]*)>")
# The threads of the program, without the commands that it runs.
THREADS = ("-f", "-b", "execve")


@dataclass(frozen=True)
class Call:
    """A call of one of the program's threads, as printed by strace."""

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
    """The `number`-th call of this name in a thread of the program, not in its
    children; with a path, among the calls for that path."""

    call: str
    number: int
    what: str
    # The return value of the call.
    result: str = ""
    # Whether it was in the main thread or in another one.
    main: bool = True
    path: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.number}: {self.what}"


def tracing(output: Path) -> list[str | Path]:
    """The command prefix that runs a command and writes its calls to `output`."""
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
            # The first call is from the main thread.
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
    # The kernel restarts a call that finds the lock of the network settings taken
    # (restart_syscall); this may happen in this run and in no other.
    return [call for call in found if call.thread in threads and "= ? ERESTART" not in call.line]


def points(output: Path, wanted: Callable[[str], bool] | None = None) -> list[Point]:
    """The points of a traced run, in order: the calls that change something, or those
    whose trace line `wanted` selects."""
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
        # strace counts per thread, but applies the number to every thread: if other
        # threads make the same calls, the path must distinguish them.
        path = "" if call.thread == main or len(threads_of[call.name, ""]) == 1 else call.path
        if call.thread != main and len(threads_of[call.name, path]) > 1:
            raise AssertionError(f"more than one thread makes such calls: {call.line}")
        found.append(Point(call.name, seen[call.thread, call.name, path], call.line[len(call.name):][:100],
                           call.line.rpartition("= ")[2], call.thread == main, path))
    return found


def changes(line: str) -> bool:
    """Whether a call, as printed by strace, changes anything."""
    if IDLE.match(line) or line.startswith(ANSWERS):
        return False
    if line.startswith("openat("):
        return "O_CREAT" in line
    if line.startswith(("sendto(", "sendmsg(")):
        return not READS.search(line)
    return True


def injecting(point: Point, how: str) -> list[str | Path]:
    """The command prefix that runs a command with a fault injected at the point, before
    the call: `signal=KILL`, or `error=EPERM` instead of the call, in strace's notation."""
    threads = () if point.main else THREADS
    path = ("-P", point.path) if point.path else ()
    return [STRACE[0], *threads, *path, "-qqq", "-e", f"trace={point.call}", "-e", "signal=none", "-o", "/dev/null",
            "-e", f"inject={point.call}:{how}:when={point.number}", "--"]
