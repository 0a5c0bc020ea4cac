"""A DHCP server on the router: real dnsmasq with what `camfw show dnsmasq` prints, and real udhcpc and dhcpcd
on a camera. Its answers leave no trace in the kernel's neighbours, pass a router that may send only what is
listed, and are not taken for what a host tried."""

from __future__ import annotations

import json
import shutil
import socket

from lab import example, probes
from lab.hosts import INTERFACE
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PRIVATE, allow, camera
from netns.test_cameras import KNOWN_ONLY
from netns.test_egress import LISTED
from netns.test_leases import DNSMASQ

ADDRESS, MAC = example.CAMERA.address, example.CAMERA.mac
PORCH = camera("porch", ADDRESS, MAC)
DHCP = allow("camera", "router", "dhcp")
HOUSE = allow("private", "router", "dhcp")
WATCH = "[watch]\ninterval = 3600\n"

# What a router sends to all: an answer of DHCP, and a search of mDNS by IPv4 and IPv6.
SEND = """
import socket
link = socket.if_nametoindex("eth1")
answer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
answer.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth1")
answer.bind(("", 67))
answer.sendto(b"x", ("255.255.255.255", 68))
answer.sendto(b"x", ("192.168.8.255", 68))
search = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own = socket.inet_aton("192.168.8.1")
search.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + own)
search.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
search.sendto(b"x", ("224.0.0.251", 5353))
search = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
group = socket.inet_pton(socket.AF_INET6, "ff02::fb")
search.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + link.to_bytes(4, "little"))
search.sendto(b"x", ("ff02::fb", 5353, 0, link))
"""


@both_backends
class DhcpServer(RouterTest):
    """dnsmasq on the router, as camfw configures it."""

    def serve(self, without: str = "") -> None:
        config = self.scratch / "dnsmasq.conf"
        lines = self.camfw("show", "dnsmasq").stdout.splitlines()
        config.write_text("".join(f"{line}\n" for line in lines if not without or without not in line))
        process = self.router.start([
            DNSMASQ, "--keep-in-foreground", f"--conf-file={config}", "--no-ping", "--no-resolv", "--no-hosts",
            "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def udhcpc(self, tries: int = 5) -> bool:
        """Whether udhcpc gets a lease, which it does not ask to be told of by broadcast."""
        self.camera.ip("address", "flush", "dev", INTERFACE, "scope", "global")
        asked = self.camera.run([
            str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", INTERFACE, "-s", "/bin/true",
            "-t", str(tries), "-T", "1", "-A", "1",
        ], check=False)
        return asked.returncode == 0

    def dhcpcd(self) -> bool:
        """Whether dhcpcd gets the camera's lease and sets the address."""
        self.camera.ip("address", "flush", "dev", INTERFACE, "scope", "global")
        config = self.scratch / "dhcpcd.conf"
        config.write_text("noarp\nclientid\n")
        client = self.camera.start([
            str(shutil.which("dhcpcd", path="/usr/sbin:/usr/bin:/sbin:/bin")), "-4", "-B", "-f", str(config),
            "--noconfigure", "--script", "/bin/true", "--oneshot", INTERFACE,
        ])
        try:
            return client.wait(20) == 0
        finally:
            client.kill()
            client.wait()

    def neighbour(self) -> str:
        """The camera's neighbour entry."""
        return self.router.run(["ip", "neighbour", "show", ADDRESS, "dev", "eth1"], check=True).stdout.strip()

    def test_the_neighbour_entry_of_a_camera_stays_permanent(self) -> None:
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, DHCP)
        self.serve()
        permanent = self.neighbour()
        self.assertIn(f"lladdr {MAC} PERMANENT", permanent)
        self.assertTrue(self.udhcpc())
        self.assertEqual(self.neighbour(), permanent)
        self.camfw("status")

    def test_it_would_not_by_unicast(self) -> None:
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, DHCP)
        self.serve(without="dhcp-broadcast")
        self.assertTrue(self.udhcpc())
        self.assertNotIn("PERMANENT", self.neighbour(), "the control")

    def test_answers_pass_where_the_router_sends_what_is_listed(self) -> None:
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, DHCP, LISTED)
        self.camfw("prove")
        self.serve()
        self.assertTrue(self.udhcpc(), "udhcpc")
        self.assertTrue(self.dhcpcd(), "dhcpcd")
        self.camfw("status")

    def test_none_pass_into_a_zone_that_may_not_ask(self) -> None:
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, HOUSE, LISTED)
        heard = self.camera.socket(kind=socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.bind(("", 68))
        heard.setblocking(False)
        with self.router.socket(kind=socket.SOCK_DGRAM) as answer:
            answer.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            answer.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth1")
            answer.bind(("", 67))

            def gets_there(port: int, to: str = "255.255.255.255") -> bool:
                try:
                    answer.sendto(b"answer", (to, port))
                except PermissionError:
                    return False
                return bool(wait_until(lambda: bool(self.received(heard)), 1))
            self.assertFalse(gets_there(68))
            self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, DHCP, LISTED)
            self.assertTrue(gets_there(68), "the control")
            self.assertFalse(gets_there(69))
            self.assertFalse(gets_there(68, ADDRESS))

    def test_answers_of_dhcpv6_pass_to_link_local_addresses(self) -> None:
        networks = PRIVATE.replace('"192.168.5.200/24"', '["192.168.5.200/24", "fd00:5::1/64"]')
        parts = (EXTERNAL, CAMERA, networks, LISTED, '[ipv6]\nmode = "same"\n')
        show = ["ip", "-6", "-br", "address", "show", "dev", INTERFACE, "scope", "link"]

        def own() -> str:
            words = self.laptop.run(show, check=True).stdout.split()
            return words[2].split("/")[0] if len(words) > 2 else ""
        self.boot(*parts)
        self.assertTrue(wait_until(lambda: own() != ""))
        heard = self.laptop.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.bind(("::", 546))
        heard.setblocking(False)
        with self.router.entered():
            link = socket.if_nametoindex("eth2")
        with self.router.socket(socket.AF_INET6, socket.SOCK_DGRAM) as answer:
            answer.bind(("::", 547))

            def gets_there(port: int) -> bool:
                try:
                    answer.sendto(b"answer", (own(), port, 0, link))
                except PermissionError:
                    return False
                return bool(wait_until(lambda: bool(self.received(heard)), 2))
            self.assertFalse(gets_there(546))
            self.boot(*parts, allow("private", "router", "dhcpv6"))
            self.assertTrue(wait_until(lambda: gets_there(546)), "the control")
            self.assertFalse(gets_there(547))

    def received(self, heard: socket.socket) -> bytes:
        try:
            return heard.recv(100)
        except BlockingIOError:
            return b""

    def is_recording(self) -> bool:
        return bool(json.loads(self.program.run("blocked", "--json").stdout)["recording"])

    def told(self, command: str) -> str:
        return self.program.run(command).stdout

    def test_what_the_router_sends_to_all_is_no_hosts_attempt(self) -> None:
        for zone in (KNOWN_ONLY, CAMERA):
            with self.subTest(zone=zone):
                self.boot(EXTERNAL, zone, PRIVATE, PORCH, DHCP, WATCH, '[ipv6]\nmode = "same"\n')
                with self.program.watching(self.is_recording):
                    self.router.run(["python3", "-c", SEND], check=True)
                    # What a host sends is recorded, after it.
                    probes.tcp(self.camera, example.CAMERA.router, 4321, 0.2)
                    self.assertTrue(wait_until(lambda: "4321" in self.told("blocked")), "the control")
                    own = self.router.run(["ip", "-br", "address", "show", "dev", "eth1"], check=True).stdout
                    for address in (word.split("/")[0] for word in own.split()[2:]):
                        for command in ("blocked", "hosts"):
                            told = self.told(command)
                            self.assertNotRegex(told, rf"(?m)^({address} \(| +not listed +{address},)", command)
