"""Interfaces with the same hardware address, such as VLANs of one device, give the
router the same link-local address on each: the hosts of one link must not benefit from
connections of the other's."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lab.namespace import Namespace
from lab.probes import PATIENCE
from netns.case import RouterTest, both_backends
from netns.policies import allow
from netns.test_ipv6_same import zones

# The hardware address given to both veths before they are up, and the resulting
# link-local address.
MAC, ROUTER = "02:00:00:00:00:77", "fe80::ff:fe00:77"
HOST = "fe80::1234"
OFFERED = allow("private", "router", "{ udp = [5000] }")


@both_backends
class LinkZones(RouterTest):
    """The laptop has a link-local address, and the camera assigns itself the same one."""

    def setUp(self) -> None:
        super().setUp()
        for interface in ("eth1", "eth2"):
            self.router.ip("link", "set", interface, "address", MAC)
        self.boot(zones(), OFFERED)
        for host in (self.laptop, self.camera):
            host.ip("address", "add", f"{HOST}/64", "dev", "eth0", "nodad")

    @contextmanager
    def bound(self, namespace: Namespace, interface: str, address: str, port: int) -> Iterator[socket.socket]:
        """A UDP socket bound to an address on one link."""
        with namespace.entered():
            scope = socket.if_nametoindex(interface)
        with namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
            made.bind((address, port, 0, scope))
            made.settimeout(PATIENCE)
            yield made

    def send(self, sender: socket.socket, address: str, port: int, text: bytes) -> None:
        sender.sendto(text, (address, port, 0, sender.getsockname()[3]))

    def hears(self, receiver: socket.socket, wait: float = 1.0) -> bytes:
        receiver.settimeout(wait)
        try:
            return receiver.recvfrom(100)[0]
        except TimeoutError:
            return b""

    def test_what_the_laptop_opened_is_not_the_cameras(self) -> None:
        with self.bound(self.laptop, "eth0", HOST, 40000) as laptop, \
                self.bound(self.camera, "eth0", HOST, 40000) as camera, \
                self.router.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
            server.bind(("::", 5000))
            server.settimeout(PATIENCE)
            for _ in range(2):
                self.send(laptop, ROUTER, 5000, b"laptop")
                text, asker = server.recvfrom(100)
                self.assertEqual(text, b"laptop")
                server.sendto(b"answer", asker)
                self.assertEqual(self.hears(laptop, PATIENCE), b"answer")
            self.send(camera, ROUTER, 5000, b"camera")
            self.assertEqual(self.hears(server), b"")
            # An unrelated change ends no connection, and the laptop's continues.
            self.program.configure("\n".join((zones(), OFFERED, allow("private", "camera", "http"))))
            self.camfw("apply")
            self.send(laptop, ROUTER, 5000, b"laptop")
            self.assertEqual(self.hears(server, PATIENCE), b"laptop")
            # The camera's line is added and the laptop's removed: this shows whose
            # connection it was.
            self.program.configure("\n".join((zones(), allow("camera", "router", "{ udp = [5000] }"))))
            self.assertIn("ended 1 connection", self.camfw("apply").log)
            self.send(laptop, ROUTER, 5000, b"laptop")
            self.assertEqual(self.hears(server), b"")
            self.send(camera, ROUTER, 5000, b"camera")
            self.assertEqual(self.hears(server, PATIENCE), b"camera", "control")

    def test_what_the_router_opened_to_the_laptop_is_not_the_cameras(self) -> None:
        with self.bound(self.laptop, "eth0", HOST, 7000) as laptop, \
                self.bound(self.camera, "eth0", HOST, 7000) as camera, \
                self.router.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.bind(("::", 6000))
            with self.router.entered():
                scope = socket.if_nametoindex("eth2")
            client.sendto(b"question", (HOST, 7000, 0, scope))
            self.assertEqual(self.hears(laptop, PATIENCE), b"question")
            self.send(laptop, ROUTER, 6000, b"laptop")
            self.assertEqual(self.hears(client, PATIENCE), b"laptop")
            self.send(camera, ROUTER, 6000, b"camera")
            self.assertEqual(self.hears(client), b"")
            self.send(laptop, ROUTER, 6000, b"laptop")
            self.assertEqual(self.hears(client, PATIENCE), b"laptop", "control")

    def test_the_ftp_helper_looks_at_a_link_too(self) -> None:
        """The router opens the data connection on the link from which the laptop
        requested it."""
        listed = '[router]\negress = "listed"\n'
        for helper in ("true", "false"):
            with self.subTest(helper=helper):
                ftp = f"[services.control]\ntcp = [21]\nhelper = {helper}\n"
                self.program.configure("\n".join((zones(), ftp, allow("private", "router", "control"), listed)))
                self.camfw("apply")
                self.assertEqual(self.data_connection(PATIENCE if helper == "true" else 1), helper == "true")

    def data_connection(self, wait: float) -> bool:
        """Whether the laptop gets the data connection that it requested with EPRT (RFC
        2428)."""
        with self.laptop.entered():
            scope = socket.if_nametoindex("eth0")
        with self.router.entered():
            back = socket.if_nametoindex("eth2")
        with self.router.socket(socket.AF_INET6) as listening, self.laptop.socket(socket.AF_INET6) as control, \
                self.laptop.socket(socket.AF_INET6) as waiting, self.router.socket(socket.AF_INET6) as data:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("::", 21))
            listening.listen()
            waiting.bind((HOST, 0, 0, scope))
            waiting.listen()
            port = waiting.getsockname()[1]
            control.bind((HOST, 0, 0, scope))
            control.settimeout(PATIENCE)
            control.connect((ROUTER, 21, 0, scope))
            with listening.accept()[0] as server:
                server.settimeout(PATIENCE)
                # The helper inspects what follows the end of a line.
                for line in ("USER camera", f"EPRT |2|{HOST}|{port}|"):
                    control.sendall(f"{line}\r\n".encode())
                    self.assertIn(line.encode(), server.recv(100))
                data.settimeout(wait)
                try:
                    data.connect((HOST, port, 0, back))
                except OSError:
                    return False
                return True

    def test_the_proof_asks_for_it(self) -> None:
        self.camfw("prove", "--live")
        family = "ip6tables"
        for rule in self.tables.rules(family, "raw"):
            if "-j CT --zone" in rule.rule and "OUTPUT" in rule.rule:
                self.tables.run(family, "-t", "raw", "-D", *shlex.split(rule.rule)[1:])
                break
        else:
            self.fail("there is none")
        self.assertIn("link-local", self.camfw("prove", "--live", expect=1).stdout)
