"""TCP connections that a camera has closed and keeps in the kernel's table: `camfw watch`
ends those past the zone's bound."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import time

from lab import example, frames, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, allow

ROUTER = example.CAMERA.router
# An address that the camera's own kernel does not have, so that it answers nothing.
HOST = "192.168.8.120"
OTHER = example.CAMERA.address
PORT = 21
# What an address may have closed: two minutes of its rate, and what may come at once.
# Written from docs/configuration.md.
CLOSED = 120 + 100
OPENED = CLOSED + 80

SYN_ACK, ACK, RESET = 0x12, 0x10, 0x14


@both_backends
class Closed(RouterTest):
    """The camera's host sends frames of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.program.configure("\n".join((
            EXTERNAL, CAMERA + 'bound = { limit = "1000/second" }\n', PRIVATE, PING,
            allow("camera", "router", "ftp"), allow("private", "external", "http"),
            "[watch]\ninterval = 86400\n",
            # As if the host went on sending in each, however busy this machine is.
            '[sysctls]\n"net.netfilter.nf_conntrack_tcp_timeout_close" = "600"\n')))
        self.camfw("boot")
        self.frames = self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.frames.close)
        self.frames.bind(("eth0", 3))
        self.frames.settimeout(0.1)
        mac = self.frames.getsockname()[4]
        links = json.loads(self.router.run(["ip", "-json", "link", "show", "eth1"]).stdout)
        self.header = frames.address(links[0]["address"]) + mac + frames.IPV4
        self.router.ip("neighbor", "replace", HOST, "lladdr", mac.hex(":"), "dev", "eth1", "nud", "permanent")

    def send(self, port: int, flags: int, sequence: int, acknowledged: int) -> None:
        packet = frames.tcp(HOST, ROUTER, (port, PORT), flags, sequence, acknowledged)
        self.frames.send(self.header + packet)

    def answer(self) -> tuple[int, int] | None:
        """The port and the sequence number of a connection that the router accepts."""
        try:
            data = self.frames.recv(2000)
        except TimeoutError:
            return None
        if data[12:14] != frames.IPV4 or data[23] != frames.TCP or data[47] != SYN_ACK:
            return None
        _, port, sequence = struct.unpack("!HHI", data[34:42])
        return port, sequence

    def open_and_close(self, count: int) -> dict[int, int]:
        """Opens connections from as many ports and resets each. Returns the sequence
        number that the host acknowledged, by port."""
        waiting = list(range(20_000, 20_000 + count))
        closed: dict[int, int] = {}
        ends = time.monotonic() + probes.PATIENCE
        while waiting:
            self.assertLess(time.monotonic(), ends, f"{len(closed)} of {count} are answered")
            port = waiting.pop(0)
            self.send(port, 0x02, 1, 0)
            answer = self.answer()
            while answer is not None and answer[0] in closed:
                answer = self.answer()
            if answer is None:
                waiting.append(port)
                continue
            answered, sequence = answer
            self.send(answered, ACK, 2, sequence + 1 & 0xFFFFFFFF)
            self.send(answered, RESET, 2, sequence + 1 & 0xFFFFFFFF)
            closed[answered] = sequence + 1 & 0xFFFFFFFF
            waiting = [left for left in [*waiting, port] if left not in closed]
        return closed

    def entries(self, source: str) -> int:
        """The number of closed connections of a source in the router's table."""
        lines = self.router.run(["conntrack", "-L", "-p", "tcp"]).stdout.splitlines()
        states = ("CLOSE ", "TIME_WAIT ")
        return sum(f" src={source} dst={ROUTER}" in line and any(state in line for state in states)
                   for line in lines)

    def test_watch_ends_those_past_the_bound(self) -> None:
        with Listener(self.router, tcp=[PORT]):
            closed = self.open_and_close(OPENED)
            self.assertTrue(probes.tcp(self.camera, ROUTER, PORT))
            self.assertTrue(probes.wait_until(lambda: self.entries(OTHER) == 1))
        self.change_config('limit = "1000/second"', 'limit = "1/second"')
        self.camfw("apply")
        self.assertEqual(self.entries(HOST), OPENED, "the control: all are there, and no rule ends them")
        with self.program.watching():
            self.assertTrue(probes.wait_until(lambda: self.entries(HOST) <= CLOSED))
            self.assertEqual(self.entries(HOST), CLOSED, "no more than those are ended")
            self.assertEqual(self.entries(OTHER), 1, "and none of another camera")
            # What is gone does not come back.
            for port, sequence in closed.items():
                self.send(port, ACK, 3, sequence)
            self.assertTrue(probes.ping(self.camera, ROUTER))
            self.assertEqual(self.entries(HOST), CLOSED)
            said = f"camera sends on in TCP connections that are closed: {OPENED - CLOSED} past its bound"
            self.assertIn(said, self.program.logged())
            # Nor do others get past it while it waits for its next look, which is a day off.
            for port in range(60_000, 60_040):
                self.router.run(["conntrack", "-I", "-p", "tcp", "-s", HOST, "-d", ROUTER, "--sport", str(port),
                                 "--dport", str(PORT), "--state", "CLOSE", "-t", "600"], check=True)
            self.assertTrue(probes.wait_until(lambda: self.entries(HOST) <= CLOSED))
            self.assertEqual(self.entries(HOST), CLOSED)

    def test_watch_ends_them_also_while_another_command_has_the_lock(self) -> None:
        self.change_config('limit = "1000/second"', 'limit = "1/second"')
        self.change_config("interval = 86400", "interval = 1")
        self.camfw("apply")
        self.keep_closed(CLOSED + 40)
        with self.program.watching():
            self.assertTrue(probes.wait_until(lambda: self.entries(HOST) <= CLOSED), "the control")
            with (self.program.run_folder / "camfw.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.keep_closed(CLOSED + 40)
                # It waits for the lock for 30 seconds.
                self.assertTrue(probes.wait_until(lambda: self.entries(HOST) <= CLOSED, 3 * probes.PATIENCE))

    def keep_closed(self, count: int) -> None:
        """Makes so many entries of closed connections, from as many ports."""
        for port in range(60_000, 60_000 + count):
            self.router.run(["conntrack", "-I", "-p", "tcp", "-s", HOST, "-d", ROUTER, "--sport", str(port),
                             "--dport", str(PORT), "--state", "CLOSE", "-t", "600"])
