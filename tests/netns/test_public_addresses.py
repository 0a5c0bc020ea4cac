"""Several public addresses: the same port of each leads to another host, and one of them is a host's own."""

from __future__ import annotations

import json

from lab import example, probes
from lab.capture import Capture
from lab.namespace import Namespace
from lab.services import HttpServer, Listener
from netns.case import both_backends
from netns.policies import EXTERNAL, PRIVATE, allow
from netns.program import ROOT
from netns.recipes import recipe
from netns.test_loopback import HOME, LAPTOP, OFFICE, RECORDER, WithRecorder

OWN, FIRST, SECOND, WHOLE = example.INTERNET.router, "192.168.0.6", "192.168.0.7", "192.168.0.8"
OUTSIDE = example.INTERNET.address
OF_LAPTOP, OF_OFFICE, OF_RECORDER, OF_ROUTER = "the laptop's\n", "the office's\n", "the recorder's\n", "the router's\n"


@both_backends
class PublicAddresses(WithRecorder):
    """Four addresses outside: the router's own, two with a web server each behind them, and the recorder's."""

    zones = EXTERNAL.replace(f'"{OWN}/24"', json.dumps([f"{own}/24" for own in (OWN, FIRST, SECOND, WHOLE)])) + PRIVATE + """
[zones.office]
interface = "eth1"
address = "192.168.8.1/24"
role = "private"
"""
    masquerade = '[[masquerade]]\nfrom = ["private", "office"]\nto = "external"\n'
    lines = (
        allow("external", "router", "ping") + allow("external", "router", "http", f'address = "{OWN}"')
        + allow("external", "private", "http", f'address = "{LAPTOP}"')
        + allow("external", "office", "http", f'address = "{OFFICE}"')
        + allow("private", "external", '{ tcp = 8000, icmp = "echo-request" }') + allow("office", "external", "{ tcp = 8000 }")
        + allow("external", "private", '["http", "ping", { udp = 5004 }]', f'address = "{RECORDER}"', 'limit = "600/minute"')
    )
    ports = f"""
[[forwards]]
from = "external"
at = "{FIRST}"
to = "private"
address = "{LAPTOP}"
tcp = 80

[[forwards]]
from = "external"
at = "{SECOND}"
to = "office"
address = "{OFFICE}"
tcp = 80
loopback = "private"
"""
    whole = f"""
[[forwards]]
from = "external"
at = "{WHOLE}"
to = "private"
address = "{RECORDER}"
loopback = ["private", "office"]
"""

    def setUp(self) -> None:
        super().setUp()
        self.office = self.camera
        pages = ((self.laptop, OF_LAPTOP), (self.office, OF_OFFICE), (self.recorder, OF_RECORDER), (self.router, OF_ROUTER))
        for host, page in pages:
            folder = self.scratch / page.split("'")[0].replace(" ", "-")
            self.addCleanup(HttpServer(host, folder, page).stop)
        for host, tcp, udp in (
            (self.recorder, [443], [5004, 5005]), (self.laptop, [443], [5004]), (self.office, [443], [5004]),
            (self.internet, [8000, 8001], []),
        ):
            self.addCleanup(Listener(host, tcp, udp).stop)

    def seen(self, at: Namespace, source: Namespace, target: str, port: int) -> str:
        """The source that a host sees when this one opens a connection."""
        with Capture(at, f"tcp dst port {port} and tcp[tcpflags] & tcp-syn != 0") as arrived:
            reach = probes.tcp(source, target, port)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
        return arrived.packets[0].split(" IP ")[1].split(" > ")[0].rpartition(".")[0]

    def fetches(self, source: Namespace, target: str, page: str) -> None:
        reach = probes.http(source, target, page)
        self.assertTrue(reach, f"{target}: {reach.detail}")

    def test_the_same_port_of_each_address_leads_to_another_host(self) -> None:
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        for target, page in ((OWN, OF_ROUTER), (FIRST, OF_LAPTOP), (SECOND, OF_OFFICE), (WHOLE, OF_RECORDER)):
            self.fetches(self.internet, target, page)
        # From inside where the forward has a loopback.
        for source, target, page in (
            (self.laptop, SECOND, OF_OFFICE), (self.laptop, WHOLE, OF_RECORDER), (self.office, WHOLE, OF_RECORDER),
        ):
            self.fetches(source, target, page)
        self.assertFalse(probes.http(self.office, FIRST, OF_LAPTOP, wait=0.5))
        # A port that is forwarded leaves the host its ordinary address outside.
        self.assertEqual(self.seen(self.internet, self.laptop, OUTSIDE, 8000), OWN)
        self.assertEqual(self.seen(self.internet, self.office, OUTSIDE, 8000), OWN)

    def test_an_address_of_its_own_is_the_hosts_both_ways(self) -> None:
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        self.assertEqual(self.seen(self.recorder, self.internet, WHOLE, 80), OUTSIDE)
        self.assertTrue(probes.udp(self.internet, WHOLE, 5004), "there and back")
        with Capture(self.recorder, "icmp[icmptype] == icmp-echo") as arrived:
            self.assertTrue(probes.ping(self.internet, WHOLE))
            self.assertGreater(arrived.count(expected=1), 0)
        self.assertEqual(self.seen(self.internet, self.recorder, OUTSIDE, 8000), WHOLE)
        with Capture(self.internet, f"icmp[icmptype] == icmp-echo and src host {WHOLE}") as arrived:
            self.assertTrue(probes.ping(self.recorder, OUTSIDE))
            self.assertGreater(arrived.count(expected=1), 0)
        # The host would answer its neighbour directly.
        self.assertEqual(self.seen(self.recorder, self.laptop, WHOLE, 80), HOME)
        self.assertEqual(self.seen(self.recorder, self.office, WHOLE, 80), OFFICE)

    def test_nothing_else_is_open(self) -> None:
        self.open_router()
        for target, port in ((RECORDER, 80), (RECORDER, 443), (LAPTOP, 443), (OFFICE, 443)):
            self.assertTrue(probes.tcp(self.internet, target, port), "control")
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        for source, target, port in (
            *((self.internet, target, 443) for target in (FIRST, SECOND, WHOLE)),
            # Not by the host's own address.
            *((self.internet, target, 80) for target in (RECORDER, LAPTOP, OFFICE, HOME)),
            (self.office, RECORDER, 80), (self.office, LAPTOP, 80), (self.office, WHOLE, 443), (self.laptop, WHOLE, 443),
            # An address of its own allows nothing outwards.
            (self.recorder, OUTSIDE, 8001),
        ):
            with self.subTest(target=target, port=port):
                self.assertFalse(probes.tcp(source, target, port, wait=0.5))
        for target, port in ((FIRST, 5004), (SECOND, 5004), (WHOLE, 5005)):
            with self.subTest(target=target, port=port):
                self.assertFalse(probes.udp(self.internet, target, port, wait=0.5))
        # Where the router answers it does so at the addresses that are left, and at no port of theirs.
        self.assertTrue(probes.ping(self.internet, FIRST))

    def test_what_is_open_ends_when_it_is_taken_away(self) -> None:
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        self.fetches(self.internet, WHOLE, OF_RECORDER)
        self.fetches(self.internet, SECOND, OF_OFFICE)

        def open_to(target: str) -> int:
            said = self.router.run(["conntrack", "-L", "-p", "tcp", "--orig-dst", target], check=True).stdout
            return said.count(f"dst={target}")

        self.assertEqual((open_to(WHOLE), open_to(SECOND)), (1, 1))
        self.program.configure("\n".join((self.zones, self.lines, self.masquerade, self.ports)))
        self.camfw("apply")
        self.assertEqual((open_to(WHOLE), open_to(SECOND)), (0, 1))
        # Without the forward the address is the router's again.
        self.assertFalse(probes.http(self.internet, WHOLE, OF_RECORDER, wait=0.5))
        self.assertEqual(self.seen(self.internet, self.recorder, OUTSIDE, 8000), OWN)

    def test_the_recipe_is_carried_out(self) -> None:
        tables = (ROOT / "examples/six-cameras.toml").read_text().split("\n\n")
        self.program.configure("\n\n".join(table for table in tables if not table.startswith("[zones.external]")))
        folder = self.program.config.with_suffix(".d")
        folder.mkdir()
        (folder / "addresses.toml").write_text(recipe("Several public addresses").block())
        outside, own, recorder, server = "198.51.100.1", "198.51.100.2", "198.51.100.6", "198.51.100.7"
        self.internet.ip("address", "add", f"{outside}/24", "dev", "eth0")
        self.laptop.ip("address", "add", "192.168.5.21/24", "dev", "switch")
        self.camfw("apply")
        for host in (self.laptop, self.recorder):
            host.ip("route", "replace", "default", "via", "192.168.5.1")
        self.addCleanup(Listener(self.internet, [443]).stop)
        self.assertEqual(self.seen(self.recorder, self.internet, recorder, 443), outside)
        self.assertEqual(self.seen(self.laptop, self.internet, server, 443), outside)
        for target, port in ((own, 443), (recorder, 80), (server, 80)):
            with self.subTest(target=target, port=port):
                self.assertFalse(probes.tcp(self.internet, target, port, wait=0.5))
        self.assertEqual(self.seen(self.internet, self.recorder, outside, 443), own)
        self.laptop.ip("route", "replace", "default", "via", "192.168.5.1", "src", "192.168.5.21")
        self.assertEqual(self.seen(self.internet, self.laptop, outside, 443), server)

    def test_rules_that_rewrite_otherwise_are_found(self) -> None:
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        self.camfw("prove", "--live")
        self.tables.run("iptables", "-t", "nat", "-D", "POSTROUTING", "1")
        said = self.camfw("prove", "--live", expect=1).said
        self.assertIn("does not hold: the source of a connection between hosts is rewritten where the file says so", said)
        self.assertEqual(self.seen(self.internet, self.recorder, OUTSIDE, 8000), OWN)
        self.camfw("apply")
        self.tables.run("iptables", "-t", "nat", "-D", "PREROUTING", "1")
        said = self.camfw("prove", "--live", expect=1).said
        self.assertIn("does not hold: all that the file allows between zones", said)
        self.camfw("status", expect=1)
        self.camfw("apply")
        self.camfw("status")

    def test_it_is_told_as_it_is(self) -> None:
        self.boot(self.zones, self.lines, self.masquerade, self.ports, self.whole)
        self.fetches(self.internet, WHOLE, OF_RECORDER)
        for source, target, port, inside in (
            (OUTSIDE, FIRST, 80, LAPTOP), (OUTSIDE, SECOND, 80, OFFICE), (OUTSIDE, WHOLE, 80, RECORDER),
            (OUTSIDE, FIRST, 443, None), (OUTSIDE, RECORDER, 80, None),
        ):
            said = self.camfw("trace", "--src", source, "--dst", target, "--dport", str(port)).stdout
            self.assertRegex(said.splitlines()[-1], "^(ACCEPT|DEPENDS)" if inside else "^DROP", said)
            self.assertEqual(f"--to-destination {inside}" in said, inside is not None, said)
        said = self.camfw("trace", "--src", RECORDER, "--dst", OUTSIDE, "--dport", "8000").stdout
        self.assertIn(f"SNAT --to-source {WHOLE}", said)
        self.assertRegex(self.camfw("show", "matrix").stdout, r"(?m)^external .*80>")
        loaded, old = self.scratch / "loaded.v4", self.scratch / "old.toml"
        loaded.write_text(self.tables.save("iptables"))
        self.camfw("compare", str(self.program.config), str(loaded))
        old.write_text("\n".join((self.zones, self.lines, self.masquerade, self.ports)))
        said = self.camfw("compare", str(self.program.config), str(old), expect=1).stdout
        self.assertIn(WHOLE, said)
        self.assertRegex(said, "(?i)source")
