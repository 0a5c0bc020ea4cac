"""No frame that another host sends hides what a listed camera tried, or writes anything of its own choosing:
whatever its addresses, tags, fragments, options and protocols are."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import example, frames
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PRIVATE, allow, camera

PORCH, ROUTER, ABROAD = example.CAMERA.address, example.CAMERA.router, "203.0.113.9"
ZONE = """
[zones.camera]
interface = "eth1"
address = ["192.168.8.1/24", "fd00:8::1/64"]
role = "camera"
"""
TO_THE_NET = EXTERNAL.replace('"192.168.0.2/24"', '["192.168.0.2/24", "fd00:0::2/64"]').replace(
    '"192.168.0.1"', '["192.168.0.1", "fd00:0::1"]')
IPV6, VLAN, QINQ, ARP = b"\x86\xdd", b"\x81\x00", b"\x88\xa8", b"\x08\x06"
WIRE, LINK = (socket.inet_pton(socket.AF_INET6, prefix)[:8] for prefix in ("fd00:8::", "fe80::"))
# What is told is of these characters, and of those with which the page groups and separates.
PLAIN = re.compile("[\n -~\u00b7\u00d7\u2013\u2026\u202f\u2713\u2717]*")
# New attempts of all that nobody listed which are logged in a minute, and of a camera.
TOLD = 200
TOLD_OF_A_HOST = 20


def ipv4(source: str, to: str, protocol: int, data: bytes, *, fragment: int = 0, options: bytes = b"", words: int | None = None) -> bytes:
    length = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | (length if words is None else words), 0, length * 4 + len(data), 7, fragment,
                         64, protocol, 0, socket.inet_aton(source), socket.inet_aton(to)) + options
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return frames.IPV4 + header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:] + data


def ipv6(source: bytes, to: bytes, following: int, data: bytes) -> bytes:
    return IPV6 + struct.pack("!IHBB", 0x60000000, len(data), following, 64) + source + to + data


def udp(port: int) -> bytes:
    return struct.pack("!HHHH", 40000, port, 13, 0) + b"camfw"


@both_backends
class Hidden(RouterTest):
    def hardware(self, host: Namespace, interface: str) -> bytes:
        (link,) = json.loads(host.run(["ip", "-json", "link", "show", interface]).stdout)
        return frames.address(link["address"])

    def told(self, *command: str) -> str:
        return self.program.run(*command).stdout

    def recorded(self, port: int) -> set[str]:
        """By which addresses the camera's attempt at this port is in the record."""
        found: list[dict[str, Any]] = json.loads(self.told("blocked", "--json"))["hosts"]
        return {it["camera"] or str(tried["to"]) for it in found for tried in it["tried"] if tried["port"] == port}

    def hostile(self, chance: random.Random, router: bytes, porch: bytes) -> list[Callable[[], bytes]]:
        """Frames of each kind."""
        def abroad() -> str:
            return f"198.51.100.{chance.randrange(1, 255)}"

        def one() -> str:
            return f"192.168.8.{chance.randrange(112, 255)}"

        def own() -> bytes:
            return router + b"\x02\0" + chance.randbytes(4)

        def any_udp() -> bytes:
            return udp(chance.randrange(1, 8000))

        def to6() -> bytes:
            return b"\x20\x01" + chance.randbytes(14)
        return [
            lambda: own() + ipv4(PORCH, abroad(), 17, any_udp()),
            lambda: router + porch + ipv4(one(), abroad(), 17, any_udp()),
            lambda: own() + ipv4(one(), abroad(), 17, any_udp(), fragment=chance.choice((0x2000, 0x2001, 5, 0x1FFF))),
            lambda: own() + VLAN + struct.pack("!H", chance.choice((0, 100))) + ipv4(PORCH, abroad(), 17, any_udp()),
            lambda: own() + QINQ + b"\0\x05" + VLAN + b"\0\0" + ipv4(PORCH, abroad(), 17, any_udp()),
            lambda: b"\x01\0\x5e\0\0\xfb" + own()[6:] + ipv4(one(), "224.0.0.251", 17, any_udp()),
            lambda: b"\xff" * 6 + own()[6:] + ipv4(one(), "255.255.255.255", 17, any_udp()),
            lambda: own() + ipv4(chance.choice(("0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.1", ROUTER)), abroad(), 17, any_udp()),
            lambda: router + chance.choice((b"\xff" * 6, bytes(6), b"\x01\0\x5e\0\0\1")) + ipv4(one(), abroad(), 17, any_udp()),
            lambda: own() + ipv4(one(), abroad(), 17, any_udp(), options=b"\x01" * 40),
            lambda: own() + ipv4(one(), abroad(), 17, any_udp(), words=chance.randrange(16)),
            lambda: own() + ipv4(one(), abroad(), chance.randrange(256), chance.randbytes(20)),
            lambda: own() + ipv4(one(), ROUTER, 17, udp(123)),
            lambda: own() + ipv6(LINK + chance.randbytes(8), chance.choice((to6(), WIRE + bytes(7) + b"\1")), 17, any_udp()),
            lambda: own() + ipv6(WIRE + chance.randbytes(8), to6(), chance.choice((0, 43, 44, 60, 135)), chance.randbytes(24)),
            lambda: router + b"\x02\0\0\0\0\x99" + ipv6(WIRE + chance.randbytes(8), to6(), 17, any_udp()),
            lambda: b"\xff" * 6 + own()[6:] + ARP + struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + chance.randbytes(6)
            + socket.inet_aton(PORCH) + bytes(6) + socket.inet_aton(ROUTER),
        ]

    def test_nothing_hides_a_listed_camera(self) -> None:
        porch = self.hardware(self.camera, INTERFACE)
        mac = porch.hex(":")
        self.program.configure("\n".join((
            '[ipv6]\nmode = "same"\n', TO_THE_NET, ZONE, PRIVATE, camera("porch", PORCH, mac),
            allow("camera", "router", "ntp"), "[watch]\ninterval = 1\n")))
        self.camfw("boot")
        router = self.hardware(self.router, example.CAMERA.interface)
        chance, said = random.Random(1), ""

        def listen(log: socket.socket) -> None:
            nonlocal said
            with contextlib.suppress(OSError):
                while True:
                    said += log.recv(65536).decode(errors="replace") + "\n"
        log = self.program.syslog()
        self.addCleanup(log.close)
        log.setblocking(True)
        threading.Thread(target=listen, args=(log,), daemon=True).start()
        watch = self.program.start("watch")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.send_signal, signal.SIGTERM)
        self.assertTrue(wait_until(lambda: bool(json.loads(self.told("blocked", "--json"))["recording"])), "it records")
        kinds = self.hostile(chance, router, porch)
        with self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((INTERFACE, 0))
            for port, some in ((8001, kinds), (8002, kinds[:5]), (8003, kinds[12:13]), (8004, kinds[13:])):
                # All that comes meanwhile is in the kernel's queue, or lost.
                watch.send_signal(signal.SIGSTOP)
                for number in range(2_000):
                    # The router's processor has a queue of a thousand frames.
                    time.sleep(0.004 if number % 50 == 0 else 0)
                    with contextlib.suppress(OSError):
                        wire.send(chance.choice(some)())
                time.sleep(0.02)
                wire.send(router + porch + ipv4(PORCH, ABROAD, 17, udp(port)))
                wire.send(router + porch + ipv6(WIRE + b"\7" * 8, b"\x20\x01" + bytes(14), 17, udp(port)))
                watch.send_signal(signal.SIGCONT)
                self.assertTrue(wait_until(lambda: {"porch", "2001::"} <= self.recorded(port)), (port, self.recorded(port)))
        # Two minutes at most were seen, each with a share for whom nobody listed, another for sources
        # that may be made up, and the camera's own in both.
        told = [line for line in said.splitlines() if "refused: " in line]
        self.assertLessEqual(len(told), 2 * 2 * (TOLD + TOLD_OF_A_HOST), "no flood in the log")
        for command in (("blocked",), ("hosts",), ("hosts", "--toml"), ("status", "--all"), ("metrics",),
                        ("report", "--html", "-"), ("blocked", "--json"), ("hosts", "--json"), ("status", "--json")):
            self.assertTrue(PLAIN.fullmatch(self.told(*command)), command)
        self.assertTrue(PLAIN.fullmatch(said), said)
        resident = re.findall(r"VmHWM:\s*(\d+)", Path(f"/proc/{watch.pid}/status").read_text())
        self.assertLess(int(resident[0]), 40_000, "KiB of the debug build")
