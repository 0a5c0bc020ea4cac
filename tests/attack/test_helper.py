"""What a hostile end of an FTP control connection makes conntrack's helper expect."""

from __future__ import annotations

import time
import unittest
from typing import ClassVar

from attack import forge
from attack.forge import ACK, PSH, TCP
from attack.oracle import Connection
from attack.scenarios import CAMERA, FAR, HELPER, LAPTOP
from attack.stage import Stage
from lab.probes import PATIENCE
from netns.case import both_backends

CONTROL = "laptop > far 6/21"
STRANGER = "8.8.8.8"
ROUTER = "192.168.0.2"


@both_backends
class HostileHelper(unittest.TestCase):
    """A laptop's control connection to a server outside, which is masqueraded; each end
    says something, and then somebody opens what was said."""

    backend: ClassVar[str]

    def setUp(self) -> None:
        self.stage = self.enterContext(Stage(HELPER, self.backend))
        self.control: Connection = next(one for one in self.stage.oracle.connections if one.name == CONTROL)
        # What each end has said so far.
        self.said: dict[str, int] = {}

    def say(self, wire: str, line: str) -> None:
        """The next line of the connection's end on this wire; it must arrive."""
        view = self.control.views[wire]
        other = next(iter(set(self.control.views) - {wire}))
        (source, sport), (target, port) = ((str(address), port) for address, port in (view.local, view.remote))
        sequence, acknowledged = self.stage.sequence(self.control, wire)
        sequence += self.said.get(wire, 0)
        acknowledged += self.said.get(other, 0)
        data = f"{line}\r\n".encode()
        segment = forge.tcp(source, target, sport, port, ACK | PSH, data, sequence=sequence, acknowledged=acknowledged)
        came: list[bytes] = []
        self.stage.watch(other, lambda frame: came.append(frame) if line[:4].encode() in frame else None)
        end = time.monotonic() + PATIENCE
        while not came and time.monotonic() < end:
            self.stage.send_ip(wire, forge.ip(source, target, TCP, segment))
            self.stage.drain(0.2)
        self.assertTrue(came, line)
        self.said[wire] = self.said.get(wire, 0) + len(data)

    def opens(self, wire: str, source: str, target: str, port: int, *, passes: bool) -> bool:
        """Whether a SYN gets anywhere; what must is sent until it does."""
        number = self.stage.number()
        end = time.monotonic() + (PATIENCE if passes else 0)
        while True:
            self.stage.send_ip(wire, forge.transport(TCP, source, target, 40010, port, forge.marker(number)))
            self.stage.settle(wire)
            if self.stage.arrived.get(number, set()) - {wire}:
                return True
            if time.monotonic() > end:
                return False

    def test_server_sends_the_client_to_itself_alone(self) -> None:
        self.say("eth0", "220 ready")
        for third in (CAMERA.address, STRANGER, ROUTER, "192.168.8.1"):
            for line in (f"227 Entering Passive Mode ({third.replace('.', ',')},156,64)",):
                with self.subTest(line):
                    self.say("eth0", line)
                    self.assertFalse(self.opens("eth2", LAPTOP.address, third, 40000, passes=False))
        self.say("eth0", f"227 Entering Passive Mode ({FAR.address.replace('.', ',')},156,65)")
        self.assertTrue(self.opens("eth2", LAPTOP.address, FAR.address, 40001, passes=True), "control")
        for source in ("192.168.5.11",):
            self.assertFalse(self.opens("eth2", source, FAR.address, 40001, passes=False))

    def test_only_the_server_comes_to_the_port_that_the_client_names(self) -> None:
        self.say("eth2", "USER anonymous")
        self.say("eth2", f"PORT {LAPTOP.address.replace('.', ',')},156,66")
        for wire, source in (("eth0", STRANGER), ("eth1", CAMERA.address), ("eth1", FAR.address)):
            for target in (ROUTER, LAPTOP.address):
                with self.subTest(source=source, wire=wire, target=target):
                    self.assertFalse(self.opens(wire, source, target, 40002, passes=False))
        self.assertTrue(self.opens("eth0", FAR.address, ROUTER, 40002, passes=True), "control")

    def test_client_names_nobody_else(self) -> None:
        self.say("eth2", "USER anonymous")
        for third in (CAMERA.address, "192.168.5.11", ROUTER):
            for line in (f"PORT {third.replace('.', ',')},156,67", f"EPRT |1|{third}|40003|"):
                with self.subTest(line):
                    self.say("eth2", line)
                    for target in (third, ROUTER):
                        self.assertFalse(self.opens("eth0", FAR.address, target, 40003, passes=False))

    def test_errors_and_segments_are_no_data_connection(self) -> None:
        self.say("eth2", "USER anonymous")
        self.say("eth2", f"PORT {LAPTOP.address.replace('.', ',')},156,68")
        number = self.stage.number()
        for flags in (ACK, ACK | PSH, 0, 2 | 16, 4):
            segment = forge.tcp(CAMERA.address, LAPTOP.address, 20, 40004, flags, forge.marker(number))
            self.stage.send_ip("eth1", forge.ip(CAMERA.address, LAPTOP.address, TCP, segment))
        self.stage.settle("eth1")
        self.assertNotIn(number, self.stage.arrived)
