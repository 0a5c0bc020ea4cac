"""Names of hosts: looked up by apply and refresh, never by boot, kept when a lookup fails."""

from __future__ import annotations

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends

FIRST, SECOND = "192.168.0.31", "192.168.0.32"
NAME = "mail.example.org"


@both_backends
class Names(RouterTest):
    """A name server and two mail servers on the external network."""

    def setUp(self) -> None:
        super().setUp()
        for address in (FIRST, SECOND):
            # ARP answers for it on the wire too.
            self.internet.ip("address", "add", f"{address}/32", "dev", "lo")
        self.enterContext(Listener(self.internet, tcp=[25]))
        self.program.resolv.write_text(f"nameserver {example.INTERNET.address}\noptions timeout:5 attempts:1\n")
        self.program.configure(
            self.program.config.read_text()
            + f'\n[[allow]]\nfrom = "private"\nto = "external"\nservice = "smtp"\nhost = "{NAME}"\n'
        )
        self.server = None
        self.addCleanup(self.stop)

    def serve(self, address: str | None) -> None:
        """Answers with this address, or does not answer at all."""
        self.stop()
        if address is None:
            return
        self.server = self.internet.start([
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces",
            f"--listen-address={example.INTERNET.address}", "--conf-file=/dev/null", "--pid-file=",
            f"--address=/{NAME}/{address}", "--local-ttl=0",
        ])
        self.assertTrue(probes.wait_until(self.asked), "the name server is there")

    def stop(self) -> None:
        """No answers any more."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def asked(self) -> bool:
        done = self.internet.run(["ss", "-Hlun", f"src {example.INTERNET.address}:53"])
        return bool(done.stdout.strip())

    def reaches(self, address: str, wait: float = probes.PATIENCE) -> bool:
        return bool(probes.tcp(self.laptop, address, 25, wait))

    def test_apply_and_refresh_look_up_and_boot_does_not(self) -> None:
        self.serve(FIRST)
        self.camfw("boot")
        self.assertFalse(self.reaches(FIRST, 0.5), "boot asks nobody")
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))
        self.assertFalse(self.reaches(SECOND, 0.5))
        self.serve(SECOND)
        self.assertTrue(self.reaches(FIRST), "until it is asked again")
        self.camfw("refresh")
        self.assertFalse(self.reaches(FIRST, 0.5))
        self.assertTrue(self.reaches(SECOND))
        self.camfw("status")
        # A boot uses the last answers.
        self.serve(None)
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        self.assertTrue(self.reaches(SECOND))

    def test_a_lookup_that_fails_keeps_the_last_answer(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))
        self.serve(None)
        result = self.camfw("refresh", expect=1)
        self.assertIn(f"{NAME} did not resolve", result.said)
        self.assertIn("its last addresses are used", result.said)
        self.assertTrue(self.reaches(FIRST))
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))

    def test_a_name_that_never_resolved_opens_nothing(self) -> None:
        self.serve(None)
        result = self.camfw("apply")
        self.assertIn("nothing is allowed by it", result.said)
        self.assertFalse(self.reaches(FIRST, 0.5))
        self.assertIn("did not resolve yet", self.camfw("check").stderr)
        # The rest of the file is in force.
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))

    def test_refresh_opens_no_closed_box(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.camfw("seal")
        result = self.camfw("refresh", expect=1)
        self.assertIn("no policy is in force", result.said)
        self.assert_sealed()
