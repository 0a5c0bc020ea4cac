"""The lab's own probes: what must come is waited for, also if an earlier probe asked for the neighbour in vain."""

from __future__ import annotations

import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from lab import example, probes
from lab.router import Lab
from lab.services import HttpServer, Listener

ROUTER = example.LAPTOP.router
TCP = 8080
# The kernel asks for a neighbour three times, a second apart, and then tells all who wait that there is none.
SINCE = 2.3


class Neighbour(unittest.TestCase):
    """The laptop has just asked for the router in vain; the router is there before the kernel gives up. UDP goes on by
    itself: the error is none for a socket that did not ask for it."""

    def setUp(self) -> None:
        self.lab = Lab([example.LAPTOP])
        self.addCleanup(self.lab.close)
        self.lab.configure_router()
        self.laptop, self.router = self.lab.hosts["laptop"].namespace, self.lab.router

    def answer(self, answers: bool) -> None:
        """Whether the router answers ARP."""
        self.router.write_sysctl(f"net.ipv4.conf.{example.LAPTOP.interface}.arp_ignore", "0" if answers else "8")

    def comes(self, probe: Callable[[float], probes.Reach]) -> None:
        self.answer(False)
        began = time.monotonic()
        self.assertFalse(probes.tcp(self.laptop, ROUTER, TCP, 0.1))
        time.sleep(max(0.0, SINCE - (time.monotonic() - began)))
        self.answer(True)
        self.assertTrue(probe(probes.PATIENCE))

    def test_ping(self) -> None:
        self.comes(lambda wait: probes.ping(self.laptop, ROUTER, wait))

    def test_tcp(self) -> None:
        with Listener(self.router, [TCP]):
            self.comes(lambda wait: probes.tcp(self.laptop, ROUTER, TCP, wait))

    def test_http(self) -> None:
        with tempfile.TemporaryDirectory() as folder, HttpServer(self.router, Path(folder), "here", TCP):
            self.comes(lambda wait: probes.http(self.laptop, ROUTER, "here", TCP, wait))
