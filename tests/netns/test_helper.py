"""FTP with conntrack's helper, which lets through each announced data connection."""

from __future__ import annotations

import itertools

from lab import example, probes
from lab.services import FtpServer, Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

INTERNET = example.INTERNET.address
ANOTHER = "192.168.0.77"
# A range that no allow line names.
PASSIVE = range(60000, 60011)
HELPED = "{ tcp = [21], helper = true }"
PLAIN = "{ tcp = [21] }"


@both_backends
class Helper(RouterTest):
    """vsftpd on the internet host, at two addresses; the laptop uploads in both modes."""

    def setUp(self) -> None:
        super().setUp()
        self.internet.ip("address", "add", f"{ANOTHER}/24", "dev", "eth0")
        self.server = FtpServer(self.internet, self.scratch / "ftp", PASSIVE)
        self.addCleanup(self.server.stop)

    def upload(
        self, target: str = INTERNET, *, active: bool, epsv: bool = True, passes: bool = True
    ) -> probes.Reach:
        return probes.ftp_upload(
            self.laptop, target, active=active, epsv=epsv,
            wait=probes.PATIENCE if passes else 2, transfer_seconds=60 if passes else 3,
            received=lambda name: (self.server.incoming / name).read_bytes(),
        )

    def test_data_connections_of_both_modes_pass(self) -> None:
        self.boot(ZONES, allow("private", "external", HELPED))
        for active, epsv in itertools.product((False, True), (False, True)):
            with self.subTest(active=active, epsv=epsv):
                reach = self.upload(active=active, epsv=epsv)
                self.assertTrue(reach, reach.detail)

    def test_none_pass_without_the_helper(self) -> None:
        # Only the control connection: helpers are not assigned automatically.
        self.boot(ZONES, allow("private", "external", PLAIN))
        self.assertTrue(probes.tcp(self.laptop, INTERNET, 21))
        for active in (False, True):
            with self.subTest(active=active):
                reach = self.upload(active=active, passes=False)
                self.assertFalse(reach, reach.detail)

    def test_the_helper_is_for_just_its_line(self) -> None:
        self.boot(
            ZONES, allow("private", "external", HELPED, f'address = "{INTERNET}"'),
            allow("private", "external", PLAIN, f'address = "{ANOTHER}"'),
        )
        for active in (False, True):
            with self.subTest(active=active):
                reach = self.upload(active=active)
                self.assertTrue(reach, reach.detail)
                self.assertTrue(probes.tcp(self.laptop, ANOTHER, 21))
                reach = self.upload(ANOTHER, active=active, passes=False)
                self.assertFalse(reach, reach.detail)

    def test_what_belongs_to_no_control_connection_does_not_pass(self) -> None:
        self.lab.configure_router()
        with Listener(self.laptop, tcp=[40000]), Listener(self.internet, tcp=[60005]):
            self.assertTrue(probes.tcp(self.internet, example.LAPTOP.address, 40000), "control")
            self.assertTrue(probes.tcp(self.laptop, INTERNET, 60005), "control")
            self.boot(ZONES, allow("private", "external", HELPED))
            with self.laptop.socket() as control:
                control.settimeout(probes.PATIENCE)
                control.connect((INTERNET, 21))
                self.assertIn(b"220", control.recv(200))
                self.assertFalse(probes.tcp(self.internet, example.LAPTOP.address, 40000, wait=0.5))
                self.assertFalse(probes.tcp(self.laptop, INTERNET, 60005, wait=0.5))

    def test_masqueraded(self) -> None:
        # The helper rewrites the address in the PORT command.
        self.boot(ZONES, allow("private", "external", HELPED),
                  '[[masquerade]]\nfrom = "private"\nto = "external"\n')
        for active, epsv in itertools.product((False, True), (False, True)):
            with self.subTest(active=active, epsv=epsv):
                reach = self.upload(active=active, epsv=epsv)
                self.assertTrue(reach, reach.detail)


@both_backends
class HelperToTheRouter(RouterTest):
    """vsftpd on the router, which the cameras use; the router itself connects only to
    what is listed."""

    def test_data_connections_of_both_modes_pass(self) -> None:
        self.boot(ZONES, allow("camera", "router", HELPED), '[router]\negress = "listed"\n')
        with FtpServer(self.router, self.scratch / "ftp", PASSIVE) as server:
            for active, epsv in itertools.product((False, True), (False, True)):
                with self.subTest(active=active, epsv=epsv):
                    reach = probes.ftp_upload(
                        self.camera, example.CAMERA.router, active=active, epsv=epsv,
                        received=lambda name: (server.incoming / name).read_bytes(),
                    )
                    self.assertTrue(reach, reach.detail)

    def test_a_forwarded_server(self) -> None:
        forward = '[[forwards]]\nfrom = "private"\ntcp = 2121\nto = "camera"\nto-port = 21\n'
        host = f'address = "{example.CAMERA.address}"\n'
        self.boot(ZONES, allow("private", "camera", HELPED), forward + host)
        with FtpServer(self.camera, self.scratch / "ftp", PASSIVE) as server:
            for active in (False, True):
                with self.subTest(active=active):
                    reach = probes.ftp_upload(
                        self.laptop, example.LAPTOP.router, port=2121, active=active,
                        received=lambda name: (server.incoming / name).read_bytes(),
                    )
                    self.assertTrue(reach, reach.detail)
