"""Owns the router under test: its SSH, its serial console, and the hosts at its other two cards."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable

from oeqa.runtime.case import OERuntimeTestCase

from . import example, wire

# As camfw_wire in camfw-image-qemu.inc has them, from CAMFW_QB_PORT on.
WIRES = {"internet": 0, "camera": 1}

BOOT_SECONDS = 180
CONSOLE_SECONDS = 5
COMMAND_SECONDS = 60
# What the console ends with where somebody may log in, and where root is: OE-Core's own patterns.
LOGIN = " login:"
PROMPT = ":~#"


class RouterTest(OERuntimeTestCase):
    """A base class without tests."""

    # A number for each command at the console.
    commands = itertools.count()

    def said(self, command: str, code: int = 0) -> str:
        """What a command on the router prints, which must exit with `code`."""
        status, output = self.target.run(command)
        self.assertEqual(status, code, f"{command}: {output}")
        return str(output)

    def kernel_log(self) -> str:
        """What camfw said at boot."""
        return self.said("dmesg")

    @contextlib.contextmanager
    def wires(self):
        """The hosts at eth0 and eth1."""
        first = int(self.td.get("CAMFW_QB_PORT", 17300))
        with contextlib.ExitStack() as stack:
            yield {
                wiring.name: stack.enter_context(wire.Wire(
                    wiring, f"52:54:00:00:00:{WIRES[wiring.name] + 1:02x}", first + 2 * WIRES[wiring.name]))
                for wiring in example.WIRINGS if wiring.name in WIRES
            }

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(1)

    def wait_for_ssh(self) -> None:
        """After a boot."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.target.run("true", timeout=10, ignore_ssh_fails=True)[0] != 0:
            self.assertLess(time.monotonic(), deadline, "SSH does not answer")
            time.sleep(1)

    def reboot(self, command: str = "reboot") -> None:
        """By the console, and until the next boot answers: `reboot` returns long before the box is down."""
        deadline = time.monotonic() + BOOT_SECONDS
        while (before := self.boot_id()) is None:
            self.assertLess(time.monotonic(), deadline, "the console does not answer")
        self.type(command, CONSOLE_SECONDS)
        deadline = time.monotonic() + BOOT_SECONDS
        while self.boot_id() in (None, before):
            self.assertLess(time.monotonic(), deadline, "the console does not answer after a reboot")
            time.sleep(1)

    def boot_id(self) -> str | None:
        """Which boot the console belongs to; None where it does not answer."""
        # Never a command at a login prompt: it would be a name, and the next line its password.
        # Nor where nothing answers: getty reads what was typed before it began.
        output = self.type("", CONSOLE_SECONDS)
        # The kernel's own lines may come after it.
        if LOGIN in output:
            output = self.type("root", CONSOLE_SECONDS)
        if PROMPT not in output:
            return None
        # By its name: at boot the kernel prints the root file system's UUID, which looks the same.
        output = self.type("echo boot_id=$(cat /proc/sys/kernel/random/boot_id)", CONSOLE_SECONDS)
        found = re.search(r"boot_id=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", output)
        return found[1] if found else None

    def console(self, command: str) -> str:
        """What a command at the serial console prints. It must answer."""
        # The typed line's echo has $((0)) in the zero's place. The kernel's lines stay out of it.
        number = next(self.commands)
        begin, end = f"0_begin_{number}\r", f"0_end_{number}\r"
        output = self.type(f"dmesg -n 1; echo $((0))_begin_{number}; {command}; echo $((0))_end_{number}")
        deadline = time.monotonic() + BOOT_SECONDS
        # run_serial ends at any prompt, and an older command's may be left.
        while end not in output:
            self.assertLess(time.monotonic(), deadline, f"the console does not answer {command}: {output}")
            output += self.type("", CONSOLE_SECONDS)
        return output.partition(begin)[2].partition(end)[0]

    def type(self, line: str, seconds: float = COMMAND_SECONDS) -> str:
        """What the serial console says to a line, echo and prompt included."""
        return str(self.target.runner.run_serial(f"{line}\n", raw=True, timeout=seconds)[1])
