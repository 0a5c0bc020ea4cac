"""Owns continuous streams of packets that neither of two policies lets through, and the
number of those that got through anyway."""

from __future__ import annotations

import contextlib
import time

from lab.capture import Capture
from lab.probes import PATIENCE
from lab.router import Lab
from lab.traffic import UDP, Stream

# Neither policy uses this port, nor do the hosts on their own.
PORT = 7007
BETWEEN_MICROSECONDS = 5000


class Crowd:
    """Streams of datagrams on every path across the router and to it.

    A context manager; `got_through` returns how many have arrived so far.
    """

    def __init__(self, lab: Lab, microseconds: int = BETWEEN_MICROSECONDS) -> None:
        """`microseconds` is the interval between two packets of one stream."""
        self._lab = lab
        self._microseconds = microseconds
        self._stack = contextlib.ExitStack()
        self._captures: list[Capture] = []

    def __enter__(self) -> Crowd:
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(self._lab.router.socket(kind=2))
            self._socket.bind(("", PORT))
            self._socket.setblocking(False)
            for host in self._lab.hosts.values():
                self._captures.append(
                    stack.enter_context(Capture(host.namespace, f"udp dst port {PORT}")))
            for host in self._lab.hosts.values():
                for target in ("router", *self._lab.hosts):
                    if target != host.name:
                        stack.enter_context(Stream(
                            host.namespace, self._lab.address(host.name, target), kind=UDP, port=PORT,
                            microseconds=self._microseconds))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def got_through(self) -> dict[str, int]:
        """The number of packets that arrived, by receiving host, since the start; at
        the router, since the last call. Only hosts with any are included."""
        arrived = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(2048)
                arrived += 1
        found = {host: len(capture.packets) for host, capture in zip(self._lab.hosts, self._captures, strict=True)}
        return {name: count for name, count in {**found, "router": arrived}.items() if count}

    def packets(self) -> list[str]:
        """The packets that arrived at hosts, as tcpdump prints them."""
        return [packet for capture in self._captures for packet in capture.packets]

    def is_everywhere(self, seconds: float = PATIENCE) -> bool:
        """Whether packets arrive at every host and at the router: the control."""
        end = time.monotonic() + seconds
        seen: set[str] = set()
        while time.monotonic() < end and len(seen) <= len(self._lab.hosts):
            seen |= self.got_through().keys()
            time.sleep(0.1)
        return len(seen) == len(self._lab.hosts) + 1
