"""Owns what the tests of the network half stand on: its messages to the kernel,
wires that come and go."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator

from lab.probes import wait_until
from netns.case import RouterTest


class NetworkTest(RouterTest):
    """A base without tests."""

    # The tables are beside the point here; the other files run on both.
    backend = "legacy"

    def extend(self, text: str) -> None:
        """Add to the configuration."""
        self.program.configure(self.program.config.read_text() + text)

    def traced(self, *arguments: str, also: str | None = None, expect: int = 0) -> list[str]:
        """The change messages that a run sends to the kernel, in order; with the
        files opened for writing whose line matches `also`."""
        output = self.scratch / "netlink"
        strace = str(shutil.which("strace"))
        self.camfw(*arguments, before=[strace, "-f", "-o", output, "-e", "trace=sendto,sendmsg,openat"],
                   expect=expect)
        wanted = r"nlmsg_type=RTM_(NEW|SET|DEL)"
        if also is not None:
            wanted += rf"|{also}.*O_(WRONLY|RDWR)"
        return [line for line in output.read_text().splitlines() if re.search(wanted, line)]

    def hears(self, words: str) -> bool:
        """Whether the words come in its log, from now on."""
        said = ""

        def heard() -> bool:
            nonlocal said
            said += self.program.logged()
            return words in said

        return wait_until(heard)

    @contextlib.contextmanager
    def watching(self) -> Iterator[subprocess.Popen[bytes]]:
        """camfw watch, in the background."""
        process = self.program.start("watch")
        try:
            yield process
            self.assertIsNone(process.poll(), "watch went on")
        finally:
            process.kill()
            process.communicate()

    def replug(self, name: str) -> None:
        """A host's wire, pulled out (unplug) and put back in."""
        self.lab.hosts[name].plug(self.router)

    def unplug(self, name: str) -> None:
        self.router.ip("link", "delete", self.lab.hosts[name].wiring.interface)
