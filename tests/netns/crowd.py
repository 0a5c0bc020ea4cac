"""Owns packets that neither of two policies lets through, sent without pause, and
the count of those that got through all the same."""

from __future__ import annotations

import contextlib
import time

from lab.capture import Capture
from lab.probes import PATIENCE
from lab.router import Lab
from lab.traffic import UDP, Stream

# Nothing listens there in either policy, nor in what the hosts do by themselves.
PORT = 7007
BETWEEN_MICROSECONDS = 5000


class Crowd:
    """A stream of datagrams on every way across the router and to it.

    A context manager; `got_through` is how many arrived so far.
    """

    def __init__(self, lab: Lab, microseconds: int = BETWEEN_MICROSECONDS) -> None:
        """`microseconds` are between two packets of one stream."""
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
        """How many arrived since the start, by the host that they came to, or
        since the last time at the router; only hosts with any."""
        arrived = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(2048)
                arrived += 1
        found = {host: len(capture.packets) for host, capture in zip(self._lab.hosts, self._captures, strict=True)}
        return {name: count for name, count in {**found, "router": arrived}.items() if count}

    def packets(self) -> list[str]:
        """Those that came to hosts, as tcpdump has them."""
        return [packet for capture in self._captures for packet in capture.packets]

    def is_everywhere(self, seconds: float = PATIENCE) -> bool:
        """Whether packets arrive at every host and at the router: the control."""
        end = time.monotonic() + seconds
        seen: set[str] = set()
        while time.monotonic() < end and len(seen) <= len(self._lab.hosts):
            seen |= self.got_through().keys()
            time.sleep(0.1)
        return len(seen) == len(self._lab.hosts) + 1
