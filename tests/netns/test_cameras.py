"""Named cameras: bound to an address and a hardware address, with allow lines of their
own."""

from __future__ import annotations

from lab import example, probes, traffic
from lab.capture import Capture
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, ZONES, allow, camera

COUNT = 5
PORCH = example.CAMERA.address
ROUTER = example.CAMERA.router
NEIGHBOUR = "192.168.8.111"
OTHER_MAC = "02:00:00:00:00:99"
PORCH_LINE = camera("porch", PORCH, example.CAMERA.mac, 'to = "router", service = { tcp = [21] }')
KNOWN_ONLY = CAMERA + "known-only = true\n"


@both_backends
class Cameras(RouterTest):
    """One host on the cameras' wire, which uses any address and hardware address it
    likes."""

    def setUp(self) -> None:
        super().setUp()
        listener = Listener(self.router, tcp=[21])
        self.addCleanup(listener.stop)

    def be(self, address: str, mac: str) -> None:
        """Gives the host this address and hardware address, and no other."""
        self.camera.ip(batch=f"""
            address flush dev eth0 scope global
            link set eth0 address {mac}
            address add {address}/24 dev eth0
            route replace default via {ROUTER}
        """)
        # Other hosts remember the previous hardware address, so make them forget it.
        self.router.ip("neigh", "flush", "dev", "eth1")

    def dropped(self, chain: str) -> tuple[int, int]:
        """The packets counted by the LOG and DROP rules of a chain of the raw table."""
        return self.tables.packets("raw", chain, "LOG"), self.tables.packets("raw", chain, "DROP")

    def assert_dropped(self, chain: str, address: str, mac: str) -> None:
        """Checks that packets with these addresses are logged and dropped in that
        chain, and that a router without the firewall answers the same packets."""
        logged, dropped = self.dropped(chain)
        self.be(address, mac)
        traffic.send(self.camera, ROUTER, port=21, count=COUNT)
        logged_after, dropped_after = self.dropped(chain)
        self.assertEqual(dropped_after - dropped, COUNT)
        if logged == 0:
            self.assertGreater(logged_after, 0)
        self.assertFalse(probes.ping(self.camera, ROUTER, 0.3))

    def control(self, *hosts: tuple[str, str]) -> None:
        self.open_router()
        for address, mac in hosts:
            self.be(address, mac)
            with Capture(self.camera, "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)") as answers:
                traffic.send(self.camera, ROUTER, port=21, count=COUNT)
                self.assertGreaterEqual(answers.count(expected=COUNT), COUNT, f"control: {address} {mac}")

    def test_neither_address_nor_hardware_address_can_be_borrowed(self) -> None:
        mac = example.CAMERA.mac
        self.control((PORCH, OTHER_MAC), (NEIGHBOUR, mac))
        self.boot(ZONES, PING, PORCH_LINE)
        self.assert_dropped("spoofed-camera", PORCH, OTHER_MAC)
        self.assert_dropped("spoofed-camera", NEIGHBOUR, mac)
        before = self.dropped("spoofed-camera")
        for address, own in ((PORCH, mac), (NEIGHBOUR, OTHER_MAC)):
            self.be(address, own)
            self.assertTrue(probes.ping(self.camera, ROUTER), f"{address} with its own hardware address")
        self.assertEqual(self.dropped("spoofed-camera"), before)

    def test_a_cameras_own_line_is_not_its_neighbours(self) -> None:
        self.control((NEIGHBOUR, OTHER_MAC))
        self.boot(ZONES, PING, PORCH_LINE)
        self.be(PORCH, example.CAMERA.mac)
        self.assertTrue(probes.tcp(self.camera, ROUTER, 21))
        self.be(NEIGHBOUR, OTHER_MAC)
        self.assertFalse(probes.tcp(self.camera, ROUTER, 21, wait=0.5))
        self.assertTrue(probes.ping(self.camera, ROUTER), "what the zone may, its neighbour may")

    def test_a_hardware_address_is_the_same_however_it_is_written(self) -> None:
        mac = example.CAMERA.mac
        digits = mac.replace(":", "")
        self.control((PORCH, OTHER_MAC))
        for written in (mac.replace(":", "-"), ".".join(digits[at:at + 4] for at in (0, 4, 8)), mac.upper().replace(":", "-")):
            with self.subTest(written):
                self.boot(ZONES, PING, camera("porch", PORCH, written, 'to = "router", service = { tcp = [21] }'))
                self.be(PORCH, mac)
                self.assertTrue(probes.tcp(self.camera, ROUTER, 21))
                self.assert_dropped("spoofed-camera", PORCH, OTHER_MAC)
                self.assert_dropped("spoofed-camera", NEIGHBOUR, mac)

    def test_a_line_to_a_camera_leads_to_no_other(self) -> None:
        self.open_router()
        self.camera.ip("address", "add", f"{NEIGHBOUR}/24", "dev", "eth0")
        with Listener(self.camera, tcp=[80]):
            self.assertTrue(probes.tcp(self.laptop, NEIGHBOUR, 80), "control")
            self.boot(ZONES, camera("porch", PORCH), allow("private", "porch", "http"))
            self.assertTrue(probes.tcp(self.laptop, PORCH, 80))
            self.assertFalse(probes.tcp(self.laptop, NEIGHBOUR, 80, wait=0.5))

    def test_known_only_drops_who_is_not_listed(self) -> None:
        self.control((NEIGHBOUR, OTHER_MAC))
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PING, PORCH_LINE, camera("gate", "192.168.8.112"))
        self.assert_dropped("source-camera", NEIGHBOUR, OTHER_MAC)
        self.assert_dropped("spoofed-camera", PORCH, OTHER_MAC)
        # A known hardware address does not make another IP address acceptable.
        self.assert_dropped("spoofed-camera", NEIGHBOUR, example.CAMERA.mac)
        for address, mac in ((PORCH, example.CAMERA.mac), ("192.168.8.112", OTHER_MAC)):
            self.be(address, mac)
            self.assertTrue(probes.ping(self.camera, ROUTER), address)

    def test_forty_cameras(self) -> None:
        def mac(number: int) -> str:
            return f"02:00:00:00:01:{number:02x}"

        listed = [
            camera(f"c{number}", f"192.168.8.{20 + number}", mac(number), 'to = "router", service = { tcp = [21] }')
            for number in range(40)
        ]
        for zone in (CAMERA, KNOWN_ONLY):
            with self.subTest(known_only=zone is KNOWN_ONLY):
                self.boot(EXTERNAL, zone, PRIVATE, PING, *listed)
                for number in (0, 1, 17, 38, 39):
                    self.be(f"192.168.8.{20 + number}", mac(number))
                    self.assertTrue(probes.tcp(self.camera, ROUTER, 21), f"camera {number}")
                self.assert_dropped("spoofed-camera", "192.168.8.37", mac(18))
                if zone is KNOWN_ONLY:
                    self.assert_dropped("source-camera", "192.168.8.200", OTHER_MAC)
                else:
                    self.assert_dropped("spoofed-camera", "192.168.8.200", mac(3))
                    self.be("192.168.8.200", OTHER_MAC)
                    self.assertTrue(probes.ping(self.camera, ROUTER), "who is not listed, where anybody may be")
                    self.assertFalse(probes.tcp(self.camera, ROUTER, 21, wait=0.3))
