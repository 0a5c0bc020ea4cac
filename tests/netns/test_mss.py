"""A way out with smaller packets than Ethernet's, where ICMP errors are lost."""

from __future__ import annotations

import time

from lab import example, probes
from lab.capture import Capture
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PRIVATE, allow
from netns.tables import Tables

PORT = 80
OUT = allow("private", "external", "http")
BYTES = 20_000


@both_backends
class SegmentSize(RouterTest):
    """The laptop sends to the internet host, and hears no ICMP."""

    def setUp(self) -> None:
        super().setUp()
        Tables(self.laptop, self.backend).run("iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP")
        self.listener = Listener(self.internet, (PORT,))
        self.addCleanup(self.listener.stop)

    def came_back(self, patience: float) -> int:
        """How many of the bytes that the laptop sends the other end returns in that time."""
        with self.laptop.socket() as connection:
            connection.settimeout(probes.PATIENCE)
            connection.connect((example.INTERNET.address, PORT))
            connection.sendall(bytes(BYTES))
            end, found = time.monotonic() + patience, 0
            while found < BYTES and (left := end - time.monotonic()) > 0:
                connection.settimeout(left)
                try:
                    found += len(connection.recv(BYTES))
                except TimeoutError:
                    break
        return found

    def offered(self) -> str:
        """The segment size that the internet host is told, as tcpdump prints it."""
        with Capture(self.internet, "tcp[tcpflags] & tcp-syn != 0") as arrived:
            self.assertTrue(probes.tcp(self.laptop, example.INTERNET.address, PORT))
            self.assertGreater(arrived.count(expected=1), 0)
        return arrived.packets[0].partition("mss ")[2].partition(",")[0]

    def test_what_is_sent_arrives_although_errors_are_lost(self) -> None:
        self.boot(EXTERNAL + 'mtu = 1400\nmss = "off"\n', CAMERA, PRIVATE, OUT)
        self.assertEqual(self.offered(), "1460")
        self.assertEqual(self.came_back(patience=3), 0)
        self.boot(EXTERNAL + "mtu = 1400\n", CAMERA, PRIVATE, OUT)
        self.assertEqual(self.offered(), "1360")
        self.assertEqual(self.came_back(probes.PATIENCE), BYTES)
        self.camfw("prove", "--live")

    def test_a_size_of_its_own_and_none_on_ethernet(self) -> None:
        self.boot(EXTERNAL + "mss = 1000\n", CAMERA, PRIVATE, OUT)
        self.assertEqual(self.offered(), "1000")
        self.boot(EXTERNAL + "mss = 9000\n", CAMERA, PRIVATE, OUT)
        self.assertEqual(self.offered(), "1460", "never larger")
        self.boot(EXTERNAL, CAMERA, PRIVATE, OUT)
        self.assertEqual(self.offered(), "1460")
        self.assertNotIn("TCPMSS", self.tables.save("iptables"))
