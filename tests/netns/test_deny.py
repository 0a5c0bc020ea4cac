"""What a line leaves out, and what no line lets through: real connections."""

from __future__ import annotations

import random

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

OTHER = "192.168.0.77"
PORT = 80
# In a long list are a network and a host, and beside them nobody.
NETWORK = "11.22.33.0/24"
HOST = "11.22.35.7"
LISTED = ("11.22.33.1", "11.22.33.255", HOST)
UNLISTED = ("11.22.32.255", "11.22.34.1", "11.22.35.6", "11.22.35.8")
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

    def test_a_list_of_50000_networks_holds_for_each_and_for_nobody_else(self) -> None:
        for address in (*LISTED, *UNLISTED):
            self.internet.ip("address", "add", f"{address}/32", "dev", "eth0")
        self.boot(ZONES, OUT, IN)
        for address in (*LISTED, *UNLISTED):
            self.assertTrue(self.reaches(address) and self.comes_in(address), f"control: {address}")
        listed = long_list(49_998)
        self.boot(ZONES, OUT, IN, *denials((NETWORK, HOST, *listed)))
        self.check_long_list(LISTED, UNLISTED)
        self.camfw("prove", "--live")
        self.assertIn("Applied: nothing had to change", self.camfw("apply").said)
        self.camfw("status")
        # Two networks less, and nothing else changes.
        self.program.configure("\n".join((ZONES, OUT, IN, *denials(listed))))
        self.camfw("apply")
        self.check_long_list((), (*LISTED, *UNLISTED))

    def check_long_list(self, denied: tuple[str, ...], others: tuple[str, ...]) -> None:
        for address in others:
            self.assertTrue(self.reaches(address), f"to {address}")
            self.assertTrue(self.comes_in(address), f"from {address}")
        for address in denied:
            self.assertFalse(self.reaches(address, wait=1), f"to {address}")
            self.assertFalse(self.comes_in(address, wait=1), f"from {address}")


def long_list(count: int) -> tuple[str, ...]:
    """Networks without 11.0.0.0/8, as public lists have them."""
    chance = random.Random(1)
    found: set[str] = set()
    while len(found) < count:
        first, second, third = chance.randrange(12, 100), chance.randrange(256), chance.randrange(256)
        found.add(f"{first}.{second}.{third}.0/24")
    return tuple(sorted(found))


def denials(networks: tuple[str, ...]) -> tuple[str, str]:
    """Nobody comes in from these, and nobody goes to the first thousand. A file has 1 MiB."""
    def listed(some: tuple[str, ...]) -> str:
        return "[" + ",".join(f'"{network}"' for network in some) + "]"
    return (
        f'[[deny]]\nfrom = "external"\nto = "any"\nsource = {listed(networks)}\n',
        f'[[deny]]\nfrom = "any"\nto = "external"\naddress = {listed(networks[:1000])}\n',
    )
