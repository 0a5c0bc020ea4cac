"""A program of the box that is nobody's cannot keep the good policy from coming back."""

from __future__ import annotations

import subprocess
import sys

from lab import example, probes
from netns.case import RouterTest, both_backends
from netns.policies import PING, ZONES

SECONDS = 4
# As an unprivileged user: looks for the waiters of a trial, and takes the names of
# sockets by which they could know each other before they do.
SQUATTER = """
import os, socket
os.setgid(65534)
os.setuid(65534)
taken, seen = [], set()
print("ready", flush=True)
while True:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\\0")
        except OSError:
            continue
        if pid in seen or b"await-confirmation" not in words:
            continue
        seen.add(pid)
        token = words[words.index(b"await-confirmation") + 1].decode()
        for waiter in ("second", "first"):
            taken.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                taken[-1].bind(f"\\0camfw/{token}-{waiter}")
            except OSError:
                pass
"""


@both_backends
class Squatter(RouterTest):
    def test_a_trial_ends_at_its_time(self) -> None:
        self.boot(ZONES, PING)
        router = example.CAMERA.router
        self.assertTrue(probes.ping(self.camera, router), "control")
        squatter = self.router.start([sys.executable, "-c", SQUATTER], stdout=subprocess.PIPE)
        self.addCleanup(squatter.communicate)
        self.addCleanup(squatter.kill)
        assert squatter.stdout is not None
        self.assertEqual(squatter.stdout.readline(), b"ready\n")
        self.program.configure(ZONES)
        self.camfw("apply", "--confirm", str(SECONDS))
        self.assertFalse(probes.ping(self.camera, router, 0.5), "the new policy is in force")
        self.assertTrue(probes.ping(self.camera, router), "the good one comes back")
