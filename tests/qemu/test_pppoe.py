"""The internet comes by PPPoE: a real pppd dials in, as the recipe says, at a real PPPoE server. The
line comes late, is lost, and comes again with another address.

The provider is a network namespace of the same machine, whose kernel has PPP.
"""

from __future__ import annotations

import json
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from qemu import ROOT
from qemu import test_boot as boot

from appliance import cpio, image
from appliance.machine import Machine
from lab import probes, traffic
from lab.capture import Capture
from lab.dialup import MTU
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import PATIENCE, Reach, wait_until
from lab.traffic import Stream
from netns.recipes import HOUSE, INTERNET, PORCH, PORCH_MAC, SERVER, recipe
from netns.test_given import EXAMPLE, NEXT, OWN, PROVIDER

TITLE = "The internet comes by PPPoE"
# What the camera sends to the internet all the time.
PORT = 7007
# Someone on the wire that carries PPPoE, and the router there.
NEIGHBOUR, CARRIER = "10.9.9.2", "10.9.9.1"

# The card of eth0 is the provider's way to the internet, and eth0 the wire between the two.
# It knows the ways inside, as no provider does: what does not get there is the router's doing.
START_PROVIDER = f"""#!/bin/sh
[ "$1" = start ] || exit 0
modprobe -a veth ppp_async pppoe
unshare -n sleep 2147483647 &
echo $! >/provider
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link set eth0 name uplink
ip link add eth0 type veth
ip link set uplink netns $!
ip link set veth0 netns $!
provider ip link set lo up
provider ip address add {INTERNET.router}/24 dev uplink
provider ip link set uplink up
provider ip route add default via {INTERNET.address}
provider ip address add {NEIGHBOUR}/24 dev veth0
provider ip link set veth0 up
provider sysctl -w net.ipv4.ip_forward=1 >/dev/null
"""
PROVIDER_RUNS = """#!/bin/sh
exec nsenter -t "$(cat /provider)" -n "$@"
"""
# Both pppds run this; the sixth argument is ipparam.
IP_UP = """#!/bin/sh
[ "$6" = provider ] || exit 0
for inside in 192.168.5.0/24 192.168.8.0/24; do ip route replace "$inside" dev "$1"; done
"""
SERVER_OPTIONS = f"""name provider
require-chap
mtu {MTU}
mru {MTU}
ipparam provider
"""


def setUpModule() -> None:
    subprocess.run([ROOT / "qemu/image/tunnels"], check=True)
    boot.set_up((INTERNET, PORCH, HOUSE))


tearDownModule = boot.tearDownModule


class Pppoe(unittest.TestCase):
    machine: Machine

    @classmethod
    def setUpClass(cls) -> None:
        cls.internet, cls.camera, cls.laptop = (
            boot.scene.hosts[name].namespace for name in ("internet", "camera", "laptop"))
        cls.camera.ip("link", "set", INTERFACE, "address", PORCH_MAC)
        cls.internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
        peer = recipe(TITLE).block("text")
        [user] = re.findall(r'^user "(.*)"$', peer, re.MULTILINE)
        files = boot.files(EXAMPLE.read_text()) | {
            "etc/ppp": cpio.folder(), "etc/ppp/peers": cpio.folder(), "etc/ppp/peers/provider": cpio.file(peer),
            "etc/ppp/pppoe-server-options": cpio.file(SERVER_OPTIONS),
            "etc/ppp/chap-secrets": cpio.file(f'"{user}" * "swordfish" *\n', 0o600),
            "etc/ppp/ip-up": cpio.file(IP_UP, 0o755),
            "usr/sbin/provider": cpio.file(PROVIDER_RUNS, 0o755),
            "etc/init.d/provider": cpio.file(START_PROVIDER, 0o755),
            "etc/rcS.d": cpio.folder(), "etc/rcS.d/S00provider": cpio.link("../init.d/provider"),
        }
        cls.machine = boot.scene.boot(image.tunnels(), files)
        cls.addClassCleanup(cls.machine.kill)
        boot.wait_for_exit(cls.machine, 0)
        cls.machine.wait_for_kernel(boot.SERVICES, boot.BOOT_SECONDS)

    def said(self, command: str) -> str:
        code, said = self.machine.command(command)
        self.assertEqual(code, 0, said)
        return said

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.machine.command("camfw status --json 2>/dev/null")[1]))

    def holds(self) -> bool:
        """Whether the policy is applied, with nothing missing and nothing that differs."""
        report = self.status()
        return (report["state"], report["holds"], report["drift"], report["missing"]) == ("applied", True, [], [])

    def assert_holds(self) -> None:
        if not wait_until(self.holds, PATIENCE * 3):
            self.fail(self.machine.command("camfw status")[1])

    def leads_out(self) -> bool:
        """Whether the default route is the line."""
        return "default dev ppp0" in self.said("ip -4 route show")

    def serve(self, address: str) -> None:
        """The provider takes calls, and gives out this address."""
        self.said(f"provider pppoe-server -I veth0 -L {PROVIDER} -R {address} -N 1 -O /etc/ppp/pppoe-server-options")

    def assert_dialled(self, address: str) -> None:
        """The line is up with this address, and the house's way out."""
        if not wait_until(self.leads_out, PATIENCE * 3):
            self.fail(self.machine.command("tail -n 60 /var/log/messages")[1])
        self.assert_holds()
        self.assertRegex(self.said("ip -4 address show dev ppp0"), rf"inet {address} peer {PROVIDER}/32")
        self.assertEqual(self.said("cat /proc/sys/net/ipv4/conf/ppp0/rp_filter"), self.said("cat /proc/sys/net/ipv4/conf/eth2/rp_filter"))
        with Capture(self.internet, "tcp dst port 443 and tcp[tcpflags] & tcp-syn != 0") as arrived:
            reach = probes.tcp(self.laptop, SERVER, 443)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
        self.assertIn(f"IP {address}.", arrived.packets[0], "the house has the line's address")
        self.assertIn(f"mss {MTU - 40}", arrived.packets[0], "clamped to what PPPoE leaves")

    def crossings(self, own: str, wait: float) -> dict[str, Reach]:
        """What nobody may: the camera to the internet, and who is outside to the inside and the router."""
        ways: list[tuple[Namespace, str, int]] = [
            (self.camera, SERVER, 443), (self.internet, own, 22), (self.internet, HOUSE.address, 443),
            (self.internet, PORCH.address, 80)]
        with ThreadPoolExecutor(len(ways)) as pool:
            reached = pool.map(lambda way: probes.tcp(*way, wait), ways)
            return {f"{source.role} to {target}": reach for (source, target, _), reach in zip(ways, reached, strict=True)}

    def answers_the_wire(self) -> bool:
        """Whether the router's SSH server answers someone on the wire that carries PPPoE."""
        return "SSH-2.0" in self.machine.command(f"provider nc -w 5 {HOUSE.router} 22 </dev/null")[1]

    def assert_closed(self, own: str) -> None:
        for way, reach in self.crossings(own, probes.WAIT_SECONDS).items():
            self.assertFalse(reach, way)

    def test_the_line_comes_late_is_lost_and_comes_with_another_address(self) -> None:
        # Before: booted and whole, the carrier is up and nobody's, and there is no way out.
        self.assert_holds()
        self.assertFalse(self.leads_out())
        self.assertRegex(self.said("ip link show dev eth0"), r"[<,]UP[,>]")
        self.assertNotIn("inet ", self.said("ip -4 address show dev eth0"))
        carrier = self.said("cat /sys/class/net/eth0/address").strip()
        self.said(f"provider arp -i veth0 -s {CARRIER} {carrier}")
        with Capture(self.internet, f"udp port {PORT}") as arrived, \
                Stream(self.camera, SERVER, kind=traffic.UDP, port=PORT, microseconds=10_000):
            self.assertFalse(probes.tcp(self.laptop, SERVER, 443, probes.WAIT_SECONDS))
            self.serve(OWN)
            self.said("pppd call provider")
            self.assert_dialled(OWN)
            self.assert_closed(OWN)
            self.said(f"provider ip route add {HOUSE.router}/32 via {CARRIER}")
            self.assertFalse(self.answers_the_wire())
            # The provider is gone, and the line with it.
            self.said("kill $(pidof pppoe-server)")
            self.assertTrue(wait_until(lambda: self.machine.command("test -e /sys/class/net/ppp0")[0] == 1, PATIENCE * 2))
            self.assertFalse(self.leads_out())
            self.assert_holds()
            self.assertFalse(probes.tcp(self.laptop, SERVER, 443, probes.WAIT_SECONDS))
            self.assertTrue(probes.tcp(self.laptop, PORCH.address, 554), "the rest goes on")
            # pppd dials until somebody answers.
            self.serve(NEXT)
            self.assert_dialled(NEXT)
            self.assert_closed(NEXT)
            self.assertFalse(self.answers_the_wire())
            self.assertEqual(arrived.count(), 0, "of what the camera sends all the time")
            self.assertNotIn("drift", self.said("cat /var/log/messages").lower())
            # The control: without a firewall each of what did not pass does.
            self.said("camfw open")
            for way, reach in self.crossings(NEXT, PATIENCE).items():
                self.assertTrue(reach, f"{way}: {reach.detail}")
            self.assertGreater(arrived.count(expected=1), 0)
            self.said("for key in all eth0; do echo 0 >/proc/sys/net/ipv4/conf/$key/rp_filter; done")
            self.assertTrue(wait_until(self.answers_the_wire))
