"""Owns the order of a run's changes to the kernel, as seen by strace."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

STRACE = (
    shutil.which("strace") or "/usr/bin/strace", "-f", "-y", "-q", "-s", "64", "-e", "signal=none",
    "-e", "trace=execve,open,openat,write,pwrite64,sendto,sendmsg,exit_group",
)

# In one line, or in two if a call of another thread came in between.
OPENED = re.compile(r"open|<\.\.\. open")


@dataclass(frozen=True)
class Event:
    """One event: what was done, and to what."""

    what: str
    detail: str


def tracing(output: Path) -> list[str | Path]:
    """The command prefix that runs a command and writes its events to `output`."""
    return [*STRACE, "-o", output, "--"]


def events(output: Path, config: Path) -> list[Event]:
    """The events, in order of time:

    `sysctl`: KEY=VALUE was written; `read`: the configuration was opened; `run`: a
    command was started; `done`: it ended with that status; `network`: a link, address
    or route was changed over netlink.
    """
    found: list[Event] = []
    commands: dict[str, str] = {}
    for line in output.read_text(errors="replace").splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if match := re.match(r'execve\("[^"]*/(ip6?tables[a-z-]*)", \[(.*?)\]', call):
            commands[pid] = match[1]
            found.append(Event("run", " ".join(re.findall(r'"([^"]*)"', match[2]))))
        elif (match := re.match(r"exit_group\((\d+)\b", call)) and pid in commands:
            found.append(Event("done", f"{commands[pid]} {match[1]}"))
        elif pid in commands:
            continue
        elif match := re.match(r'p?write(?:64)?\(\d+</proc/sys/([^>]*)>, "([^"]*)"', call):
            event = Event("sysctl", f"{match[1].replace('/', '.')}={match[2].strip()}")
            # The kernel restarts a write that finds the lock of the network settings
            # taken (restart_syscall): strace shows each try.
            if found[-1:] != [event]:
                found.append(event)
        elif OPENED.match(call) and f"<{config}>" in call.rpartition("= ")[2]:
            found.append(Event("read", str(config)))
        elif match := re.search(r"\b(RTM_(?:NEW|DEL|SET)[A-Z]+)\b", call):
            found.append(Event("network", match[1]))
    return found
