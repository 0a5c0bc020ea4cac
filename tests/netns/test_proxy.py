"""The transparent proxy: a port of the router, or a host to which packets are routed."""

from __future__ import annotations

from lab import example, probes, traffic
from lab.capture import Capture
from lab.hosts import Wiring
from lab.services import HttpServer, Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow
from netns.program import multi

# A web server that is reachable only through the proxy.
FOREIGN = "203.0.113.80"
PAGE = "by the proxy\n"
OTHER_PAGE = "not by the proxy\n"
PROXY = Wiring("proxy", "eth3", "192.168.9.5", 24, router="192.168.9.1",
               address6="fd00:9::5", router6="fd00:9::1")
PROXIES = """
[zones.proxies]
interface = "eth3"
address = "192.168.9.1/24"
role = "private"
"""


@both_backends
class ProxyHere(RouterTest):
    """A web server in place of a proxy, on port 3128 of the router."""

    lines = allow("private", "router", "{ tcp = [3128] }") + """
[[proxy]]
from = "private"
to = "external"
service = "http"
port = 3128
"""

    def setUp(self) -> None:
        super().setUp()
        server = HttpServer(self.router, self.scratch / "proxy", PAGE, 3128)
        self.addCleanup(server.stop)

    def test_requests_for_any_address_outside_come_to_the_proxy(self) -> None:
        self.boot(ZONES, self.lines)
        for target in (FOREIGN, example.INTERNET.address):
            reach = probes.http(self.laptop, target, PAGE)
            self.assertTrue(reach, f"{target}: {reach.detail}")

    def test_its_own_port_is_open_where_that_is_said(self) -> None:
        self.boot(ZONES, self.lines)
        self.assertFalse(probes.http(self.laptop, example.LAPTOP.router, PAGE, 3128, wait=0.5))
        self.assertTrue(probes.http(self.laptop, FOREIGN, PAGE), "control")
        self.boot(ZONES, self.lines + "direct = true\n")
        reach = probes.http(self.laptop, example.LAPTOP.router, PAGE, 3128)
        self.assertTrue(reach, reach.detail)

    def test_what_it_is_not_for_goes_its_own_way(self) -> None:
        web = allow("private", "camera", "http") + allow("private", "external", "{ tcp = [8080] }")
        self.boot(ZONES, self.lines, web, allow("camera", "router", "{ tcp = [80] }"))
        with HttpServer(self.camera, self.scratch / "camera", OTHER_PAGE), \
                HttpServer(self.internet, self.scratch / "other", OTHER_PAGE, 8080), \
                HttpServer(self.router, self.scratch / "router", OTHER_PAGE):
            other_zone = probes.http(self.laptop, example.CAMERA.address, OTHER_PAGE)
            self.assertTrue(other_zone, other_zone.detail)
            other_port = probes.http(self.laptop, example.INTERNET.address, OTHER_PAGE, 8080)
            self.assertTrue(other_port, other_port.detail)
            other_source = probes.http(self.camera, example.CAMERA.router, OTHER_PAGE)
            self.assertTrue(other_source, other_source.detail)
            # Port 80 of the router itself is not part of the proxied internet, and no
            # one may reach it.
            self.assertFalse(probes.http(self.laptop, example.LAPTOP.router, PAGE, wait=0.5))

    def test_without_it_they_go_nowhere(self) -> None:
        self.boot(ZONES, allow("private", "router", "{ tcp = [3128] }"))
        self.assertFalse(probes.http(self.laptop, FOREIGN, PAGE, wait=0.5))
        self.assertTrue(probes.http(self.laptop, example.LAPTOP.router, PAGE, 3128), "control")


@both_backends
class ProxyHost(RouterTest):
    """A host in a zone of its own, which redirects port 80 to its own web server."""

    wirings = (*example.WIRINGS, PROXY)
    lines = PROXIES + allow("private", "proxies", "http") + """
[[proxy]]
from = "private"
to = "external"
service = "http"
via = "192.168.9.5"
"""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.lab.hosts["proxy"].namespace
        self.proxy.run([
            multi(self.backend), "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80",
            "-j", "REDIRECT", "--to-ports", "3128",
        ], check=True)
        server = HttpServer(self.proxy, self.scratch / "proxy", PAGE, 3128)
        self.addCleanup(server.stop)

    def test_requests_come_to_the_proxy_as_they_are(self) -> None:
        self.boot(ZONES, self.lines)
        with Capture(self.proxy, "tcp dst port 80") as arrived:
            reach = probes.http(self.laptop, FOREIGN, PAGE)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
        self.assertIn(f"IP {example.LAPTOP.address}.", arrived.packets[0])
        self.assertIn(f"> {FOREIGN}.80", arrived.packets[0])

    def test_what_it_is_not_for_goes_its_own_way(self) -> None:
        web = allow("private", "camera", "http") + allow("private", "external", "{ tcp = [8080] }")
        self.boot(ZONES, self.lines, web)
        with HttpServer(self.camera, self.scratch / "camera", OTHER_PAGE), \
                HttpServer(self.internet, self.scratch / "other", OTHER_PAGE, 8080):
            for target, port in ((example.CAMERA.address, 80), (example.INTERNET.address, 8080)):
                reach = probes.http(self.laptop, target, OTHER_PAGE, port)
                self.assertTrue(reach, reach.detail)

    def test_the_proxy_fetches_pages_itself(self) -> None:
        self.boot(ZONES, self.lines, allow("proxies", "external", "http"))
        with HttpServer(self.internet, self.scratch / "internet", OTHER_PAGE):
            reach = probes.http(self.proxy, example.INTERNET.address, OTHER_PAGE)
            self.assertTrue(reach, reach.detail)

    def test_its_zone_is_no_way_to_spoof(self) -> None:
        # It answers from port 80 with spoofed sources, but cannot open connections with
        # them.
        open_line = allow("proxies", "private", "{ tcp = [5000] }") + allow("proxies", "router", "{ tcp = [5000] }")
        targets = ((self.laptop, example.LAPTOP.address), (self.router, PROXY.router))
        self.open_router()
        for sources, firewall in (((FOREIGN, example.INTERNET.address), False), ((FOREIGN,), True)):
            if firewall:
                self.boot(ZONES, self.lines, open_line)
            for namespace, target in targets:
                for source in (*sources, PROXY.address):
                    with self.subTest(target=target, source=source, firewall=firewall), \
                            Listener(namespace, tcp=[5000]), \
                            Capture(self.proxy, "tcp src port 5000") as answers, \
                            Capture(self.laptop, "tcp dst port 5000 and tcp[tcpflags] == tcp-syn") as arrived:
                        traffic.send(self.proxy, target, port=5000, source=source, source_port=80, count=3)
                        spoofed = firewall and source != PROXY.address
                        if namespace is self.laptop:
                            expected = 0 if spoofed else 3
                            self.assertEqual(arrived.count(expected), expected)
                        elif source == PROXY.address:
                            self.assertGreaterEqual(answers.count(expected=3), 3)
                        elif firewall:
                            self.assertEqual(self.tables.packets("filter", "source-proxies", "DROP"), 6)
        self.assertGreater(self.tables.packets("filter", "source-proxies", "LOG"), 0)

    def test_other_ports_of_strangers_are_spoofed(self) -> None:
        self.boot(ZONES, self.lines, allow("proxies", "private", "{ tcp = [5000] }"))
        before = self.tables.packets("raw", "source-proxies", "DROP")
        traffic.send(self.proxy, example.LAPTOP.address, port=5000, source=FOREIGN, source_port=81, count=3)
        self.assertEqual(self.tables.packets("raw", "source-proxies", "DROP") - before, 3)
