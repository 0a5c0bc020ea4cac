"""Owns the base of the tests of network configuration: its netlink messages, and wires
that are plugged and unplugged."""

from __future__ import annotations

import re
import shutil

from lab.probes import wait_until
from netns.case import RouterTest


class NetworkTest(RouterTest):
    """A base class without tests."""

    # One backend suffices, because the tables do not matter here; the other files test
    # both.
    backend = "legacy"

    def extend(self, text: str) -> None:
        """Appends to the configuration."""
        self.program.configure(self.program.config.read_text() + text)

    def traced(self, *arguments: str, also: str | None = None, expect: int = 0) -> list[str]:
        """The netlink change messages that a run sends to the kernel, in order; and the
        files opened for writing whose trace line matches `also`."""
        output = self.scratch / "netlink"
        strace = str(shutil.which("strace"))
        self.camfw(*arguments, before=[strace, "-f", "-o", output, "-e", "trace=sendto,sendmsg,openat"],
                   expect=expect)
        wanted = r"nlmsg_type=RTM_(NEW|SET|DEL)"
        if also is not None:
            wanted += rf"|{also}.*O_(WRONLY|RDWR)"
        return [line for line in output.read_text().splitlines() if re.search(wanted, line)]

    def hears(self, words: str) -> bool:
        """Whether the words appear in its log from now on."""
        said = ""

        def heard() -> bool:
            nonlocal said
            said += self.program.logged()
            return words in said

        return wait_until(heard)

    def replug(self, name: str) -> None:
        """Unplugs a host's wire and plugs it back in."""
        self.lab.hosts[name].plug(self.router)

    def unplug(self, name: str) -> None:
        self.router.ip("link", "delete", self.lab.hosts[name].wiring.interface)
