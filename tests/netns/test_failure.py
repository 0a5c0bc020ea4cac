"""Missing parts of the machine: a clear error names what is missing, and the box is
never open."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import probes
from lab.services import Listener
from netns import program
from netns.case import RouterTest, both_backends
from netns.program import COMMANDS, tools, wrap

RESTORES = ("iptables-restore", "ip6tables-restore")
VERSION = {"legacy": "(legacy)", "nft": "(nf_tables)"}
NOBODY = "65534"


@both_backends
class Failure(RouterTest):
    """Exit code 3, with the box sealed by its tables or by setting its links down."""

    def failing(self, script: str, names: tuple[str, ...] = RESTORES) -> Path:
        """A folder for PATH in which a script replaces these commands. In the script,
        `input` has the input of a restore, and `$*` its arguments."""
        folder = tools(self.scratch / "failing", self.backend)
        for name in names:
            read = "input=$(cat)" if name.endswith("-restore") else "input="
            run = 'real "$@" <<<"$input"' if name.endswith("-restore") else 'real "$@"'
            wrap(folder, name, f"name={name}\n{read}\n{script}\n{run}", self.backend)
        return folder

    def without_raw(self) -> Path:
        """A kernel without the raw table (CONFIG_IP_NF_RAW), as its tools report it."""
        if self.backend == "legacy":
            complaint = "$name v1.8.9 (legacy): $name: unable to initialize table 'raw'"
        else:
            complaint = "$name v1.8.9 (nf_tables): table 'raw' is incompatible, use 'nft' tool."
        return self.failing(f"""
if [[ $input == *\\*raw* || " $* " == *" raw "* ]]; then
    echo "{complaint}" >&2
    exit 2
fi""", tuple(name for name in COMMANDS if not name.endswith("-save")))

    def without_conntrack(self) -> Path:
        """A kernel without xt_conntrack (CONFIG_NETFILTER_XT_MATCH_CONNTRACK)."""
        return self.failing(f"""
if [[ "$input $*" == *"-m conntrack"* ]]; then
    line=$(grep -n -m 1 -e '-m conntrack' <<<"$input" | cut -d: -f1)
    echo "Warning: Extension conntrack revision 0 not supported, missing kernel module?" >&2
    echo "$name v1.8.9 {VERSION[self.backend]}: line ${{line:-1}} failed: No such file or directory." >&2
    exit 4
fi""", tuple(name for name in COMMANDS if not name.endswith("-save")))

    def assert_closed(self, said: str) -> None:
        """Checks that the box is sealed in the reported way: no packet arrives anywhere."""
        if "Sealed: the interfaces are down" not in said:
            self.assert_sealed()
            return
        self.assertEqual(self.forwarding(), "0")
        for interface in ("eth0", "eth1", "eth2"):
            shown = self.router.run(["ip", "-br", "link", "show", interface], check=True).stdout
            self.assertIn(" DOWN ", shown)
        for way, reach in self.crossings(wait=0.5).items():
            self.assertFalse(reach, f"{way}: {reach.detail}")

    def boot_fails(self, path: Path, *words: str) -> None:
        """Checks that boot on an open box exits with 3 and names what is missing."""
        self.lab.configure_router()
        self.assert_open()
        result = self.program.run("boot", path=path)
        self.assertEqual(result.code, 3, str(result))
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assert_closed(result.stderr)

    def apply_fails(self, path: Path, *words: str) -> None:
        """Checks that apply of a changed policy on a running box names what is missing,
        and that the box is sealed or still on the previous policy."""
        self.camfw("boot")
        before = self.tables.snapshot()
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        # A change that makes a load of the raw table necessary.
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')
        result = self.program.run("apply", path=path)
        self.assertIn(result.code, (1, 2, 3), str(result))
        for word in words:
            self.assertIn(word, result.stderr)
        if result.code in (1, 2):
            self.assertEqual(self.tables.snapshot(), before)
        else:
            self.assert_closed(result.stderr)
        with Listener(self.router, tcp=[443]):
            self.assertFalse(probes.tcp(self.laptop, self.lab.address("laptop", "router"), 443, 0.5))

    def test_boot_without_iptables(self) -> None:
        self.boot_fails(tools(self.scratch / "empty", self.backend, COMMANDS), "iptables")

    def test_apply_without_iptables(self) -> None:
        self.apply_fails(tools(self.scratch / "empty", self.backend, COMMANDS), "iptables")

    def test_links_that_are_down_instead_are_a_sealed_box_until_one_is_up(self) -> None:
        self.boot_fails(tools(self.scratch / "empty", self.backend, COMMANDS), "iptables")
        self.assertIn("the interfaces are down", self.camfw("status", expect=3).stdout)
        self.router.ip("link", "set", "eth1", "up")
        self.assertIn("UNSEALED", self.camfw("status", expect=4).stdout)
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, self.lab.address("camera", "router")))

    def test_boot_with_a_path_that_is_not_there(self) -> None:
        self.boot_fails(self.scratch / "nowhere", "iptables")

    def test_boot_without_the_raw_table(self) -> None:
        self.boot_fails(self.without_raw(), "CONFIG_IP_NF_RAW")

    def test_apply_without_the_raw_table(self) -> None:
        self.apply_fails(self.without_raw(), "raw")

    def test_boot_without_conntrack(self) -> None:
        self.boot_fails(self.without_conntrack(), "conntrack")

    def test_apply_without_conntrack(self) -> None:
        self.apply_fails(self.without_conntrack(), "conntrack")

    def test_boot_without_conntrack_and_iptables_restore(self) -> None:
        path = self.without_conntrack()
        for name in RESTORES:
            (path / name).unlink()
        self.boot_fails(path, "conntrack")

    def test_boot_where_ip6tables_cannot_load(self) -> None:
        path = self.failing('''
echo "$name: cannot initialize ip6tables table 'filter'" >&2
exit 3''', ("ip6tables", "ip6tables-restore", "ip6tables-save"))
        self.boot_fails(path, "ip6tables")

    def test_boot_where_a_rule_is_lost_on_the_way(self) -> None:
        # iptables-restore reports success, but one rule is missing.
        path = self.failing("input=$(grep -v 'ctstate INVALID' <<<\"$input\")")
        self.boot_fails(path, "INVALID")

    def test_boot_where_a_rule_is_changed_on_the_way(self) -> None:
        path = self.failing('input=${input//--dport 22/--dport 2222}')
        self.boot_fails(path, "--dport 22 ")

    def test_boot_where_the_tables_cannot_be_read_back(self) -> None:
        path = self.failing('echo "$name: out of memory" >&2; exit 1', ("iptables-save",))
        self.boot_fails(path, "out of memory")

    def test_boot_where_a_command_is_killed(self) -> None:
        path = self.failing('[[ $input == *SPOOFED* ]] && kill -KILL $$')
        self.boot_fails(path, "iptables-restore")

    def test_without_root(self) -> None:
        self.camfw("boot")
        before = self.tables.snapshot()
        # A place that every user can reach and read, so that only root is missing.
        home = self.scratch / "home"
        home.mkdir()
        self.scratch.chmod(0o755)
        binary = home / "camfw"
        shutil.copy(program.BINARY, binary)
        binary.chmod(0o755)
        become = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        for command in ("boot", "apply", "seal", "open"):
            with self.subTest(command):
                result = self.program.run(command, before=become, binary=binary)
                self.assertEqual(result.code, 2, str(result))
                self.assertIn("root", result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertEqual(self.tables.snapshot(), before)
                self.assertEqual(self.forwarding(), "1")
        # Commands that only read the file need no privileges.
        self.assertEqual(self.program.run("check", before=become, binary=binary).code, 0)
        status = self.program.run("status", before=become, binary=binary)
        self.assertNotEqual(status.code, 0, "status cannot see, and does not say that it holds")
