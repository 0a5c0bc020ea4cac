"""`to = "router"` is the router's address on the interface on which a packet arrived."""

from __future__ import annotations

import shutil
import socket

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PRIVATE, ZONES, allow

OWN, PRIVATES, EXTERNALS = example.CAMERA.router, example.LAPTOP.router, example.INTERNET.router
DISCOVERY, OTHER_GROUP = "239.255.255.250", "239.1.2.3"
ADDED = "192.168.8.77"


@both_backends
class OwnAddress(RouterTest):
    """The camera knows all addresses of the router, and has a route to each."""

    def arrives(self, listener: Listener, target: str, port: int, *, wait: float) -> bool:
        """Whether a datagram from the camera arrives."""
        token = b"%d" % port + target.encode()

        def sent() -> bool:
            with self.camera.socket(kind=socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                sender.sendto(token, (target, port))
            return probes.wait_until(lambda: listener.received(token), 0.2)

        return probes.wait_until(sent, wait)

    def join(self, group: str) -> None:
        """Makes the router join a multicast group on the cameras' side."""
        membership = self.router.socket(kind=socket.SOCK_DGRAM)
        self.addCleanup(membership.close)
        here = socket.inet_aton(group) + socket.inet_aton(OWN)
        membership.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, here)

    def test_another_zones_address_is_not_answered(self) -> None:
        with Listener(self.router, tcp=[22]):
            self.open_router()
            for address in (OWN, PRIVATES, EXTERNALS):
                self.assertTrue(probes.ping(self.camera, address), f"control: {address}")
                self.assertTrue(probes.tcp(self.camera, address, 22), f"control: {address}")
            self.boot(ZONES, allow("any", "router", "ping"), allow("camera", "router", "ssh"))
            self.assertTrue(probes.ping(self.camera, OWN))
            self.assertTrue(probes.tcp(self.camera, OWN, 22))
            for address in (PRIVATES, EXTERNALS):
                with self.subTest(address):
                    self.assertFalse(probes.ping(self.camera, address, wait=0.5))
                    self.assertFalse(probes.tcp(self.camera, address, 22, wait=0.5))
            # The other way round.
            self.assertTrue(probes.ping(self.laptop, PRIVATES))
            self.assertFalse(probes.ping(self.laptop, OWN, wait=0.5))

    def test_an_address_that_another_program_gave(self) -> None:
        self.boot(ZONES, allow("camera", "router", "ping"))
        self.assertFalse(probes.ping(self.camera, ADDED, wait=0.5), "control: nobody has it")
        self.router.ip("address", "add", f"{ADDED}/24", "dev", "eth1")
        self.assertTrue(probes.ping(self.camera, ADDED))
        self.router.ip("address", "del", f"{ADDED}/24", "dev", "eth1")
        self.router.ip("address", "add", f"{ADDED}/32", "dev", "eth2")
        self.assertFalse(probes.ping(self.camera, ADDED, wait=0.5), "it is on another interface")

    def test_an_address_that_came_by_dhcp(self) -> None:
        by_dhcp = EXTERNAL.replace('"192.168.0.2/24"', '"dhcp"').replace('gateway = "192.168.0.1"\n', "")
        # The real client, which finds no server.
        (self.program.tools / "udhcpc").symlink_to(str(shutil.which("busybox")))
        self.boot(by_dhcp, CAMERA, PRIVATE, allow("external", "router", "ping"), allow("camera", "router", "ping"))
        # As the client's hook does.
        self.router.ip("address", "add", f"{EXTERNALS}/24", "dev", "eth0")
        self.assertTrue(probes.ping(self.internet, EXTERNALS))
        self.assertTrue(probes.ping(self.camera, OWN))
        self.assertFalse(probes.ping(self.camera, EXTERNALS, wait=0.5))

    def test_an_address_that_the_line_names(self) -> None:
        self.boot(ZONES, allow("camera", "router", "ping", f'address = "{PRIVATES}"'))
        self.assertTrue(probes.ping(self.camera, PRIVATES))
        self.assertFalse(probes.ping(self.camera, OWN, wait=0.5))

    def test_groups_and_broadcasts_of_the_services_that_have_them(self) -> None:
        both = allow("camera", "router", '["onvif-discovery", "dhcp"]') + allow("camera", "router", "{ udp = [5000] }")
        self.boot(ZONES, both)
        for group in (DISCOVERY, OTHER_GROUP):
            self.join(group)
        with Listener(self.router, udp=[67, 3702, 5000]) as listener:
            for target, port in ((OWN, 5000), (OWN, 3702), (DISCOVERY, 3702), ("255.255.255.255", 67)):
                with self.subTest(target=target, port=port):
                    self.assertTrue(self.arrives(listener, target, port, wait=probes.PATIENCE))
            for target, port in ((OTHER_GROUP, 3702), (DISCOVERY, 5000), ("255.255.255.255", 5000),
                                 ("192.168.8.255", 3702), ("192.168.8.255", 5000)):
                with self.subTest(target=target, port=port):
                    self.assertFalse(self.arrives(listener, target, port, wait=0.5))
            # The control: all of them reach an open router.
            self.camfw("open")
            for target, port in ((OTHER_GROUP, 3702), (DISCOVERY, 5000), ("255.255.255.255", 5000),
                                 ("192.168.8.255", 3702)):
                with self.subTest(target=target, port=port):
                    self.assertTrue(self.arrives(listener, target, port, wait=probes.PATIENCE))
