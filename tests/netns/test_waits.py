"""Calls that the kernel may block forever: each has a time limit, and what could not be
done is reported."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Sequence

from lab.probes import wait_until
from netns.case import RouterTest
from netns.program import wrap

STRACE = str(shutil.which("strace"))
# Long compared with a boot, short compared with ten minutes.
SECONDS = 120
# The outcome if a box cannot be closed completely: with its links down, nothing passes.
NOT_CLOSED = r"camfw: (Unsealed|Sealed: the interfaces are down)"


class Waits(RouterTest):
    """One backend suffices, because the tables do not matter here; the other files test
    both."""

    backend = "legacy"

    def says(self, words: str, *arguments: str, held_up: Sequence[str]) -> str:
        """The log up to the text that matches these words, while some of its calls take
        ten minutes."""
        process = self.program.start(
            *arguments, before=[STRACE, "-f", "-qq", "-o", "/dev/null", *held_up])
        said = ""

        def is_said() -> bool:
            nonlocal said
            said += self.program.logged()
            return bool(re.search(words, said))

        try:
            self.assertTrue(wait_until(is_said, SECONDS), said)
        finally:
            # strace itself waits for the call.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        return said

    def test_a_setting_that_cannot_be_written_is_told(self) -> None:
        """As while a driver holds the lock of all network devices."""
        self.camfw("boot")
        started = time.monotonic()
        said = self.says(NOT_CLOSED, "boot", held_up=(
            "-P", "/proc/sys/net/ipv4/ip_forward", "-e", "trace=write",
            "-e", "inject=write:delay_enter=600000000"))
        self.assertGreater(time.monotonic() - started, 9, "control: it is waited for")
        self.assertIn("ip_forward", said)
        self.assertNotIn("tables could not be closed", said)
        # Whatever could be closed is closed.
        self.assert_closed_tables()

    def test_a_setting_that_cannot_be_read_is_told(self) -> None:
        self.camfw("boot")
        self.says(NOT_CLOSED, "boot", held_up=(
            "-P", "/proc/sys/net/ipv4/ip_forward", "-e", "trace=read",
            "-e", "inject=read:delay_enter=600000000"))
        self.assert_closed_tables()

    def test_a_file_that_cannot_be_read_is_refused(self) -> None:
        """As on a disk that has failed: the box is closed, or on its last good policy."""
        self.camfw("boot")
        said = self.says("camfw: Applied", "boot", held_up=(
            "-P", str(self.program.config), "-e", "trace=read",
            "-e", "inject=read:delay_enter=600000000"))
        self.assertIn("the last good policy", said)

    def test_a_netlink_that_does_not_return_opens_nothing(self) -> None:
        """As above: the kernel carries a request out before the call returns."""
        self.camfw("boot")
        started = time.monotonic()
        said = self.says("netlink: no answer after", "boot", held_up=(
            "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=600000000"))
        self.assertGreater(time.monotonic() - started, 9, "control: it is waited for")
        self.assertRegex(said, "camfw: (Sealed|Unsealed): ")
        self.assert_closed_tables()
        self.assertEqual(self.forwarding(), "0")

    def test_a_pipe_in_place_of_a_dhcp_clients_number_is_none(self) -> None:
        self.change_config('address   = "192.168.0.2/24"', 'address   = "dhcp"')
        self.change_config('gateway   = "192.168.0.1"', "")
        wrap(self.program.tools, "udhcpc", "exit 0", self.backend)
        os.mkfifo(self.program.run_folder / "camfw-udhcpc-eth0.pid", 0o600)
        self.program.run("apply", seconds=SECONDS)
