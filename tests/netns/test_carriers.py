"""What comes in on an interface that only carries others: a bridge's port, a modem's wire. Nobody is there."""

from __future__ import annotations

import contextlib
import socket
import struct

from lab import example
from lab.hosts import INTERFACE, Wiring
from lab.namespace import Namespace
from lab.probes import PATIENCE
from netns.case import RouterTest, both_backends
from netns.policies import allow

SERVER, SERVER6 = "9.9.9.9", "2001:db8:99::9"
PORT = 123
IPV6 = 0x86DD
# The groups of LLDP, 802.1X and STP: what is for the first two a bridge hands to its port.
GROUPS = ("01:80:c2:00:00:0e", "01:80:c2:00:00:03", "01:80:c2:00:00:00")
YARD = Wiring("yard", "eth3", "192.168.8.111", 24, router="192.168.8.1", address6="fd00:8::111", router6="fd00:8::1")
SHORT = 1.0


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def udp(source: str, target: str, ports: tuple[int, int], data: bytes) -> bytes:
    """A datagram, from IPv4's or IPv6's header on."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    length = 8 + len(data)
    if family == socket.AF_INET6:
        pseudo = ends + struct.pack("!II", length, 17)
        ip = struct.pack("!IHBB", 6 << 28, length, 17, 64) + ends
    else:
        pseudo = ends + struct.pack("!HH", 17, length)
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, 17, 0) + ends
        ip = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    head = struct.pack("!HHH", *ports, length)
    return ip + head + struct.pack("!H", checksum(pseudo + head + b"\0\0" + data)) + data


def send(host: Namespace, to: str, packet: bytes) -> None:
    kind = IPV6 if packet[0] >> 4 == 6 else 0x0800
    with host.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((INTERFACE, 0))
        wire.send(mac(to) + mac("02:00:00:00:00:99") + struct.pack("!H", kind) + packet)


# A server, and the router's and the laptop's address that ask it.
ENDS = ((SERVER, example.INTERNET.router, example.LAPTOP.address),
        (SERVER6, example.INTERNET.router6, example.LAPTOP.address6))


class Carried(RouterTest):
    """The router and the house ask somebody on the internet, and whoever is on the cameras' wire knows what."""

    wirings = (*example.WIRINGS, YARD)
    carrier = ""

    def setUp(self) -> None:
        super().setUp()
        self.internet.ip(batch=f"link set lo up\naddress add {SERVER}/32 dev lo\naddress add {SERVER6}/128 dev lo nodad")
        self.boot(f"""
[ipv6]
mode = "same"

[zones.external]
interface = "eth0"
address = ["{example.INTERNET.router}/24", "{example.INTERNET.router6}/64"]
gateway = ["{example.INTERNET.address}", "{example.INTERNET.address6}"]
role = "external"

[zones.private]
interface = "eth2"
address = ["{example.LAPTOP.router}/24", "{example.LAPTOP.router6}/64"]
role = "private"
{self.carrier}
""", allow("private", "external", f"{{ udp = [{PORT}] }}"))

    def hears(self, host: Namespace, server: str, own: str, to: str) -> list[bytes]:
        """What a client hears beside the answers of the server that it asks: a forged one, if it gets there."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with host.socket(family, socket.SOCK_DGRAM) as client, self.internet.socket(family, socket.SOCK_DGRAM) as far:
            far.bind((server, PORT))
            for end in (far, client):
                end.settimeout(PATIENCE)
            client.bind((own, 0))
            client.connect((server, PORT))
            for _ in range(2):
                client.send(b"question")
                far.sendto(b"answer", far.recvfrom(100)[1])
                self.assertEqual(client.recv(100), b"answer")
            send(self.camera, to, udp(server, own, (PORT, client.getsockname()[1]), b"forged"))
            client.settimeout(SHORT)
            heard: list[bytes] = []
            with contextlib.suppress(TimeoutError):
                while True:
                    heard.append(client.recv(100))
            return heard

    def mac_of(self, interface: str) -> str:
        shown = self.router.run(["ip", "-br", "link", "show", interface], check=True).stdout
        return shown.split()[2]


@both_backends
class Port(Carried):
    """A port of a bridge."""

    carrier = """
[zones.camera]
interface = { bridge = ["eth1", "eth3"], name = "br-cam" }
address = ["192.168.8.1/24", "fd00:8::1/64"]
role = "camera"
"""

    def test_what_a_bridge_hands_to_its_port_is_part_of_nothing(self) -> None:
        for server, own, _ in ENDS:
            for group in (*GROUPS, self.mac_of("br-cam")):
                with self.subTest(own=own, group=group):
                    self.assertEqual(self.hears(self.router, server, own, group), [])
        # The control: it gets to the router's own socket.
        self.camfw("open")
        self.assertEqual(self.hears(self.router, SERVER6, example.INTERNET.router6, GROUPS[0]), [b"forged"])

    def test_rules_without_it_are_found(self) -> None:
        self.camfw("prove", "--live")
        rule = ("PREROUTING", "-i", "eth1", "-m", "comment", "--comment", "spoofed source", "-j", "DROP")
        self.tables.run("ip6tables", "-t", "raw", "-D", *rule)
        said = self.camfw("prove", "--live", expect=1).said
        self.assertIn("does not hold: IPv6: only what the file allows, and what belongs to it, gets through to the router", said)


@both_backends
class Nobody(Carried):
    """The wire of a modem, which only carries PPP."""

    carrier = """
[zones.modem]
interface = "eth1"
address = "none"
role = "external"
"""

    def test_what_comes_from_where_nobody_is_is_part_of_nothing(self) -> None:
        for server, router, laptop in ENDS:
            for host, own in ((self.router, router), (self.laptop, laptop)):
                with self.subTest(own=own):
                    self.assertEqual(self.hears(host, server, own, self.mac_of("eth1")), [])
        self.camfw("open")
        self.router.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.assertEqual(self.hears(self.laptop, SERVER6, example.LAPTOP.address6, self.mac_of("eth1")), [b"forged"], "control")


@both_backends
class Unnamed(Carried):
    """An interface that the file does not name; docs/security.md says what is left there by IPv6."""

    def test_the_kernel_lets_nobody_answer_in_anothers_name(self) -> None:
        self.router.ip("link", "set", "eth1", "up")
        to = self.mac_of("eth1")
        for own, host in ((example.INTERNET.router, self.router), (example.LAPTOP.address, self.laptop)):
            self.assertEqual(self.hears(host, SERVER, own, to), [], own)
        # The control: where the kernel knows a socket before the packet is routed, it looks at no source.
        self.router.write_sysctl("net.ipv4.udp_early_demux", "1")
        self.assertEqual(self.hears(self.router, SERVER, example.INTERNET.router, to), [b"forged"])
        self.assertIn("net.ipv4.udp_early_demux", self.camfw("status", expect=1).stdout)
