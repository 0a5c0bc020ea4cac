"""Owns runqemu's process and the console of the machine that it boots."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pexpect  # Debian's python3-pexpect, which OE-Core asks for

BOOT_SECONDS = 600
COMMAND_SECONDS = 120
# OE-Core's base-files has the machine's name as the host's.
LOGIN = "qemuarm64 login: "
PROMPT = r"root@qemuarm64:~# $"
# The port is camfw-image's own.
SSH = ("ssh", "-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
       "-o", "ConnectTimeout=60")
ROUTER = "root@127.0.0.1"


class ConsoleError(Exception):
    """The machine did not do what it was asked to."""


class Console:
    """A machine, from runqemu's start to its end. A context manager."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._machine = pexpect.spawn(command[0], command[1:], timeout=BOOT_SECONDS, encoding="utf-8",
                                      codec_errors="replace", env=dict(environment) if environment else None)
        self._log = log.open("w")
        self._machine.logfile_read = self._log
        # What the console said until the login prompt.
        self.boot = ""

    def __enter__(self) -> Console:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # runqemu ends QEMU where it is told to end, and not where it is killed.
        self._machine.terminate()
        self._machine.close(force=True)
        self._log.close()

    def wait_for_boot(self) -> str:
        """Until somebody may log in: what the console said."""
        self._expect(LOGIN)
        self.boot = str(self._machine.before)
        return self.boot

    def log_in(self) -> None:
        """As root, who has no password."""
        self._machine.sendline("root")
        self._expect(PROMPT, COMMAND_SECONDS)

    def is_refused(self) -> bool:
        """Is root without a password?"""
        self._machine.sendline("root")
        if self._expect(["Password: ", PROMPT], COMMAND_SECONDS) == 1:
            return False
        self._machine.sendline("")
        # busybox says "Login incorrect", or "bad salt" where root has no password at all: then it asks who logs in.
        return self._expect([LOGIN, PROMPT], COMMAND_SECONDS) == 0

    def run(self, command: str, seconds: float = COMMAND_SECONDS) -> str:
        """What a command prints, without its echo."""
        self._machine.sendline(command)
        self._expect(PROMPT, seconds)
        return str(self._machine.before).partition("\n")[2].replace("\r", "")

    def power_off(self) -> None:
        self._machine.sendline("poweroff")
        self._expect(pexpect.EOF)

    def pull_the_plug(self) -> None:
        """QEMU's process is killed: nothing is written any more."""
        children = subprocess.run(["pgrep", "-P", str(self._machine.pid), "qemu-system"], capture_output=True, text=True, check=True)
        subprocess.run(["kill", "-KILL", *children.stdout.split()], check=True)
        self._expect(pexpect.EOF)

    def _expect(self, what: object, seconds: float = BOOT_SECONDS) -> int:
        try:
            return int(self._machine.expect(what, timeout=seconds))
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            raise ConsoleError(f"{type(error).__name__}, not {what!r}; the console ends:\n"
                               f"{str(self._machine.before)[-3000:]}") from error


def stamp(log: str, word: str) -> str | None:
    """How many seconds after the kernel's start camfw said it, by the kernel's log."""
    found = re.search(rf"\[ *(\d+\.\d+)\] camfw: {word}", log)
    return found[1] if found else None
