"""Owns what docs/recipes.md says, and the base of the tests that carry its recipes out: the page's file, the hosts
around it, and who opens what by a table's row.

Never changes a recipe: what is tried is what a reader copies.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

from lab import probes
from lab.hosts import Wiring
from lab.namespace import Namespace
from lab.probes import Reach
from lab.services import Listener
from netns.dhcp import DhcpTest
from netns.program import ROOT

RECIPES = ROOT / "docs/recipes.md"
# The file that the pages are about, and what hangs on it.
FILE = ROOT / "examples/six-cameras.toml"
INTERNET = Wiring("internet", "eth0", "192.168.0.1", 24, router="192.168.0.2",
                  address6="fd00:0::1", router6="fd00:0::2")
PORCH = Wiring("camera", "eth1", "192.168.8.11", 24, router="192.168.8.1",
               address6="fd00:8::11", router6="fd00:8::1")
PORCH_MAC = "00:11:22:33:44:01"
HOUSE = Wiring("laptop", "eth2", "192.168.5.10", 24, router="192.168.5.1",
               address6="fd00:5::10", router6="fd00:5::1")
RECORDER = "192.168.5.20"
SERVER = "203.0.113.7"
# Those that need other hosts than test_docs has, or that have no table of who opens what, and the test that carries
# each out as it stands.
ELSEWHERE = {
    "Only by day": "netns/test_recipes.py",
    "The house has IPv6": "netns/test_recipes.py",
    "Cameras have IPv6 addresses": "netns/test_recipes.py",
    "The internet's IPv6 comes by router advertisement": "netns/test_recipes.py",
    "The internet comes by PPPoE": "netns/test_given.py",
    "Two ways out": "netns/test_failover.py",
    "Several public addresses": "netns/test_public_addresses.py",
    "The internet's address comes by systemd-networkd": "netns/test_networkd.py",
    "Cameras on a VLAN": "qemu/test_vlan.py",
    "Cameras that cannot reach each other": "netns/test_recipes.py",
    "A recorder among the cameras": "netns/test_recipes.py",
}


@dataclass(frozen=True)
class Row:
    """A row of a recipe's table."""

    source: str
    target: str
    protocol: str
    port: int
    passes: bool
    # Whether the router takes it in the place of its target.
    redirected: bool = False


@dataclass(frozen=True)
class Recipe:
    """A recipe: its drop-in, and who then opens what."""

    title: str
    # The whole section.
    section: str
    rows: tuple[Row, ...]

    def block(self, kind: str = "toml") -> str:
        """The text of its only or first block of this kind."""
        found = re.search(rf"```{kind}\n(.*?)```", self.section, re.DOTALL)
        assert found is not None, (self.title, kind)
        return found[1]


@cache
def recipes() -> tuple[Recipe, ...]:
    """All of the page."""
    found = []
    for text in RECIPES.read_text().split("\n## ")[1:]:
        title, _, section = text.partition("\n")
        rows = tuple(
            Row(source, target, protocol, int(port), passes != "no", passes == "router")
            for source, target, protocol, port, passes in re.findall(
                r"^\| (\w+) \| (\w+) \| (tcp|udp) (\d+) \| (yes|no|router) \|$", section, re.MULTILINE)
        )
        # No row is lost: a table has a line of heads and one of dashes.
        assert len(rows) == max(0, len(re.findall(r"^\|", section, re.MULTILINE)) - 2), section
        found.append(Recipe(title, section, rows))
    return tuple(found)


def recipe(title: str) -> Recipe:
    """The one with this title."""
    [found] = [it for it in recipes() if it.title == title]
    return found


def base(dropin: str) -> str:
    """The page's file without the tables whose place a recipe takes."""
    own = re.findall(r"^\[zones\.\w+\]$", dropin, re.MULTILINE)
    tables = FILE.read_text().split("\n\n")
    kept = [table for table in tables if not table.startswith(tuple(own))] if own else tables
    assert len(kept) == len(tables) - sum(f"\n{name}\n" in FILE.read_text() for name in own), own
    return "\n\n".join(kept)


@dataclass(frozen=True)
class Party:
    """Who stands in a table: where it is, how it is reached, and where it reaches the router."""

    host: Namespace
    address: str
    router: str


class RecipeTest(DhcpTest):
    """A router with the page's file; the porch's camera, the house with the recorder, the internet."""

    wirings: tuple[Wiring, ...] = (INTERNET, PORCH, HOUSE)

    def setUp(self) -> None:
        super().setUp()
        self.listeners: dict[str, Listener] = {}
        self.camera.ip("link", "set", "eth0", "address", PORCH_MAC)
        self.laptop.ip("address", "add", f"{RECORDER}/24", "dev", "eth0")
        # What the house opens to the camera is the recorder's.
        self.laptop.ip("route", "add", f"{PORCH.address}/32", "via", HOUSE.router, "src", RECORDER)
        self.internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
        self.parties = {
            "porch": Party(self.camera, PORCH.address, PORCH.router),
            "house": Party(self.laptop, HOUSE.address, HOUSE.router),
            "recorder": Party(self.laptop, RECORDER, HOUSE.router),
        }

    def drop_in(self, text: str) -> None:
        """The recipe beside the page's file, without the tables whose place it takes."""
        self.program.configure(base(text))
        folder = self.program.config.with_suffix(".d")
        folder.mkdir(exist_ok=True)
        (folder / "recipe.toml").write_text(text)

    def party(self, name: str, at: str = "") -> Party:
        """A host by its name in a table; what the router is called depends on where it is asked."""
        if name in self.parties:
            return self.parties[name]
        if name == "internet":
            return Party(self.internet, SERVER, self.leased())
        outside = name == "outside" or at == "internet"
        return Party(self.router, self.leased() if outside else self.parties[at].router if at in self.parties else "", "")

    def listen(self, rows: Iterable[Row], family: socket.AddressFamily = socket.AF_INET) -> None:
        """Has every host of the tables answer on every port of theirs."""
        rows = list(rows)
        ports = {kind: sorted({row.port for row in rows if row.protocol == kind}) for kind in ("tcp", "udp")}
        hosts = {"router": self.router, "internet": self.internet,
                 **{name: party.host for name, party in self.parties.items()}}
        by_host: dict[str, Listener] = {}
        for name, host in hosts.items():
            if host.name not in by_host:
                by_host[host.name] = Listener(host, ports["tcp"], ports["udp"], family)
                self.addCleanup(by_host[host.name].stop)
            self.listeners[name] = by_host[host.name]

    def attempt(self, row: Row) -> Reach:
        """Tries a row's connection."""
        wait = probes.PATIENCE if row.passes else 2.0
        source, target = self.party(row.source).host, self.party(row.target, row.source).address
        arrived_at = self.listeners["router" if row.redirected or row.target == "outside" else row.target]
        if row.protocol == "tcp":
            reach = probes.tcp(source, target, row.port, wait)
            # The kernel connects before the listener takes the connection.
            there = not row.redirected or probes.wait_until(lambda: arrived_at.accepted[row.port] > 0)
            return reach if there else Reach(False, "connected to another host")
        return probes.udp(source, target, row.port, arrived_at.received, wait)

    def assert_rows(self, rows: Sequence[Row], of: str) -> None:
        """Each row's connection passes or does not, as the row says."""
        self.assertGreater(len(rows), 0, of)
        with ThreadPoolExecutor(len(rows)) as pool:
            for row, reach in zip(rows, pool.map(self.attempt, rows), strict=True):
                with self.subTest(of, row=row):
                    self.assertEqual(bool(reach), row.passes, reach.detail)

    def assert_pass(self, rows: Iterable[Row], of: str = "without a firewall") -> None:
        """The control: what a row denies gets there once nothing stops it."""
        self.assert_rows([replace(row, passes=True, redirected=False) for row in rows if not row.passes], of)

    def without_a_firewall(self) -> None:
        """Opens the box, with each interface forwarding as the whole box does."""
        self.camfw("open")
        # Each interface's forwarding follows a change of the box's; a policy may have turned off one's.
        self.router.write_sysctl("net.ipv4.ip_forward", "0")
        self.router.write_sysctl("net.ipv4.ip_forward", "1")
