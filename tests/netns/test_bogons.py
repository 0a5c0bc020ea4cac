"""Packets from the external side whose source cannot occur on the internet."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from lab import example, probes, traffic
from lab.capture import Capture
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, ZONES, allow

COUNT = 5
ROUTER = example.INTERNET.router
OPEN = allow("external", "router", "https") + allow(
    "external", "private", "https", f'address = "{example.LAPTOP.address}"')
# One address of each reserved network that the kernel itself accepts.
BOGONS = (
    "10.1.2.3", "100.64.1.2", "169.254.1.2", "172.16.1.2", "192.0.0.8", "192.0.2.1", "192.168.77.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1",
)
# Addresses that the kernel drops as martians before INPUT and FORWARD, with or without
# a firewall (ip_route_input_slow in net/ipv4/route.c).
MARTIANS = ("0.1.2.3", "127.1.2.3", "224.0.0.9")


@both_backends
class Bogons(RouterTest):
    """The router and the laptop answer on port 443; answers to unknown addresses go to
    the gateway, which is a host here."""

    def setUp(self) -> None:
        super().setUp()
        for namespace in (self.router, self.laptop):
            listener = Listener(namespace, tcp=[443])
            self.addCleanup(listener.stop)

    def answers(self, target: str, *sources: str, answered: Collection[str] = ()) -> dict[str, int]:
        """How many of COUNT connections from each spoofed source are answered. Waits
        for the answers to the sources in `answered`."""
        with Capture(self.internet, "tcp src port 443 and tcp[tcpflags] & tcp-syn != 0") as answers:
            def send(source: str) -> None:
                traffic.send(self.internet, target, port=443, source=source, count=COUNT)

            # hping3 waits a second for answers in each run.
            with ThreadPoolExecutor() as pool:
                list(pool.map(send, sources))

            def counted(source: str) -> int:
                return sum(f"> {source}." in packet for packet in answers.packets)

            probes.wait_until(lambda: all(counted(source) >= COUNT for source in answered))
            answers.count()
            return {source: counted(source) for source in sources}

    def dropped(self) -> int:
        return self.tables.packets("filter", "reserved-external", "DROP")

    def test_reserved_sources_are_dropped_and_logged(self) -> None:
        targets = (ROUTER, example.LAPTOP.address)
        self.open_router()
        self.router.ip("route", "add", "default", "via", example.INTERNET.address)
        for target in targets:
            self.assertGreaterEqual(min(self.answers(target, *BOGONS, answered=BOGONS).values()), COUNT, "control")
        self.boot(ZONES, OPEN)
        for target in targets:
            before = self.dropped()
            answered = self.answers(target, *BOGONS)
            self.assertEqual(answered, dict.fromkeys(BOGONS, 0))
            self.assertEqual(self.dropped() - before, COUNT * len(BOGONS))
        self.assertGreater(self.tables.packets("filter", "reserved-external", "LOG"), 0)

    def test_sources_that_no_host_has_get_nowhere(self) -> None:
        self.boot(ZONES, OPEN)
        with Capture(self.laptop, "tcp dst port 443") as arrived:
            for target in (ROUTER, example.LAPTOP.address):
                self.assertEqual(self.answers(target, *MARTIANS), dict.fromkeys(MARTIANS, 0))
            self.assertEqual(arrived.count(), 0)
            self.assertTrue(probes.tcp(self.internet, example.LAPTOP.address, 443), "control")

    def test_who_may_come_in_does(self) -> None:
        self.internet.ip("address", "add", "192.168.0.77/24", "dev", "eth0")
        self.boot(ZONES, OPEN)
        self.assertTrue(probes.tcp(self.internet, ROUTER, 443), "the zone's own network, although private")
        self.assertTrue(probes.tcp(self.internet, example.LAPTOP.address, 443))
        strangers = ("192.168.0.77", "9.9.9.9")
        answered = self.answers(ROUTER, *strangers, answered=strangers)
        self.assertGreaterEqual(min(answered.values()), COUNT, answered)
        self.assertEqual(self.dropped(), 0)

    def test_accepted_bogons_come_in_and_no_others(self) -> None:
        accepting = EXTERNAL + 'accept-bogons = ["10.1.0.0/16", "172.16.1.2"]\n'
        self.boot(accepting, CAMERA, PRIVATE, OPEN)
        passing = {"10.1.2.3": True, "172.16.1.2": True, "10.2.0.1": False, "172.16.1.3": False}
        answered = self.answers(ROUTER, *passing, answered=[source for source, passes in passing.items() if passes])
        self.assertEqual({source: count >= COUNT for source, count in answered.items()}, passing)
        self.assertEqual(self.dropped(), 2 * COUNT)

    def test_an_accepted_bogon_is_no_way_to_spoof_a_zone(self) -> None:
        accepting = EXTERNAL + 'accept-bogons = "192.168.0.0/16"\n'
        self.boot(accepting, CAMERA, PRIVATE, OPEN)
        spoofed = (example.CAMERA.address, example.LAPTOP.address)
        answered = self.answers(ROUTER, "192.168.77.1", *spoofed, answered=["192.168.77.1"])
        self.assertGreaterEqual(answered.pop("192.168.77.1"), COUNT, "control")
        self.assertEqual(answered, dict.fromkeys(spoofed, 0))
        self.assertEqual(self.tables.packets("raw", "source-external", "DROP"), 2 * COUNT)

    def test_the_router_may_ask_a_reserved_address_and_has_its_answer(self) -> None:
        address = "10.9.9.9"
        self.internet.ip("address", "add", f"{address}/32", "dev", "lo")
        self.boot(ZONES, PING)
        self.assertTrue(probes.ping(self.router, address))
        done = self.internet.run(["ping", "-n", "-c", "1", "-W", "1", "-I", address, ROUTER])
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertTrue(probes.ping(self.internet, ROUTER), "control")
