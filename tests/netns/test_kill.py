"""Kills boot and apply before each of their changes: only packets that the old or the
new policy allows get through, and the next boot puts a policy in force."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from netns.case import RouterTest, both_backends
from netns.crowd import Crowd
from netns.points import Point, injecting, points, tracing
from netns.tables import meant

# Additions in the new policy, so that each part of the kernel changes: raw, nat and
# filter, settings, addresses, routes, rules and neighbours.
MORE = '''
[[masquerade]]
from = "private"
to = "external"

[[routes]]
to = "10.99.0.0/16"
via = "192.168.5.10"

[[routes]]
to = "10.98.0.0/16"
blackhole = true
table = 77

[[marks]]
fwmark = 77
table = 77

[sysctls]
"net.ipv4.conf.eth1.log_martians" = 0

[[cameras]]
name = "porch"
address = "192.168.8.110"
mac = "02:00:00:00:00:11"
'''

# The upper limit of points per kind, over all commands.
AT_LEAST = {
    r"rename": 4,
    r"fsync": 4,
    r"openat.*O_CREAT": 4,
    r"write\(\d+</(run|var/lib)/camfw/": 3,
    r"write\(\d+</proc/sys/": 1,
    r"write\(\d+</memfd": 1,
    r"sendto\(.*RTM_NEW": 7,
    r"clone|vfork|fork": 4,
    r"wait4": 4,
}


@both_backends
class Kill(RouterTest):
    """SIGKILL at each point, one run per point."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.program.config.read_text()
        new = self.old.replace('service = "ssh"', 'service = ["ssh", "https"]')
        new = new.replace('rate = "10/minute"', 'rate = "20/minute"')
        new = new.replace('"192.168.8.1/24"', '["192.168.8.1/24", "192.168.18.1/24"]')
        new = re.sub(r"\[\[masquerade\]\].*?\n\n", "", new, flags=re.DOTALL)
        self.new = new + MORE

    def bring(self, text: str) -> None:
        self.program.configure(text)
        self.camfw("boot")

    def find_points(self, *command: str) -> list[Point]:
        """The points of the command on a box with the old policy and the new file."""
        self.bring(self.old)
        self.program.configure(self.new)
        output = self.scratch / "trace"
        self.camfw(*command, before=tracing(output))
        found = points(output)
        # Nothing that changes the box is overlooked, in any thread.
        for what, at_least in AT_LEAST.items():
            times = sum(bool(re.match(what, f"{point.call}{point.what}")) for point in found)
            self.assertGreaterEqual(times, at_least, f"{what}: {[str(point) for point in found]}")
        return found

    def kill_at(self, point: Point, *command: str) -> bool:
        """Kills the command on a box with the old policy; returns whether it reached
        the point."""
        self.bring(self.old)
        self.program.configure(self.new)
        result = self.program.run(*command, before=injecting(point, "signal=KILL"))
        self.assertIn(result.code, (0, -signal.SIGKILL), f"{point}: {result}")
        return result.code != 0

    def assert_nothing_through(self, crowd: Crowd, when: str) -> None:
        self.assertEqual(crowd.got_through(), {}, f"{when}: {crowd.packets()}")

    def run_through(self, *command: str) -> None:
        found = self.find_points(*command)
        self.camfw("open")
        self.lab.configure_router()
        killed = 0
        started = time.monotonic()
        with Crowd(self.lab) as crowd:
            self.assertTrue(crowd.is_everywhere(), "control: an open box lets it through everywhere")
        with Crowd(self.lab) as crowd:
            self.bring(self.old)
            time.sleep(0.3)
        with Crowd(self.lab) as crowd:
            for point in found:
                if not self.kill_at(point, *command):
                    continue
                killed += 1
                self.assert_nothing_through(crowd, f"after a kill at {point}")
                result = self.camfw("boot")
                self.assertIn("Applied", result.stderr, str(point))
                self.assert_nothing_through(crowd, f"in the boot after a kill at {point}")
            self.camfw("status")
        self.assertGreater(killed, 0.9 * len(found), "so many points were come to")
        print(f"\n{self.backend}: {' '.join(command)} killed at {killed} of {len(found)} points "
              f"in {time.monotonic() - started:.0f} s", flush=True)

    def end_watchdogs(self) -> None:
        # Stop both first, so that neither sees the other's end and restarts it.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.router.pids():
                with contextlib.suppress(OSError):
                    if b"await-confirmation" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, number)

    def test_apply_to_be_confirmed_killed_at_every_point(self) -> None:
        command = ("apply", "--confirm", "600")
        found = self.find_points(*command)
        self.end_watchdogs()
        killed = 0
        self.bring(self.old)
        old = sorted(meant(self.tables.snapshot()))
        with Crowd(self.lab) as crowd:
            for point in found:
                came = self.kill_at(point, *command)
                # Like a power cut: the pending change is not made.
                self.end_watchdogs()
                if not came:
                    continue
                killed += 1
                self.assert_nothing_through(crowd, f"after a kill at {point}")
                result = self.program.run("boot")
                self.assertIn(result.code, (0, 1), f"{point}: {result}")
                self.assertIn("Applied", result.stderr, str(point))
                # Nothing of the policy is in force before it is recorded as
                # unconfirmed.
                if result.code == 1:
                    self.assertEqual(sorted(meant(self.tables.snapshot())), old, str(point))
                self.assert_nothing_through(crowd, f"in the boot after a kill at {point}")
                self.camfw("apply")
        self.assertGreater(killed, 0.9 * len(found), "so many points were come to")
        print(f"\n{self.backend}: apply --confirm killed at {killed} of {len(found)} points", flush=True)

    def test_boot_killed_at_every_point(self) -> None:
        self.run_through("boot")

    def test_apply_killed_at_every_point(self) -> None:
        self.run_through("apply")
