"""The recorder's example, unchanged: which hosts reach which, and which ICMP errors
pass."""

from __future__ import annotations

import shutil

from lab import example, probes
from lab.hosts import Wiring
from lab.services import Listener
from netns.case import both_backends
from netns.dhcp import DhcpTest
from netns.program import ROOT
from netns.test_related import KINDS, PASS, RelatedTest, tcp_packet

EXAMPLE = ROOT / "examples/recorder.toml"
# As the example has it.
PORCH, PORCH_MAC = "192.168.8.110", "00:11:22:33:44:55"
RECORDER = Wiring("recorder", "eth2", "192.168.9.20", 24, router="192.168.9.1",
                  address6="fd00:9::20", router6="fd00:9::1")
HOME = Wiring("laptop", "eth3", "192.168.5.10", 24, router="192.168.5.1",
              address6="fd00:5::10", router6="fd00:5::1")
INTERNET, CAMERA = example.INTERNET, example.CAMERA
PORTS = (22, 80, 443, 554, 8443)


@both_backends
class Recorder(DhcpTest, RelatedTest):
    """A listed camera, the recorder, home, and the internet with a DHCP server."""

    wirings = (INTERNET, CAMERA, RECORDER, HOME)

    def setUp(self) -> None:
        super().setUp()
        self.recorder = self.lab.hosts["recorder"].namespace
        self.camera.ip("link", "set", "eth0", "address", PORCH_MAC)
        shutil.copy(EXAMPLE, self.program.config)
        self.boot_with_a_lease()

    def test_who_reaches_whom(self) -> None:
        own = self.leased()
        hosts = {"internet": self.internet, "camera": self.camera, "recorder": self.recorder, "home": self.laptop}
        targets = {
            "router": {"internet": own, "camera": CAMERA.router, "recorder": RECORDER.router, "home": HOME.router},
            "internet": INTERNET.address, "camera": PORCH, "recorder": RECORDER.address, "home": HOME.address,
        }
        allowed = {
            ("recorder", "camera"): {554}, ("home", "recorder"): {443}, ("home", "router"): {22},
            ("home", "internet"): {80, 443}, ("internet", "router"): {8443},
            # The router's address comes by DHCP and is not known when the rules are made, so
            # that the forward takes this port whatever the destination: the recorder answers.
            ("internet", "camera"): {8443}, ("internet", "recorder"): {8443}, ("internet", "home"): {8443},
        }
        for namespace in (*hosts.values(), self.router):
            listener = Listener(namespace, PORTS, (123,))
            self.addCleanup(listener.stop)
        for source, host in hosts.items():
            for target, address in targets.items():
                if source == target:
                    continue
                to = address[source] if isinstance(address, dict) else address
                for port in PORTS:
                    with self.subTest(source=source, target=target, port=port):
                        passes = port in allowed.get((source, target), set())
                        reach = probes.tcp(host, to, port, probes.PATIENCE if passes else 0.3)
                        self.assertEqual(bool(reach), passes, reach.detail)

    def test_who_asks_for_the_time(self) -> None:
        with Listener(self.router, udp=[123]):
            self.assertTrue(probes.udp(self.camera, CAMERA.router, 123))
            for address, mac in (("192.168.8.77", PORCH_MAC), (PORCH, "00:11:22:33:44:99")):
                self.become(address, mac)
                self.assertFalse(probes.udp(self.camera, CAMERA.router, 123, wait=0.5), f"{address} {mac}")
            self.become(PORCH, PORCH_MAC)
            self.assertTrue(probes.udp(self.camera, CAMERA.router, 123), "control")

    def become(self, address: str, mac: str) -> None:
        """Gives the camera only this address and this hardware address."""
        self.camera.ip(batch=f"""
            address flush dev eth0 scope global
            link set eth0 address {mac}
            address add {address}/24 dev eth0
            route replace default via {CAMERA.router}
        """)

    def test_errors_of_the_camera(self) -> None:
        with self.connection(self.internet, INTERNET.address, 80) as port:
            # As the server sees it: from the router.
            forth = tcp_packet(self.leased(), INTERNET.address, port, 80)
            self.assert_passing(self.camera, [PORCH], self.laptop, forth, kinds=self.rewritten)
            self.assert_passing(self.internet, [INTERNET.address], self.laptop, forth, PASS, self.rewritten)
        with self.connection(self.recorder, RECORDER.address, 443) as port:
            forth = tcp_packet(HOME.address, RECORDER.address, port, 443)
            back = tcp_packet(RECORDER.address, HOME.address, 443, port)
            self.assert_passing(self.camera, [PORCH], self.laptop, forth)
            self.assert_passing(self.camera, [PORCH], self.recorder, back)
        # About its own connection it may send errors, of the permitted types.
        with self.connection(self.camera, PORCH, 554, self.recorder) as port:
            forth = tcp_packet(RECORDER.address, PORCH, port, 554)
            self.assert_passing(self.camera, [PORCH], self.recorder, forth, PASS)
            # No other host may send errors about it.
            self.assert_passing(self.laptop, [HOME.address], self.recorder, forth)
            self.assert_passing(self.internet, [INTERNET.address], self.recorder, forth)

    def test_errors_about_what_comes_by_the_forward(self) -> None:
        with Listener(self.recorder, tcp=[443]), self.internet.socket() as client:
            client.settimeout(probes.PATIENCE)
            client.connect((self.leased(), 8443))
            port = client.getsockname()[1]
            # As the recorder sees it: the recorder may send errors about it, but no
            # camera.
            forth = tcp_packet(INTERNET.address, RECORDER.address, port, 443)
            self.assert_passing(self.recorder, [RECORDER.address], self.internet, forth, PASS, self.rewritten)
            self.assert_passing(self.camera, [PORCH], self.internet, forth, kinds=self.rewritten)
            # As the phone sees the answers, which come from the router.
            back = tcp_packet(self.leased(), INTERNET.address, 8443, port)
            self.assert_passing(self.internet, [INTERNET.address], self.recorder, back, PASS, self.rewritten)

    # The kernel forwards no redirect about packets that it rewrites.
    rewritten = tuple(kind for kind in KINDS if kind[0] != 5)
