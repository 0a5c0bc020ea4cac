"""README.md and docs/, what needs root and a network: the consoles print what they say, and the
recipes let pass what their tables say.

In a ```console block `# camfw …` is run here; `$ camfw …` needs neither and is run by
tests/docs.rs. `…` in a page stands for anything; a number that stands alone for any number, the sum of
a policy for any other, and what parts two columns for as many spaces as their widths take.
"""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import probes
from lab.hosts import Host, Wiring
from lab.namespace import Namespace
from lab.probes import Reach
from lab.services import Listener
from netns.case import both_backends
from netns.dhcp import DhcpTest
from netns.program import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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
# Of two recipes: a veth pair stands for the tunnel of a VPN, which another program brings. tests/qemu/test_wireguard.py
# has a real one.
PHONE = Wiring("phone", "wg0", "10.8.0.2", 24, router="10.8.0.1",
               address6="fd00:a::2", router6="fd00:a::1")
GUEST = Wiring("guest", "eth3", "192.168.7.10", 24, router="192.168.7.1",
               address6="fd00:7::10", router6="fd00:7::1")
SERVER = "203.0.113.7"
# What the pages say that the router was leased.
LEASED = "192.168.0.60"
# Where the recipes have lists of addresses.
LISTS = "@/etc/camfw/"


def commands(page: Path) -> list[tuple[int, str, str]]:
    """The line, the command and the expected output of each `# camfw …` in the page."""
    found: list[tuple[int, str, list[str]]] = []
    console = current = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            console, current = line == "```console", False
        elif console and line.startswith(("# ", "$ ")):
            current = line.startswith("# ")
            if current:
                found.append((number, line[2:], []))
        elif console and current:
            found[-1][2].append(line)
    return [(number, command, "\n".join(told)) for number, command, told in found]


# What each run prints otherwise: each group, with the pattern for it.
VARIES = re.compile(r"(…)|(?<![\w.:/-])(\d+)(?![\w.:/-])|\b([0-9a-f]{12})\b|( {2,})")
PATTERNS = (".*", r"\d+", "[0-9a-f]{12}", " {2,}")


def matches(told: str, printed: str) -> bool:
    """Whether the output is what the page says, but for what varies."""
    pattern, end, told = "", 0, told.strip()
    for found in VARIES.finditer(told):
        pattern += re.escape(told[end:found.start()]) + PATTERNS[(found.lastindex or 1) - 1]
        end = found.end()
    return re.fullmatch(pattern + re.escape(told[end:]), printed.strip(), re.DOTALL) is not None


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
    text: str
    rows: tuple[Row, ...]
    # The list of addresses that it names.
    listed: str


def recipes() -> list[Recipe]:
    """Those with a table."""
    found = []
    for section in RECIPES.read_text().split("\n## ")[1:]:
        block = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
        assert block is not None, section
        listed = re.search(r"```text\n(.*?)```", section, re.DOTALL) if LISTS in block[1] else None
        rows = tuple(
            Row(source, target, protocol, int(port), passes != "no", passes == "router")
            for source, target, protocol, port, passes in re.findall(
                r"^\| (\w+) \| (\w+) \| (tcp|udp) (\d+) \| (yes|no|router) \|$", section, re.MULTILINE)
        )
        # No row is lost: a table has a line of heads and one of dashes.
        assert len(rows) == max(0, len(re.findall(r"^\|", section, re.MULTILINE)) - 2), section
        if rows:
            found.append(Recipe(section.splitlines()[0], block[1], rows, listed[1] if listed else ""))
    return found


@both_backends
class Docs(DhcpTest):
    """A router with the page's file; the porch's camera, the house with the recorder, the internet."""

    wirings = (INTERNET, PORCH, HOUSE)

    def setUp(self) -> None:
        super().setUp()
        self.listeners: dict[str, Listener] = {}
        self.more: dict[str, Namespace] = {}
        self.camera.ip("link", "set", "eth0", "address", PORCH_MAC)
        self.laptop.ip("address", "add", f"{RECORDER}/24", "dev", "eth0")
        self.program.configure(FILE.read_text())
        self.internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
        self.boot_with_a_lease()

    def recorded(self) -> bool:
        """Whether the camera's call abroad, made again each time, is recorded."""
        probes.tcp(self.camera, SERVER, 443, wait=0.2)
        return SERVER in self.program.run("blocked").stdout

    def test_each_command_prints_what_its_page_says(self) -> None:
        tried = 0
        watch = self.program.start("watch")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.terminate)
        self.assertTrue(probes.wait_until(self.recorded), "the record has what the camera tried")
        for page in PAGES:
            for number, command, told in commands(page):
                with self.subTest(page=page.name, line=number, command=command):
                    program, *arguments = shlex.split(command)
                    self.assertEqual(program, "camfw")
                    result = self.program.run(*arguments)
                    # As on a box: the file is at its place; and the lease as the page has it.
                    printed = (result.stderr + result.stdout).replace(str(self.program.config.parent), "/etc/camfw")
                    printed = printed.replace(f"{self.leased()}/24", f"{LEASED}/24")
                    self.assertTrue(matches(told, printed), f"it printed:\n{printed}\nexit {result.code}")
                    tried += 1
        self.assertGreaterEqual(tried, 6)

    def attempt(self, row: Row) -> Reach:
        """Tries a row's connection."""
        sources: dict[str, Namespace] = {
            "porch": self.camera, "house": self.laptop, "recorder": self.laptop,
            "internet": self.internet, "router": self.router, **self.more,
        }
        routers = {"porch": PORCH.router, "house": HOUSE.router, "recorder": HOUSE.router, "internet": self.leased(),
                   "phone": PHONE.router, "guest": GUEST.router}
        targets = {"porch": PORCH.address, "house": HOUSE.address, "recorder": RECORDER, "internet": SERVER,
                   "phone": PHONE.address, "guest": GUEST.address,
                   "router": routers.get(row.source, ""), "outside": self.leased()}
        wait = probes.PATIENCE if row.passes else 2.0
        source, target = sources[row.source], targets[row.target]
        arrived_at = self.listeners["router" if row.redirected or row.target == "outside" else row.target]
        if row.protocol == "tcp":
            reach = probes.tcp(source, target, row.port, wait)
            # The kernel connects before the listener takes the connection.
            there = not row.redirected or probes.wait_until(lambda: arrived_at.accepted[row.port] > 0)
            return reach if there else Reach(False, "connected to another host")
        return probes.udp(source, target, row.port, arrived_at.received, wait)

    def plug_more(self) -> None:
        """The hosts that two recipes bring."""
        for wiring in (PHONE, GUEST):
            host = Host(wiring)
            self.addCleanup(host.namespace.delete)
            host.plug(self.router)
            self.more[wiring.name] = host.namespace
        self.router.ip("link", "set", PHONE.interface, "up")
        self.router.ip("address", "add", f"{PHONE.router}/{PHONE.prefix}", "dev", PHONE.interface)

    def test_each_recipe_lets_pass_what_its_table_says(self) -> None:
        # The house's traffic is the recorder's where the row says so.
        self.laptop.ip("route", "add", f"{PORCH.address}/32", "via", HOUSE.router, "src", RECORDER)
        self.plug_more()
        found = recipes()
        self.assertGreaterEqual(len(found), 9)
        rows = [row for recipe in found for row in recipe.rows]
        tcp = {row.port for row in rows if row.protocol == "tcp"}
        udp = {row.port for row in rows if row.protocol == "udp"}
        hosts = {"router": self.router, "porch": self.camera, "house": self.laptop, "internet": self.internet,
                 **self.more}
        for name, host in hosts.items():
            self.listeners[name] = Listener(host, sorted(tcp), sorted(udp))
            self.addCleanup(self.listeners[name].stop)
        self.listeners["recorder"] = self.listeners["house"]
        folder = self.program.config.with_suffix(".d")
        folder.mkdir(exist_ok=True)
        for recipe in found:
            # The list where it touches nothing of the machine's.
            (self.scratch / "blocklist.txt").write_text(recipe.listed)
            (folder / "recipe.toml").write_text(recipe.text.replace(LISTS, f"@{self.scratch}/"))
            self.camfw("apply")
            with ThreadPoolExecutor(len(recipe.rows)) as pool:
                for row, reach in zip(recipe.rows, pool.map(self.attempt, recipe.rows), strict=True):
                    with self.subTest(recipe=recipe.title, row=row):
                        self.assertEqual(bool(reach), row.passes, reach.detail)
        # The control: without a firewall each of them gets there.
        self.camfw("open")
        # The last recipe has neither of the two zones; a route comes with an address that is new.
        for wiring in (PHONE, GUEST):
            self.router.ip("link", "set", wiring.interface, "up")
            self.router.ip("address", "flush", "dev", wiring.interface)
            self.router.ip("address", "add", f"{wiring.router}/{wiring.prefix}", "dev", wiring.interface)
        # Each interface's forwarding follows a change of it; the last recipe had turned off two.
        self.router.write_sysctl("net.ipv4.ip_forward", "0")
        self.router.write_sysctl("net.ipv4.ip_forward", "1")
        refused = [row for row in rows if not row.passes]
        with ThreadPoolExecutor(len(refused)) as pool:
            opened = [Row(row.source, row.target, row.protocol, row.port, True) for row in refused]
            for row, reach in zip(opened, pool.map(self.attempt, opened), strict=True):
                with self.subTest("without a firewall", row=row):
                    self.assertTrue(reach, reach.detail)
