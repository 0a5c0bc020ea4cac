"""Packets with a source address that is impossible on their interface."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import example, probes, traffic
from lab.capture import Capture
from lab.hosts import Wiring
from lab.services import Listener
from netns.case import RouterTest, both_backends

COUNT = 5
# Per zone, source addresses that are impossible from its side.
FOREIGN = {
    "internet": (example.LAPTOP.address, example.CAMERA.address),
    "camera": (example.LAPTOP.address, example.INTERNET.address, "10.1.2.3", "8.8.8.8"),
    "laptop": (example.CAMERA.address, example.INTERNET.address, "10.1.2.3"),
}
ZONE = {"internet": "external", "camera": "camera", "laptop": "private"}
# A port of the router that the zone may use, so that only the source is wrong; external
# has none, so it uses ping.
ALLOWED_PORT = {"camera": 21, "laptop": 22}


@both_backends
class Spoof(RouterTest):
    """Such packets are dropped and logged before any other rule."""

    def counted(self, zone: str) -> tuple[int, int]:
        """The packets counted by the LOG and DROP rules of the zone's source check."""
        chain = f"source-{zone}"
        return self.tables.packets("raw", chain, "LOG"), self.tables.packets("raw", chain, "DROP")

    @contextlib.contextmanager
    def assert_spoofed(self, zone: str, packets: int) -> Iterator[None]:
        """Checks that the body sends this many packets that are logged and dropped.

        LOG is rate limited: at least one line must appear while the burst is not used
        up.
        """
        logged, dropped = self.counted(zone)
        yield
        logged_after, dropped_after = self.counted(zone)
        self.assertEqual(dropped_after - dropped, packets, f"{zone}: dropped")
        if logged == 0:
            self.assertGreater(logged_after, 0, f"{zone}: logged")

    def send_to_router(self, wiring: Wiring, source: str | None) -> None:
        kind = traffic.SYN if wiring.name in ALLOWED_PORT else traffic.ICMP
        traffic.send(
            self.lab.hosts[wiring.name].namespace, wiring.router, kind=kind,
            port=ALLOWED_PORT.get(wiring.name), source=source, count=COUNT,
        )

    def test_spoofed_packets_to_the_router_are_dropped_and_logged(self) -> None:
        with Listener(self.router, tcp=ALLOWED_PORT.values()):
            self.camfw("boot")
            for wiring in example.WIRINGS:
                for source in FOREIGN[wiring.name]:
                    with self.subTest(side=wiring.name, source=source), \
                            self.assert_spoofed(ZONE[wiring.name], COUNT):
                        self.send_to_router(wiring, source)

    def test_the_same_packets_with_their_own_source_are_answered(self) -> None:
        answer = "icmp[icmptype] == icmp-echoreply or tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)"
        with Listener(self.router, tcp=ALLOWED_PORT.values()):
            self.camfw("boot")
            for wiring in example.WIRINGS:
                with self.subTest(side=wiring.name), self.assert_spoofed_none(wiring), \
                        Capture(self.lab.hosts[wiring.name].namespace, answer) as answers:
                    self.send_to_router(wiring, None)
                    self.assertGreaterEqual(answers.count(expected=COUNT), COUNT)

    @contextlib.contextmanager
    def assert_spoofed_none(self, wiring: Wiring) -> Iterator[None]:
        before = self.counted(ZONE[wiring.name])
        yield
        self.assertEqual(self.counted(ZONE[wiring.name]), before)

    def test_the_router_answers_no_spoofed_packet(self) -> None:
        # The camera spoofs the laptop as the source; the answer would reach the laptop.
        answer = f"tcp src port 21 and src host {example.CAMERA.router}"
        for firewall in (False, True):
            with self.subTest(firewall=firewall), Listener(self.router, tcp=[21]), \
                    Capture(self.laptop, answer) as answers:
                if firewall:
                    self.camfw("boot")
                else:
                    self.open_router()
                self.send_to_router(example.CAMERA, example.LAPTOP.address)
                if firewall:
                    self.assertEqual(answers.count(), 0)
                else:
                    self.assertGreaterEqual(answers.count(expected=COUNT), COUNT, "control")

    def test_spoofed_packets_across_the_router_are_dropped_and_logged(self) -> None:
        # Each requests what the laptop may use, from the laptop's address or another
        # one.
        crossings = [
            (self.camera, "camera", example.LAPTOP.address, example.INTERNET.address, self.internet),
            (self.camera, "camera", "10.1.2.3", example.INTERNET.address, self.internet),
            (self.internet, "external", example.LAPTOP.address, example.CAMERA.address, self.camera),
            (self.laptop, "private", "10.1.2.3", example.CAMERA.address, self.camera),
            (self.laptop, "private", example.INTERNET.address, example.CAMERA.address, self.camera),
        ]
        for firewall in (False, True):
            if firewall:
                self.camfw("boot")
            else:
                self.open_router()
            for sender, zone, source, target, receiver in crossings:
                with self.subTest(zone=zone, source=source, firewall=firewall), \
                        Capture(receiver, f"src host {source} and tcp dst port 80") as arrived:
                    if firewall:
                        with self.assert_spoofed(zone, COUNT):
                            traffic.send(sender, target, port=80, source=source, count=COUNT)
                        self.assertEqual(arrived.count(), 0)
                    else:
                        traffic.send(sender, target, port=80, source=source, count=COUNT)
                        self.assertEqual(arrived.count(expected=COUNT), COUNT, "control")

    def test_a_packet_across_the_router_with_its_own_source_passes(self) -> None:
        self.camfw("boot")
        with Capture(self.camera, f"src host {example.LAPTOP.address} and tcp dst port 80") as arrived, \
                self.assert_spoofed_none(example.LAPTOP):
            traffic.send(self.laptop, example.CAMERA.address, port=80, count=COUNT)
            self.assertEqual(arrived.count(expected=COUNT), COUNT)

    def test_nothing_is_injected_into_an_established_flow(self) -> None:
        # The camera knows the addresses and ports of a flow between the laptop and the
        # internet.
        for firewall in (False, True):
            with self.subTest(firewall=firewall), Listener(self.internet, tcp=[80]):
                if firewall:
                    self.camfw("boot")
                else:
                    self.open_router()
                with self.laptop.socket() as flow:
                    flow.settimeout(probes.PATIENCE)
                    flow.connect((example.INTERNET.address, 80))
                    self.assert_echoes(flow, b"before")
                    port = flow.getsockname()[1]
                    # Of a length that the flow itself does not use.
                    forged = f"src host {example.LAPTOP.address} and tcp dst port 80 and ip[2:2] = 140"
                    with Capture(self.internet, forged) as arrived:
                        if firewall:
                            with self.assert_spoofed("camera", COUNT):
                                self.inject(port)
                            self.assertEqual(arrived.count(), 0)
                        else:
                            self.inject(port)
                            self.assertEqual(arrived.count(expected=COUNT), COUNT, "control")
                    self.assert_echoes(flow, b"after")

    def inject(self, port: int) -> None:
        traffic.send(
            self.camera, example.INTERNET.address, kind=("-A", "-P", "-d", "100"), port=80,
            source=example.LAPTOP.address, source_port=port, count=COUNT,
        )

    def assert_echoes(self, flow: socket.socket, data: bytes) -> None:
        flow.sendall(data)
        self.assertEqual(flow.recv(100), data)

    def test_the_kernel_logs_the_packet_with_its_zone(self) -> None:
        with kernel_log() as lines:
            self.camfw("boot")
            for wiring in example.WIRINGS:
                zone = ZONE[wiring.name]
                # The source port distinguishes the packets of this test from all
                # others.
                port = 20000 + os.getpid() % 10000
                with self.subTest(zone=zone):
                    traffic.send(
                        self.lab.hosts[wiring.name].namespace, wiring.router, kind=traffic.UDP,
                        port=53, source="10.1.2.3" if zone != "external" else example.LAPTOP.address,
                        source_port=port, count=1,
                    )
                    wanted = (f"SPOOFED PKT {zone} ", f"IN={wiring.interface} ", f"SPT={port} ")

                    def is_there(parts: tuple[str, ...] = wanted) -> bool:
                        return any(all(part in line for part in parts) for line in lines())

                    found = probes.wait_until(is_there)
                    self.assertTrue(found, f"{wanted} in the kernel's log: {lines()[-5:]}")


# Without this switch, other namespaces than the initial one do not write to the
# kernel's log; it applies to all of them (net/netfilter/nf_log_syslog.c).
LOG_ALL = Path("/proc/sys/net/netfilter/nf_log_all_netns")


@contextlib.contextmanager
def kernel_log() -> Iterator[Callable[[], list[str]]]:
    """The kernel's log: gives the body the lines since its start.

    The switch is set only during that time, by one test at a time.
    """
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = LOG_ALL.read_text()
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(log, 0, os.SEEK_END)
        kept: list[str] = []

        def lines() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    try:
                        kept.append(os.read(log, 8192).decode(errors="replace"))
                    except BrokenPipeError:  # overwritten before it was read
                        continue
            return kept

        LOG_ALL.write_text("1")
        try:
            yield lines
        finally:
            LOG_ALL.write_text(before)
            os.close(log)
