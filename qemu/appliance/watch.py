"""Owns the question whether the box is closed before it is anything else.

The camera sends to the internet without pause, to the router's network card
directly, from before the machine starts; what arrives at the internet is
counted there, before any firewall of that host. Among it are packets in the
laptop's name, which no policy lets out: where the camera's own arrive and those
do not, the rules were in force before the first passed. No clock is asked.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from lab import traffic
from lab.capture import Capture
from lab.traffic import Stream

from appliance.scene import Scene

MICROSECONDS = 10_000
UDP_PORT = 9
TCP_PORT = 80

# Added to a policy that keeps the camera in, this lets out what it sends here.
LET_THE_CAMERA_OUT = """
[services.discard]
udp = [9]

[[allow]]
from = "camera"
to = "external"
service = ["ping", "discard", "http"]

[[exceptions]]
from = "camera"
to = "external"
service = ["ping", "discard", "http"]
"""

@dataclass(frozen=True)
class Arrived:
    """What the camera sent, and what came of it at the internet."""

    sent: int
    packets: tuple[str, ...]
    # Of these, what the camera sent in the laptop's name.
    forged: int

    @property
    def count(self) -> int:
        """How many arrived."""
        return len(self.packets)

    def kinds(self) -> set[str]:
        """Which kinds arrived: icmp, udp, tcp."""
        return {kind for kind, mark in (("icmp", "ICMP"), ("udp", "UDP"), ("tcp", "Flags"))
                if any(mark in packet for packet in self.packets)}


class Watch:
    """Sends and counts from now to `stop`. A context manager."""

    def __init__(self, scene: Scene) -> None:
        camera, internet = scene.hosts["camera"], scene.hosts["internet"]
        self._forged = scene.hosts["laptop"].address
        with contextlib.ExitStack() as stack:
            # Every IP packet that comes in counts, whatever became of its
            # source address on the way: nobody else sends yet.
            self._capture = stack.enter_context(Capture(internet.namespace, "ip"))
            self._streams = [
                stack.enter_context(Stream(
                    camera.namespace, internet.address, kind=kind, port=port, source=source,
                    microseconds=MICROSECONDS))
                for kind, port, source in (
                    (traffic.ICMP, UDP_PORT, None),
                    (traffic.UDP, UDP_PORT, None),
                    (traffic.SYN, TCP_PORT, None),
                    # What the laptop may do, in the laptop's name.
                    (traffic.SYN, TCP_PORT, self._forged),
                )
            ]
            self._stack = stack.pop_all()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self, count: int) -> int:
        """Wait until so many have arrived; how many have."""
        return self._capture.count(count)

    def stop(self) -> Arrived:
        """End it; everything that arrived."""
        sent = sum(stream.stop() for stream in self._streams)
        packets = tuple(self._capture.stop())
        self._stack = contextlib.ExitStack()
        return Arrived(sent, packets, sum(f" {self._forged}." in packet for packet in packets))
