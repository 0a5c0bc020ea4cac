"""Address translation: masquerading, SNAT and port forwards."""

from __future__ import annotations

from lab import example, probes
from lab.capture import Capture
from lab.services import HttpServer, Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PRIVATE, ZONES, allow, camera

INTERNET, ROUTER = example.INTERNET.address, example.INTERNET.router
PAGE = "a picture\n"
OUT = allow("private", "external", "http")


@both_backends
class SourceNat(RouterTest):
    """The web server on the internet host sees the source address."""

    def seen(self) -> set[str]:
        """The sources of the packets that arrive there when the laptop fetches its page."""
        with HttpServer(self.internet, self.scratch / "www", PAGE), \
                Capture(self.internet, "tcp dst port 80") as arrived:
            reach = probes.http(self.laptop, INTERNET, PAGE)
            self.assertTrue(reach, reach.detail)
            arrived.count(expected=1)
        # "12:00:00.000 IP 192.168.5.10.40000 > 192.168.0.1.80: Flags ..."
        return {packet.split(" IP ")[1].split(" > ")[0].rpartition(".")[0] for packet in arrived.packets}

    def test_masquerade(self) -> None:
        for lines, expected in (
            ("", example.LAPTOP.address),
            ('[[masquerade]]\nfrom = "private"\nto = "external"\n', ROUTER),
            ('[[masquerade]]\nfrom = "private"\nto = "external"\nenabled = false\n', example.LAPTOP.address),
        ):
            with self.subTest(lines):
                self.boot(ZONES, OUT, lines)
                self.assertEqual(self.seen(), {expected})

    def test_masquerade_is_for_just_its_zones(self) -> None:
        self.boot(ZONES, OUT, allow("private", "camera", "http"),
                  '[[masquerade]]\nfrom = "private"\nto = "external"\n')
        self.assertEqual(self.seen(), {ROUTER})
        with HttpServer(self.camera, self.scratch / "camera", PAGE), \
                Capture(self.camera, "tcp dst port 80") as arrived:
            self.assertTrue(probes.http(self.laptop, example.CAMERA.address, PAGE))
            self.assertGreater(arrived.count(expected=1), 0)
        for packet in arrived.packets:
            self.assertIn(f"IP {example.LAPTOP.address}.", packet)

    def test_snat_gives_the_address_that_the_file_names(self) -> None:
        second = "192.168.0.7"
        external = EXTERNAL.replace('"192.168.0.2/24"', f'["192.168.0.2/24", "{second}/24"]')
        snat = f'[[snat]]\nfrom = "private"\nto = "external"\naddress = "{second}"\n'
        self.boot(external, CAMERA, PRIVATE, OUT, snat)
        self.assertEqual(self.seen(), {second})

    def test_neither_allows_anything(self) -> None:
        self.boot(ZONES, OUT, '[[masquerade]]\nfrom = "private"\nto = "external"\n')
        with Listener(self.internet, tcp=[80, 443]):
            self.assertTrue(probes.tcp(self.laptop, INTERNET, 80), "control")
            self.assertFalse(probes.tcp(self.laptop, INTERNET, 443, wait=0.5))


@both_backends
class Forwards(RouterTest):
    """Ports of the router that are forwarded to the camera."""

    policy = "\n".join((
        ZONES, camera("porch", example.CAMERA.address),
        allow("external", "porch", "{ tcp = [443], udp = [5004] }"),
        allow("private", "camera", "rtsp"),
    ))
    lines = f"""
[[forwards]]
from = "external"
tcp = 8443
to = "porch"
to-port = 443

[[forwards]]
from = "external"
udp = 5004
to = "camera"
address = "{example.CAMERA.address}"

[[forwards]]
from = "private"
tcp = 554
to = "porch"
"""

    def setUp(self) -> None:
        super().setUp()
        listening = {"tcp": (443, 554, 8080, 8443), "udp": (5004, 5005)}
        self.at_camera = Listener(self.camera, listening["tcp"], listening["udp"])
        self.addCleanup(self.at_camera.stop)
        at_router = Listener(self.router, listening["tcp"], listening["udp"])
        self.addCleanup(at_router.stop)

    def reached(self, port: int) -> int:
        """The number of connections to a port of the camera."""
        return self.at_camera.accepted[port]

    def test_forwards_lead_to_the_camera(self) -> None:
        self.boot(self.policy, self.lines)
        self.assertTrue(probes.tcp(self.internet, ROUTER, 8443))
        self.assertTrue(probes.wait_until(lambda: self.reached(443) == 1), "its own port, at the camera")
        self.assertEqual(self.reached(8443), 0)
        self.assertTrue(probes.udp(self.internet, ROUTER, 5004), "there and back")
        self.assertTrue(probes.udp(self.internet, ROUTER, 5004, self.at_camera.received))
        self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router, 554))
        self.assertTrue(probes.wait_until(lambda: self.reached(554) == 1))

    def test_the_camera_sees_who_asks(self) -> None:
        self.boot(self.policy, self.lines)
        with Capture(self.camera, "tcp dst port 443") as arrived:
            self.assertTrue(probes.tcp(self.internet, ROUTER, 8443))
            self.assertGreater(arrived.count(expected=1), 0)
        self.assertIn(f"IP {INTERNET}.", arrived.packets[0])

    def test_nothing_else_is_forwarded(self) -> None:
        self.open_router()
        for target in (ROUTER, example.CAMERA.address):
            for port in (443, 554, 8080, 8443):
                self.assertTrue(probes.tcp(self.internet, target, port), "control")
        self.boot(self.policy, self.lines)
        for port in (443, 554, 8080):
            with self.subTest(port=port):
                self.assertFalse(probes.tcp(self.internet, ROUTER, port, wait=0.5))
        # The camera's own address is not reachable, not even on the forwarded port.
        for port in (443, 554, 8080, 8443):
            self.assertFalse(probes.tcp(self.internet, example.CAMERA.address, port, wait=0.5))
        self.assertFalse(probes.udp(self.internet, ROUTER, 5005, wait=0.5))
        # From a zone other than the forward's, and to another address of the router.
        self.assertFalse(probes.tcp(self.laptop, example.LAPTOP.router, 8443, wait=0.5))
        self.assertFalse(probes.tcp(self.internet, example.LAPTOP.router, 8443, wait=0.5))

    def test_the_hosts_own_port_is_open_where_that_is_said(self) -> None:
        # A neighbour on the external network has a route to the camera.
        direct = self.lines.replace("to-port = 443", "to-port = 443\ndirect = true")
        self.boot(self.policy, direct)
        self.assertTrue(probes.tcp(self.internet, example.CAMERA.address, 443))
        self.assertTrue(probes.tcp(self.internet, ROUTER, 8443))
        self.boot(self.policy, self.lines)
        self.assertFalse(probes.tcp(self.internet, example.CAMERA.address, 443, wait=0.5))
        self.assertFalse(probes.udp(self.internet, example.CAMERA.address, 5004, wait=0.5))
        self.assertTrue(probes.tcp(self.internet, ROUTER, 8443))
        # A line without a host applies to the whole zone.
        self.assertTrue(probes.tcp(self.laptop, example.CAMERA.address, 554))

    def test_a_range_is_open_but_for_the_forwarded_port(self) -> None:
        ports = self.policy.replace("tcp = [443]", 'tcp = ["443-8080"]')
        self.boot(ports, self.lines)
        self.assertTrue(probes.tcp(self.internet, example.CAMERA.address, 8080))
        self.assertFalse(probes.tcp(self.internet, example.CAMERA.address, 443, wait=0.5))
        self.assertTrue(probes.tcp(self.internet, ROUTER, 8443))

    def test_there_is_none_unless_it_is_written(self) -> None:
        self.boot(self.policy)
        self.assertFalse(probes.tcp(self.internet, ROUTER, 8443, wait=0.5))
        self.assertTrue(probes.tcp(self.internet, example.CAMERA.address, 443), "the allow line alone")


@both_backends
class ForwardedRanges(RouterTest):
    """Ranges of ports that are forwarded to the camera, each port to its own."""

    policy = "\n".join((
        ZONES, camera("porch", example.CAMERA.address),
        allow("external", "porch", '{ tcp = "50000-50100", udp = ["5004-5007", 6000] }'),
        allow("private", "camera", "rtsp"),
    ))
    lines = """
[[forwards]]
from = "external"
tcp = "50000-50100"
to = "porch"

[[forwards]]
from = "external"
udp = ["5004-5007", 6000]
to = "porch"
"""
    tcp = (50000, 50050, 50100)
    udp = (5004, 5007, 6000)

    def setUp(self) -> None:
        super().setUp()
        listening = {"tcp": (49999, *self.tcp, 50101), "udp": (5003, *self.udp, 5008)}
        self.at_camera = Listener(self.camera, listening["tcp"], listening["udp"])
        self.addCleanup(self.at_camera.stop)
        at_router = Listener(self.router, listening["tcp"], listening["udp"])
        self.addCleanup(at_router.stop)

    def test_each_port_leads_to_its_own(self) -> None:
        self.boot(self.policy, self.lines)
        for port in self.tcp:
            with self.subTest(tcp=port):
                self.assertTrue(probes.tcp(self.internet, ROUTER, port))
                self.assertTrue(probes.wait_until(lambda port=port: self.at_camera.accepted[port] == 1), "at the camera")
        for port in self.udp:
            with self.subTest(udp=port):
                self.assertTrue(probes.udp(self.internet, ROUTER, port, self.at_camera.received))
        self.assertEqual(sum(self.at_camera.accepted.values()), len(self.tcp), "and to no other")

    def test_nothing_beside_them_is_forwarded(self) -> None:
        self.open_router()
        for port in (49999, 50050, 50101):
            self.assertTrue(probes.tcp(self.internet, example.CAMERA.address, port), "control")
        self.boot(self.policy, self.lines)
        self.assertTrue(probes.tcp(self.internet, ROUTER, 50050), "control")
        for port in (49999, 50101):
            self.assertFalse(probes.tcp(self.internet, ROUTER, port, wait=0.5))
        for port in (5003, 5008):
            self.assertFalse(probes.udp(self.internet, ROUTER, port, wait=0.5))
        # Nor does the line that names the camera open it to who asks itself.
        for port in self.tcp:
            self.assertFalse(probes.tcp(self.internet, example.CAMERA.address, port, wait=0.5))

    def test_trace_and_matrix_say_so(self) -> None:
        self.boot(self.policy, self.lines)
        for port, passes in ((50000, True), (50100, True), (49999, False), (50101, False)):
            said = self.camfw("trace", "--from", "external", "--to", "camera", "--src", INTERNET, "--dst", ROUTER,
                              "--dport", str(port)).stdout
            self.assertRegex(said.splitlines()[-1], "^ACCEPT" if passes else "^DROP", said)
            matrix = self.camfw("show", "matrix", "--exact", "--proto", "tcp", "--dport", str(port)).stdout
            self.assertEqual(example.CAMERA.address in matrix, passes, matrix)

    def test_a_range_of_addresses_names_no_host(self) -> None:
        ranges = allow("external", "camera", '{ tcp = "50000-50100" }',
                       f'address = "192.168.8.100-{example.CAMERA.address}"')
        forward = f"""
[[forwards]]
from = "external"
tcp = "50000-50100"
to = "camera"
address = "{example.CAMERA.address}"
"""
        self.boot(ZONES, ranges, forward)
        self.assertTrue(probes.tcp(self.internet, ROUTER, 50050))
        self.assertTrue(probes.tcp(self.internet, example.CAMERA.address, 50050), "its last address is one of them")
        self.boot(ZONES, ranges.replace(f"192.168.8.100-{example.CAMERA.address}", example.CAMERA.address), forward)
        self.assertTrue(probes.tcp(self.internet, ROUTER, 50050))
        self.assertFalse(probes.tcp(self.internet, example.CAMERA.address, 50050, wait=0.5))


@both_backends
class SentToWhereItGoes(RouterTest):
    """Rules not written by camfw: packets already addressed to the target are not
    rewritten, and no rule treats them as rewritten."""

    def test_it_is_not_said_to_be_rewritten(self) -> None:
        laptop, another = example.LAPTOP.address, "192.168.5.77"
        self.open_router()
        self.tables.run("iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-j", "DNAT", "--to-destination", laptop)
        self.tables.run("iptables", "-A", "FORWARD", "-i", "eth1", "-m", "conntrack", "!", "--ctstate", "DNAT", "-j", "DROP")
        rules = self.scratch / "rules"
        rules.write_text(self.tables.save("iptables") + "\n")
        with Listener(self.laptop, tcp=[80]):
            for target, passes in ((another, True), (laptop, False)):
                with self.subTest(target):
                    said = self.camfw("trace", "--rules", str(rules), "--from", "eth1", "--to", "eth2", "--src",
                                      example.CAMERA.address, "--dst", target, "--dport", "80").stdout
                    self.assertRegex(said.splitlines()[-1], "^ACCEPT" if passes else "^DROP")
                    reach = probes.tcp(self.camera, target, 80, probes.PATIENCE if passes else 0.5)
                    self.assertEqual(bool(reach), passes, reach.detail)
