"""README.md and docs/, what needs root and a network: the consoles print what they say, and the
recipes let pass what their tables say.

In a ```console block `# camfw …` is run here; `$ camfw …` needs neither and is run by
tests/docs.rs. `…` in a page stands for anything; a number that stands alone for any number, the sum of
a policy for any other, and what parts two columns for as many spaces as their widths take.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from lab import probes
from lab.hosts import Host, Wiring
from netns.case import both_backends
from netns.program import BINARY, ROOT, tools
from netns.recipes import ELSEWHERE, RECIPES, SERVER, Party, RecipeTest, recipes

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Of two recipes: a veth pair stands for the tunnel of a VPN, which another program brings. tests/qemu/test_wireguard.py
# has a real one.
PHONE = Wiring("phone", "wg0", "10.8.0.2", 24, router="10.8.0.1",
               address6="fd00:a::2", router6="fd00:a::1")
GUEST = Wiring("guest", "eth3", "192.168.7.10", 24, router="192.168.7.1",
               address6="fd00:7::10", router6="fd00:7::1")
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


# After the page's own commands: what it says of the two hosts. The camera's server is asked until it is there.
TRIED = '''
ip -n laptop link set lo up
ip netns exec porch python3 -m http.server --bind 192.168.8.11 80 >&2 & porch=$!
ip netns exec laptop python3 -m http.server --bind 192.168.5.50 80 >&2 & laptop=$!
trap 'kill $porch $laptop' EXIT
opens() { ip netns exec $1 python3 -c "import socket; socket.create_connection(('$2', $3), 2)" 2>/dev/null; }
for i in 1 2 3 4 5 6 7 8 9 10; do opens laptop 192.168.8.11 80 && break; sleep 0.3; done
opens laptop 192.168.8.11 80 && echo laptop opens 80
opens laptop 192.168.5.50 80 && echo laptop serves
opens laptop 192.168.8.11 81 || echo laptop opens no 81
opens porch 192.168.5.50 80 || echo porch opens nothing
'''


@both_backends
class TriedApart(unittest.TestCase):
    """The page's way to try the program with nothing but it and iptables."""

    backend: str

    def test_the_page_tries_it_in_namespaces(self) -> None:
        page = (ROOT / "docs/getting-started.md").read_text()
        (block,) = (it for it in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "ip netns add" in it)
        scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
        self.addCleanup(shutil.rmtree, scratch)
        (tools(scratch / "tools", self.backend) / "camfw").symlink_to(BINARY)
        state = [Path("/run/camfw"), Path("/var/lib/camfw")]
        before = [it.exists() and it.stat().st_mtime_ns for it in state]
        # The names of the page's namespaces are not the machine's, and the log stays out of the machine's.
        apart = "mount -t tmpfs none /run\nmount --bind /dev/null /dev/kmsg\n[ ! -e /dev/log ] || mount --bind /dev/null /dev/log\n"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-ec", apart + block + TRIED], cwd=scratch, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "PATH": f"{scratch}/tools:/usr/sbin:/usr/bin:/sbin:/bin"})
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        for line in ("Applied: ", "laptop opens no 81", "porch opens nothing", "laptop opens 80", "laptop serves"):
            self.assertIn(line, done.stderr + done.stdout)
        self.assertRegex(done.stdout, "(?m)^APPLIED")
        self.assertRegex(done.stdout, "(?m)^holds: cam never opens a connection to home")
        self.assertEqual([it.exists() and it.stat().st_mtime_ns for it in state], before)


@both_backends
class Docs(RecipeTest):
    """The pages' commands, and those recipes that need no other hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.drop_in("")
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

    def plug_more(self) -> None:
        """The hosts that two recipes bring."""
        for wiring in (PHONE, GUEST):
            host = Host(wiring)
            self.addCleanup(host.namespace.delete)
            host.plug(self.router)
            self.parties[wiring.name] = Party(host.namespace, wiring.address, wiring.router)
        self.router.ip("link", "set", PHONE.interface, "up")
        self.router.ip("address", "add", f"{PHONE.router}/{PHONE.prefix}", "dev", PHONE.interface)

    def test_each_recipe_lets_pass_what_its_table_says(self) -> None:
        self.plug_more()
        found = [recipe for recipe in recipes() if recipe.title not in ELSEWHERE]
        self.assertGreaterEqual(len(found), 9)
        rows = [row for recipe in found for row in recipe.rows]
        self.listen(rows)
        for recipe in found:
            # The list where it touches nothing of the machine's.
            dropin = recipe.block()
            if LISTS in dropin:
                (self.scratch / "blocklist.txt").write_text(recipe.block("text"))
            self.drop_in(dropin.replace(LISTS, f"@{self.scratch}/"))
            self.camfw("apply")
            self.assert_rows(recipe.rows, recipe.title)
        # The control: without a firewall each of them gets there. The last recipe has neither of the two zones; a
        # route comes with an address that is new.
        self.camfw("open")
        for wiring in (PHONE, GUEST):
            self.router.ip("link", "set", wiring.interface, "up")
            self.router.ip("address", "flush", "dev", wiring.interface)
            self.router.ip("address", "add", f"{wiring.router}/{wiring.prefix}", "dev", wiring.interface)
        self.without_a_firewall()
        self.assert_pass(rows)

    def test_every_recipe_is_carried_out(self) -> None:
        titles = {recipe.title for recipe in recipes()}
        self.assertEqual(set(ELSEWHERE) - titles, set(), "no such recipe")
        for title, test in ELSEWHERE.items():
            with self.subTest(title):
                self.assertIn(f'"{title}"', (ROOT / "tests" / test).read_text())
        # The wishes of the page's list lead to them.
        links = re.findall(r"\]\(#([\w-]+)\)", RECIPES.read_text().split("\n## ")[0])
        named = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        self.assertGreaterEqual(len(links), 10)
        self.assertEqual(set(links) - named, set())
