"""A camera that opens connections endlessly fills only its share of the kernel's
connection table."""

from __future__ import annotations

import ipaddress
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator

from lab import example, frames, probes
from lab.namespace import Namespace
from lab.services import HttpServer, Listener
from netns.case import RouterTest, both_backends
from netns.dhcp import DhcpTest
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, ZONES, allow

OWN = example.CAMERA.address
ANOTHER = "192.168.8.111"
ROUTER = example.CAMERA.router
# The default limits of open connections, per address and per zone; and the burst and
# rate of new ones. Written from docs/configuration.md.
OPEN, ZONE_OPEN = 256, 4096
AT_ONCE, A_SECOND = 100, 20
ZONE_AT_ONCE, ZONE_A_SECOND = 1000, 125
PAGE = "a page of the internet"
# A margin for other connections in the lab, and for the rounding of rates.
SLACK = 50


def pings(sources: Iterable[str]) -> Iterator[bytes]:
    """Pings, each of which is a connection of its own to conntrack."""
    for number, source in enumerate(itertools.cycle(sources)):
        yield frames.echo_request(source, ROUTER, number % 65536)


def queries(sources: Iterable[str]) -> Iterator[bytes]:
    """DNS queries, each from a different port."""
    for number, source in enumerate(itertools.cycle(sources)):
        yield frames.udp(source, ROUTER, 1024 + number % 64000, 53)


def syns(sources: Iterable[str]) -> Iterator[bytes]:
    """SYNs to the FTP server, each from a different port."""
    for number, source in enumerate(itertools.cycle(sources)):
        yield frames.tcp_syn(source, ROUTER, 1024 + number % 64000, 21)


class Flood:
    """Packets that a host sends as fast as it can, until stopped. A context manager."""

    def __init__(self, host: Namespace, router_mac: str, packets: Iterator[bytes]) -> None:
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind(("eth0", 0))
        self._header = (frames.address(router_mac), self._socket.getsockname()[4])
        self._packets = packets
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0

    def __enter__(self) -> Flood:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops the flood; may be called again."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    @property
    def seconds(self) -> float:
        """The duration so far, in seconds."""
        return time.monotonic() - self._began

    def _send(self) -> None:
        target, own = self._header
        for packet in self._packets:
            if self._stop.is_set():
                return
            try:
                self._socket.send(target + own + frames.IPV4 + packet)
                self.sent += 1
            except BlockingIOError:
                pass
            except OSError:
                # The queue is full (ENOBUFS).
                time.sleep(0.001)


@both_backends
class FloodTest(RouterTest):
    """The camera has a second address, which stands for another camera."""

    def setUp(self) -> None:
        super().setUp()
        self.camera.ip("address", "add", f"{ANOTHER}/24", "dev", "eth0")
        self.page = HttpServer(self.internet, self.scratch, PAGE)
        self.addCleanup(self.page.stop)

    def flood(self, packets: Iterator[bytes]) -> Flood:
        links = json.loads(self.router.run(["ip", "-json", "link", "show", "eth1"]).stdout)
        flood = Flood(self.camera, links[0]["address"], packets)
        self.addCleanup(flood.stop)
        return flood

    def entries(self) -> int:
        """The number of entries in the router's connection table."""
        return int(self.router.read_sysctl("net.netfilter.nf_conntrack_count"))

    def house_works(self) -> None:
        """Checks that connections of the private network work during the flood."""
        self.assertTrue(probes.http(self.laptop, example.INTERNET.address, PAGE))
        self.assertTrue(probes.ping(self.laptop, example.LAPTOP.router))

    def opens(self, source: str, port: int, wait: float = 0.9) -> bool:
        """Whether a TCP connection from one of the camera's addresses is answered; it
        is then closed. By default its first packet alone is."""
        with self.camera.socket() as connection:
            connection.settimeout(wait)
            connection.bind((source, 0))
            return connection.connect_ex((ROUTER, port)) == 0

    def pinged(self, source: str, wait: float = probes.WAIT_SECONDS) -> bool:
        """Whether a ping from one of the camera's addresses is answered."""
        return bool(probes.ping(self.camera, ROUTER, wait, "-I", source))

    def assert_bounded(self, flood: Flood, at_once: int, a_second: int) -> None:
        """Checks that the entries never exceed the burst plus the rate, while far more
        packets are sent."""
        most = 0
        with flood:
            while flood.seconds < 3 or flood.sent < 10 * at_once:
                now = self.entries()
                allowed = at_once + a_second * flood.seconds + SLACK
                self.assertLessEqual(now, allowed, f"after {flood.seconds:.1f} s")
                most = max(most, now)
                self.assertLess(flood.seconds, 60, "the flood is none")
                time.sleep(0.05)
            self.house_works()
        self.assertGreater(most, at_once / 2, "it does get through, up to the bound")

    def test_a_cameras_flood_fills_its_bound_and_no_more(self) -> None:
        self.boot(ZONES, PING, allow("camera", "router", "ftp"), allow("camera", "router", "dns"),
                  allow("private", "external", "http"))
        # Each flood comes from an address of its own, whose rate is not used up.
        for number, (name, kind) in enumerate({"ping": pings, "udp": queries, "syn": syns}.items()):
            with self.subTest(name):
                source = f"192.168.8.{120 + number}"
                already = self.entries()
                self.assert_bounded(self.flood(kind([source])), already + AT_ONCE, A_SECOND)

    def test_another_camera_works_during_it(self) -> None:
        self.boot(ZONES, PING, allow("camera", "router", "ftp"), allow("private", "external", "http"))
        with Listener(self.router, tcp=[21]), self.flood(pings([OWN])) as flood:
            self.assertTrue(probes.wait_until(lambda: flood.sent > 5000))
            for _ in range(5):
                self.assertTrue(self.opens(ANOTHER, 21, probes.PATIENCE))
                self.assertTrue(self.pinged(ANOTHER, probes.PATIENCE))
            # The flood is past its rate whenever it gets the processor.
            self.assertTrue(probes.wait_until(lambda: not self.pinged(OWN)), "the control: its own are refused")

    def test_forged_sources_fill_the_zones_bound_and_no_more(self) -> None:
        self.boot(ZONES, PING, allow("private", "external", "http"))
        forged = [f"192.168.8.{host}" for host in range(2, 255)]
        self.assert_bounded(self.flood(pings(forged)), ZONE_AT_ONCE, ZONE_A_SECOND)

    def test_what_is_not_allowed_is_not_counted(self) -> None:
        self.boot(ZONES, PING, allow("private", "external", "http"))
        with self.flood(syns([OWN])) as flood:
            self.assertTrue(probes.wait_until(lambda: flood.sent > 5000))
            self.assertTrue(self.pinged(OWN, probes.PATIENCE))
            self.assertLess(self.entries(), SLACK)

    def test_so_many_may_be_open_of_an_address_and_of_the_zone(self) -> None:
        bound = 'bound = { connections = 64, zone-connections = 150, limit = "1000/second" }\n'
        self.boot(EXTERNAL, CAMERA + bound, PRIVATE, PING, allow("private", "external", "http"))
        before = self.entries()
        sender = self.flood(itertools.islice(pings([OWN]), 300))
        with sender:
            self.assertTrue(probes.wait_until(lambda: sender.sent == 300))
        self.assertTrue(probes.wait_until(lambda: self.entries() >= before + 64))
        self.assertLessEqual(self.entries(), before + 64 + 5)
        self.assertFalse(self.pinged(OWN))
        self.assertTrue(self.pinged(ANOTHER, probes.PATIENCE))
        others = [f"192.168.8.{host}" for host in range(120, 130)]
        sender = self.flood(itertools.islice(pings(others), 400))
        with sender:
            self.assertTrue(probes.wait_until(lambda: sender.sent == 400))
        self.assertLessEqual(self.entries(), before + 150 + 10)
        self.assertFalse(self.pinged(ANOTHER), "forged sources use up what is the zone's")
        self.house_works()
        # Connections that have ended do not count.
        self.router.run(["conntrack", "-F"])
        self.assertTrue(probes.wait_until(lambda: self.pinged(ANOTHER)))

    def test_across_the_router_and_to_it_are_one_count(self) -> None:
        lift = '[[exceptions]]\nfrom = "camera"\nto = "external"\nservice = "ntp"\n'
        bound = "bound = { connections = 8 }\n"
        self.boot(EXTERNAL, CAMERA + bound, PRIVATE, lift, allow("camera", "external", "ntp"),
                  allow("camera", "router", "ntp"), allow("private", "external", "http"))
        before = self.entries()
        sockets = [self.camera.socket(kind=socket.SOCK_DGRAM) for _ in range(24)]
        for number, own in enumerate(sockets):
            own.bind((OWN, 0))
            own.sendto(b"what time is it", (ROUTER if number % 2 else example.INTERNET.address, 123))
            own.close()
            time.sleep(0.02)
        self.assertTrue(probes.wait_until(lambda: self.entries() >= before + 8))
        self.assertLessEqual(self.entries(), before + 8 + 2)

    def test_what_tcp_has_closed_is_held_by_the_rate(self) -> None:
        bound = 'bound = { connections = 4, limit = "1/second" }\n'
        self.boot(EXTERNAL, CAMERA + bound, PRIVATE, PING, allow("camera", "router", "ftp"),
                  allow("private", "external", "http"))
        with Listener(self.router, tcp=[21]):
            began, opened = time.monotonic(), 0
            while self.opens(OWN, 21):
                opened += 1
                # The kernel looks for closed connections once per tick.
                time.sleep(0.02)
                seconds = time.monotonic() - began
                self.assertLess(seconds, 60, "it never ends")
                self.assertLessEqual(opened, AT_ONCE + seconds + 2)
            self.assertGreater(opened, 20, "four at once, and many one after another")
            self.assertTrue(self.opens(ANOTHER, 21, probes.PATIENCE))

    def test_a_stream_goes_on_and_no_bound_is_none(self) -> None:
        self.boot(EXTERNAL, CAMERA + "bound = false\n", PRIVATE, PING, allow("camera", "router", "ftp"),
                  allow("private", "external", "http"))
        with Listener(self.router, tcp=[21]), self.camera.socket() as stream:
            stream.settimeout(probes.PATIENCE)
            stream.connect((ROUTER, 21))
            with self.flood(pings([OWN])) as flood:
                self.assertTrue(probes.wait_until(lambda: self.entries() > 3000), "the control: unbounded")
            self.change_config("bound = false\n", "")
            self.camfw("apply")
            with self.flood(pings([OWN])) as flood:
                self.assertTrue(probes.wait_until(lambda: flood.sent > 5000))
                stream.sendall(b"still open")
                self.assertEqual(stream.recv(100), b"still open")

    def test_a_stream_that_nobody_answers_goes_on(self) -> None:
        """Each of its packets is NEW to conntrack, and one connection all the same."""
        bound = 'bound = { connections = 4, limit = "1/second" }\n'
        self.boot(EXTERNAL, CAMERA + bound, PRIVATE, allow("camera", "router", "{ udp = [5000] }"),
                  allow("private", "external", "http"))
        sent = AT_ONCE * 4
        with self.router.socket(kind=socket.SOCK_DGRAM) as recorder, \
                self.camera.socket(kind=socket.SOCK_DGRAM) as stream:
            recorder.settimeout(probes.PATIENCE)
            recorder.bind((ROUTER, 5000))
            stream.bind((OWN, 0))
            for _ in range(sent):
                stream.sendto(b"a picture", (ROUTER, 5000))
                self.assertEqual(recorder.recv(100), b"a picture")
            # The control: as many connections are refused.
            for number in range(sent):
                with self.camera.socket(kind=socket.SOCK_DGRAM) as another:
                    another.bind((OWN, 10000 + number))
                    another.sendto(b"another", (ROUTER, 5000))
            stream.sendto(b"the last", (ROUTER, 5000))
            heard: list[bytes] = []
            while b"the last" not in heard:
                heard.append(recorder.recv(100))
            self.assertLessEqual(len(heard), 4 + 1)

    def test_who_has_no_address_yet_asks_whatever_others_do(self) -> None:
        self.boot(ZONES, allow("camera", "router", "dhcp"), allow("private", "external", "http"))
        asks = frames.udp("0.0.0.0", "255.255.255.255", 68, 67)
        before = self.entries()
        with self.flood(itertools.repeat(asks)) as flood:
            self.assertTrue(probes.wait_until(lambda: flood.sent > 5000))
        self.assertLessEqual(self.entries(), before + 5, "all are one entry")
        # The first makes the entry, and those after it belong to it.
        counted = [line for line in self.tables.save("iptables", counters=True).splitlines()
                   if "-A bound-camera" in line and ("asks for an address" in line or "open already" in line)]
        self.assertEqual(len(counted), 2)
        packets = sum(int(line.split(":")[0].strip("[")) for line in counted)
        self.assertGreater(packets, AT_ONCE + 1000, "none of them is refused")

    def test_a_table_that_is_too_small_is_told(self) -> None:
        bound = 'bound = { zone-limit = "10000/second" }\n'
        size = int(self.router.read_sysctl("net.netfilter.nf_conntrack_max"))
        self.assertLess(size, 10_000 * 120, "the control: this machine's table is smaller than that")
        self.program.configure("\n".join((EXTERNAL, CAMERA + bound, PRIVATE, PING)))
        # In a namespace the table cannot be enlarged.
        said = self.camfw("boot", expect=1).said
        self.assertIn("nf_conntrack_max", said)
        self.assertTrue(self.pinged(OWN, probes.PATIENCE), "and everything else is in force")
        status = self.camfw("status", expect=1).stdout
        self.assertRegex(status, rf"nf_conntrack_max is {size}, not \d+ or more")


@both_backends
class LeaseFloodTest(DhcpTest):
    """Whoever says to be a DHCP server, on the side that the router has its address from."""

    def test_answers_from_ever_another_address_fill_nothing(self) -> None:
        with self.dhcp_server("192.168.0.1", "192.168.0.50", "192.168.0.60"):
            self.boot_with_dhcp()
        addresses = json.loads(self.router.run(["ip", "-json", "address", "show", "eth0"]).stdout)
        own = addresses[0]["addr_info"][0]["local"]
        servers = (str(ipaddress.IPv4Address("11.0.0.1") + number) for number in itertools.count())
        answers = (frames.udp(server, own, 67, 68) for server in servers)
        flood = Flood(self.internet, addresses[0]["address"], answers)
        self.addCleanup(flood.stop)
        with flood:
            self.assertTrue(probes.wait_until(lambda: flood.sent > 5000))
            entries = int(self.router.read_sysctl("net.netfilter.nf_conntrack_count"))
            self.assertLessEqual(entries, 10 * flood.seconds + SLACK)
            self.assertGreater(entries, 4, "the control: some get in")
