"""Which hosts may request an address if only listed cameras may send: their hardware
addresses, each with its own limit."""

from __future__ import annotations

import shutil

from lab import example
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PRIVATE, camera
from netns.test_cameras import KNOWN_ONLY

ADDRESS = example.CAMERA.address
STRANGE = "02:00:00:00:00:99"
LINE = 'to = "router", service = "dhcp", limit = "6/hour"'


@both_backends
class WhoAsksForAnAddress(RouterTest):
    """dnsmasq on the router, and udhcpc on the cameras' wire. The limit lets a burst of
    five through."""

    def serve(self) -> None:
        process = self.router.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--port=0", "--conf-file=/dev/null",
            "--interface=eth1", "--no-ping", "--dhcp-range=192.168.8.100,192.168.8.120,255.255.255.0,2m",
            f"--dhcp-host={example.CAMERA.mac},{ADDRESS}", "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def has_lease(self, mac: str, tries: int) -> bool:
        """Whether udhcpc gets a lease with this hardware address."""
        self.camera.ip(batch=f"""
            address flush dev eth0 scope global
            link set eth0 address {mac}
        """)
        client = [str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", "/bin/true"]
        asked = self.camera.run([*client, "-t", str(tries), "-T", "1", "-A", "1"], check=False)
        return asked.returncode == 0

    def test_a_strange_hardware_address_uses_up_no_cameras_limit(self) -> None:
        self.serve()
        self.open_router()
        self.assertTrue(self.has_lease(STRANGE, 3), "control: without the firewall anybody gets one")
        listed = camera("porch", ADDRESS, example.CAMERA.mac, LINE)
        self.boot(EXTERNAL, PRIVATE, KNOWN_ONLY, listed, camera("gate", "192.168.8.111", "02:00:00:00:00:98", LINE))
        self.assertFalse(self.has_lease(STRANGE, 12))
        self.assertTrue(self.has_lease(example.CAMERA.mac, 3), "five of its own are left")

    def test_a_camera_uses_up_its_own_limit_alone(self) -> None:
        self.serve()
        other = "02:00:00:00:00:98"
        listed = camera("porch", ADDRESS, example.CAMERA.mac, LINE)
        self.boot(EXTERNAL, PRIVATE, KNOWN_ONLY, listed, camera("gate", "192.168.8.111", other, LINE))
        leases = [self.has_lease(other, 1) for _ in range(5)]
        self.assertIn(True, leases)
        self.assertFalse(leases[-1], "its limit is used up")
        self.assertTrue(self.has_lease(example.CAMERA.mac, 3), "the other one's is not")
