"""Broadcasts from zone to zone: the kernel passes them on where the file has both settings for it."""

from __future__ import annotations

from lab import traffic
from lab.capture import Capture
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

WAKE_ON_LAN = 9
NETWORK_OF_CAMERAS = "192.168.8.255"
LINE = allow("private", "camera", f"{{ udp = {WAKE_ON_LAN} }}", f'address = "{NETWORK_OF_CAMERAS}"')
ALL, COMES_IN_BY = "net.ipv4.conf.all.bc_forwarding", "net.ipv4.conf.eth2.bc_forwarding"


@both_backends
class Broadcasts(RouterTest):
    def arrived(self, expected: int) -> int:
        """How many of five packets from the house come to the cameras' wire."""
        with Capture(self.camera, f"udp dst port {WAKE_ON_LAN}") as packets:
            traffic.send(self.laptop, NETWORK_OF_CAMERAS, kind=traffic.UDP, port=WAKE_ON_LAN)
            return packets.count(expected=expected)

    def test_a_line_takes_both_settings(self) -> None:
        self.boot(ZONES, LINE, f'[sysctls]\n"{ALL}" = 1\n"{COMES_IN_BY}" = 1\n')
        self.assertEqual(self.arrived(5), 5)
        # Why the file is refused without one of them.
        for missing in (ALL, COMES_IN_BY):
            with self.subTest(missing):
                self.router.write_sysctl(missing, "0")
                self.assertEqual(self.arrived(0), 0)
                self.router.write_sysctl(missing, "1")
                self.assertEqual(self.arrived(5), 5)
                self.program.configure("\n".join((ZONES, LINE, "[sysctls]", *(
                    f'"{setting}" = 1' for setting in (ALL, COMES_IN_BY) if setting != missing))))
                refused = self.camfw("check", expect=2)
                self.assertIn(f'add "{missing}" = 1', refused.stderr)
