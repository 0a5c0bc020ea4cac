"""NAT loopback: the address that is known outside leads to the same host from inside."""

from __future__ import annotations

import json
from pathlib import Path

from lab import example, probes
from lab.capture import Capture
from lab.namespace import Namespace
from lab.services import HttpServer, Listener
from netns.case import RouterTest, both_backends
from netns.dhcp import DhcpTest
from netns.policies import EXTERNAL, PRIVATE, allow

PUBLIC, SECOND, HOME = example.INTERNET.router, "192.168.0.7", example.LAPTOP.router
RECORDER, LAPTOP, OFFICE = "192.168.5.20", example.LAPTOP.address, example.CAMERA.address
PAGE, PAGE_OF_ROUTER, PAGE_OUTSIDE = "the recorder's\n", "the router's\n", "somebody's\n"


class WithRecorder(RouterTest):
    """The house has a recorder beside the laptop, on the same switch."""

    def setUp(self) -> None:
        super().setUp()
        self.recorder = Namespace("recorder")
        self.addCleanup(self.recorder.delete)
        mac, laptop = example.LAPTOP.mac, f"{LAPTOP}/24"
        self.laptop.ip("address", "flush", "dev", "eth0")
        self.laptop.ip(batch=f"""
            link add switch address {mac} type bridge
            link set eth0 master switch
            link set switch up
            link add port type veth peer name eth0 netns {self.recorder.name}
            link set port master switch
            link set port up
            address add {laptop} dev switch
            route add default via {HOME}
        """)
        self.recorder.ip(batch=f"""
            link set eth0 up
            address add {RECORDER}/24 dev eth0
            route add default via {HOME}
        """)

    def sees(self, source: Namespace, target: str = PUBLIC, port: int = 8080, page: str = PAGE) -> str:
        """The source that the recorder sees when this host fetches a page from the target."""
        with Capture(self.recorder, "tcp dst port 80 and tcp[tcpflags] & tcp-syn != 0") as arrived:
            reach = probes.http(source, target, page, port)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
        return arrived.packets[0].split(" IP ")[1].split(" > ")[0].rpartition(".")[0]


@both_backends
class Loopback(WithRecorder):
    """Two public addresses; the office is on the camera's wire."""

    zones = EXTERNAL.replace('"192.168.0.2/24"', f'["{PUBLIC}/24", "{SECOND}/24"]') + PRIVATE + """
[zones.office]
interface = "eth1"
address = "192.168.8.1/24"
role = "private"
"""
    line = allow("external", "private", '{ tcp = "80-90", udp = 5004 }', f'address = "{RECORDER}"', 'limit = "600/minute"')
    forwards = f"""
[[forwards]]
from = "external"
to = "private"
address = "{RECORDER}"
tcp = 8080
to-port = 80
loopback = ["private", "office"]

[[forwards]]
from = "external"
to = "private"
address = "{RECORDER}"
udp = 5004
loopback = "private"

[[forwards]]
from = "external"
to = "private"
address = "{RECORDER}"
tcp = 81
"""

    def setUp(self) -> None:
        super().setUp()
        self.office = self.camera
        self.web = HttpServer(self.recorder, self.scratch / "recorder", PAGE)
        self.addCleanup(self.web.stop)
        self.at_recorder = Listener(self.recorder, [81, 443], [5004])
        self.addCleanup(self.at_recorder.stop)

    def without(self) -> str:
        """The forwards as they are for those outside alone."""
        return "\n".join(line for line in self.forwards.splitlines() if not line.startswith("loopback"))

    def test_the_same_address_from_outside_another_zone_and_the_same(self) -> None:
        self.boot(self.zones, self.line, self.forwards)
        for target in (PUBLIC, SECOND):
            with self.subTest(target):
                self.assertEqual(self.sees(self.internet, target), example.INTERNET.address)
                self.assertEqual(self.sees(self.office, target), OFFICE)
                # Or the recorder would answer the laptop itself.
                self.assertEqual(self.sees(self.laptop, target), HOME)
        self.assertTrue(probes.udp(self.laptop, PUBLIC, 5004), "there and back")
        self.assertTrue(probes.udp(self.internet, PUBLIC, 5004), "there and back")

    def test_it_is_the_routers_address_by_which_answers_come_back(self) -> None:
        self.boot(self.zones, self.line, self.forwards)
        self.assertEqual(self.sees(self.laptop), HOME)
        self.tables.run("iptables", "-t", "nat", "-F", "POSTROUTING")
        self.assertFalse(probes.http(self.laptop, PUBLIC, PAGE, 8080, wait=1))
        said = self.camfw("prove", "--live", expect=1).said
        self.assertIn("does not hold: the source of a connection between hosts is rewritten where the file says so", said)
        self.camfw("apply")
        self.assertEqual(self.sees(self.laptop), HOME)

    def test_nothing_else_is_open_from_inside(self) -> None:
        self.open_router()
        for target, port in ((RECORDER, 81), (RECORDER, 443)):
            self.assertTrue(probes.tcp(self.office, target, port), "control")
        self.boot(self.zones, self.line, self.forwards)
        with Listener(self.router, [80, 81, 443, 8080]):
            for source, target, port in (
                (self.office, RECORDER, 80), (self.office, RECORDER, 81), (self.office, RECORDER, 8080),
                (self.office, PUBLIC, 80), (self.office, PUBLIC, 443), (self.laptop, PUBLIC, 443),
                # The forward of this port has no loopback.
                (self.office, PUBLIC, 81), (self.laptop, PUBLIC, 81),
                # The router's addresses inside are not what is known outside.
                (self.office, HOME, 8080), (self.laptop, HOME, 8080), (self.office, "192.168.8.1", 8080),
                (self.internet, HOME, 8080), (self.internet, RECORDER, 80),
            ):
                with self.subTest(target=target, port=port):
                    self.assertFalse(probes.tcp(source, target, port, wait=0.5))
        self.assertFalse(probes.udp(self.office, PUBLIC, 5004, wait=0.5))

    def test_without_it_the_address_leads_nowhere_from_inside(self) -> None:
        self.boot(self.zones, self.line, self.without())
        self.assertEqual(self.sees(self.internet), example.INTERNET.address)
        for source in (self.office, self.laptop):
            self.assertFalse(probes.http(source, PUBLIC, PAGE, 8080, wait=0.5))

    def test_what_is_open_ends_when_it_is_taken_away(self) -> None:
        self.boot(self.zones, self.line, self.forwards)
        for source in (self.office, self.laptop, self.internet):
            self.assertTrue(self.sees(source))
        self.camfw("apply")
        flows = self.router.run(["conntrack", "-L", "-p", "tcp", "--orig-port-dst", "8080"], check=True).stdout
        self.assertEqual(flows.count("dport=8080"), 3, flows)
        self.program.configure("\n".join((self.zones, self.line, self.without())))
        self.camfw("apply")
        flows = self.router.run(["conntrack", "-L", "-p", "tcp", "--orig-port-dst", "8080"], check=True).stdout
        self.assertEqual(flows.count("dport=8080"), 1, flows)

    def test_who_is_denied_is_denied_within_the_zone_too(self) -> None:
        deny = f'[[deny]]\nfrom = "any"\nto = "any"\nsource = "{LAPTOP}"\n'
        self.boot(self.zones, self.line, self.forwards, deny)
        self.assertFalse(probes.http(self.laptop, PUBLIC, PAGE, 8080, wait=0.5))
        self.assertEqual(self.sees(self.office), OFFICE)

    def test_it_is_told_as_it_is(self) -> None:
        self.boot(self.zones, self.line, self.forwards)
        self.sees(self.laptop)
        self.camfw("prove", "--live")
        for source, target, passes in (
            (LAPTOP, PUBLIC, True), (OFFICE, PUBLIC, True), (LAPTOP, HOME, False), (OFFICE, RECORDER, False),
        ):
            said = self.camfw("trace", "--src", source, "--dst", target, "--dport", "8080").stdout
            self.assertRegex(said.splitlines()[-1], "^(ACCEPT|DEPENDS)" if passes else "^DROP", said)
            self.assertEqual("destination rewritten" in said, passes, said)
            self.assertEqual("source rewritten" in said, (source, target) == (LAPTOP, PUBLIC), said)
        matrix = json.loads(self.camfw("show", "matrix", "--json").stdout)
        self.assertIn("8080", json.dumps(matrix))
        shown = self.camfw("show", "matrix").stdout
        row = next(line for line in shown.splitlines() if line.startswith("private"))
        self.assertIn("8080>", row, shown)
        counted = self.camfw("status", "--all").stdout
        self.assertRegex(counted, "loopback tcp 80")
        loaded, old = self.scratch / "loaded.v4", self.scratch / "old.toml"
        loaded.write_text(self.tables.save("iptables"))
        self.camfw("compare", str(self.program.config), str(loaded))
        old.write_text("\n".join((self.zones, self.line, self.without())))
        said = self.camfw("compare", str(self.program.config), str(old), expect=1).stdout
        self.assertRegex(said, r"eth2.*8080")
        self.assertRegex(said, r"eth1.*8080")


@both_backends
class LoopbackByDhcp(WithRecorder, DhcpTest):
    """The public address is not known when the rules are made."""

    text = """
[zones.external]
interface = "eth0"
address   = "192.168.0.2/24"
gateway   = "192.168.0.1"
role = "external"
""" + PRIVATE + allow("private", "router", "http") + allow("private", "external", "http") + allow(
        "external", "private", "http", f'address = "{RECORDER}"', 'limit = "600/minute"') + f"""
[[masquerade]]
from = "private"
to = "external"

[[forwards]]
from = "external"
to = "private"
address = "{RECORDER}"
tcp = 80
loopback = "private"
"""

    def serve(self, host: Namespace, page: str) -> None:
        folder: Path = self.scratch / page.split("'")[0].replace(" ", "-")
        server = HttpServer(host, folder, page)
        self.addCleanup(server.stop)

    def test_it_is_the_address_that_the_interface_has(self) -> None:
        self.serve(self.recorder, PAGE)
        self.serve(self.router, PAGE_OF_ROUTER)
        self.serve(self.internet, PAGE_OUTSIDE)
        self.program.configure(self.text)
        self.boot_with_a_lease()
        leased = self.leased()
        self.assertEqual(self.sees(self.internet, leased, 80), example.INTERNET.address)
        self.assertEqual(self.sees(self.laptop, leased, 80), HOME)
        # The same port of the router's own address inside, and of somebody on the internet.
        for target, page in ((HOME, PAGE_OF_ROUTER), (example.INTERNET.address, PAGE_OUTSIDE)):
            reach = probes.http(self.laptop, target, page)
            self.assertTrue(reach, reach.detail)
        self.camfw("prove", "--live")
        said = self.camfw("trace", "--from", "private", "--to", "router", "--src", LAPTOP, "--dst", leased,
                          "--dport", "80").stdout
        self.assertIn("destination rewritten", said)
        self.assertIn("source rewritten", said)
        # What is open stays open.
        self.camfw("apply")
        flows = self.router.run(["conntrack", "-L", "-p", "tcp", "--orig-dst", leased], check=True).stdout
        self.assertEqual(flows.count(f"src={LAPTOP} dst={leased}"), 1, flows)
        # Another address, as the next lease brings it.
        self.router.ip("address", "add", "192.168.0.99/24", "dev", "eth0")
        self.assertEqual(self.sees(self.laptop, "192.168.0.99", 80), HOME)
