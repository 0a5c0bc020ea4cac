"""What a line leaves out, and what no line lets through: real connections."""

from __future__ import annotations

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

OTHER = "192.168.0.77"
PORT = 80
OUT = allow("private", "external", "http")
IN = allow("external", "router", "http")


@both_backends
class Deny(RouterTest):
    """Two addresses of the internet host, which the laptop asks and which ask the router."""

    def setUp(self) -> None:
        super().setUp()
        self.internet.ip("address", "add", f"{OTHER}/24", "dev", "eth0")
        for host in (self.internet, self.router):
            listener = Listener(host, tcp=[PORT])
            self.addCleanup(listener.stop)

    def reaches(self, target: str, wait: float = probes.PATIENCE) -> bool:
        return bool(probes.tcp(self.laptop, target, PORT, wait))

    def comes_in(self, source: str, wait: float = probes.PATIENCE) -> bool:
        with self.internet.socket() as connection:
            connection.settimeout(wait)
            connection.bind((source, 0))
            try:
                connection.connect((example.INTERNET.router, PORT))
            except OSError:
                return False
        return True

    def test_what_is_left_out_and_what_is_denied_does_not_pass(self) -> None:
        self.boot(ZONES, OUT, IN)
        self.assertTrue(self.reaches(OTHER) and self.comes_in(OTHER), "control")
        self.boot(ZONES, OUT + f'except = "{OTHER}"\n', IN)
        self.assertTrue(self.reaches(example.INTERNET.address))
        self.assertFalse(self.reaches(OTHER, wait=1))
        denied = f'[[deny]]\nfrom = "any"\nto = "any"\naddress = "{OTHER}"\n'
        nobody = f'[[deny]]\nfrom = "external"\nto = "router"\nsource = "192.168.0.64/26"\n'
        # A connection that is open ends when it is denied.
        self.boot(ZONES, OUT, IN)
        with self.laptop.socket() as open_before:
            open_before.settimeout(probes.PATIENCE)
            open_before.connect((OTHER, PORT))
            self.assertTrue(probes.echoes(open_before), "control")
            self.program.configure("\n".join((ZONES, OUT, IN, denied, nobody)))
            self.camfw("apply")
            self.assertFalse(probes.echoes(open_before, wait=1))
        self.assertTrue(self.reaches(example.INTERNET.address))
        self.assertFalse(self.reaches(OTHER, wait=1))
        self.assertTrue(self.comes_in(example.INTERNET.address))
        self.assertFalse(self.comes_in(OTHER, wait=1))
        self.camfw("prove", "--live")
        self.camfw("status")

    def test_single_addresses_of_both_families_and_a_limit(self) -> None:
        """What is left of all addresses without one is as many networks as it has bits, and
        nf_tables takes 15 jumps within each other: it refused the tree of chains, and an
        apply ended sealed."""
        limited = OUT + 'source = ["192.168.5.10", "192.168.5.2", "192.168.5.4", "192.168.5.6", "192.168.5.8"]\n' \
            'limit = "1000/second"\n'
        denied = f'[[deny]]\nfrom = "any"\nto = "any"\naddress = ["{OTHER}", "2001:db8::7"]\n'
        self.boot(ZONES, '[ipv6]\nmode = "same"\n', limited, IN, denied)
        self.assertTrue(self.reaches(example.INTERNET.address))
        self.assertFalse(self.reaches(OTHER, wait=1))
        self.camfw("prove", "--live")
        self.camfw("status")
