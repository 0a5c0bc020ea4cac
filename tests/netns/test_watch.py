"""camfw watch: detects and reports rules of other programs, and corrects drift if the
file says so."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

from lab import example, probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import BACKENDS, ROOT, multi, wrap
from netns.schema import differences
from netns.tables import Tables

TELNET = ("-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
HINT = "camfw apply brings"


@both_backends
class Watch(RouterTest):
    """Its work on a running box."""

    @contextlib.contextmanager
    def watching(self, more: str = "\n[watch]\ninterval = 1\n") -> Iterator[None]:
        self.program.configure(self.program.config.read_text() + more)
        self.camfw("boot")
        self.program.logged()
        self.heard = ""
        with self.program.watching():
            yield

    def hears(self, *words: str, seconds: float = probes.PATIENCE) -> bool:
        def heard() -> bool:
            self.heard += self.program.logged()
            return all(word in self.heard for word in words)
        return bool(wait_until(heard, seconds))

    def telnet(self, wait: float = 0.5) -> bool:
        return bool(probes.tcp(self.laptop, example.LAPTOP.router, 23, wait))

    def test_a_foreign_rule_is_told_once_and_left(self) -> None:
        with self.watching(), Listener(self.router, tcp=[23]):
            self.assertFalse(self.telnet(), "control")
            self.tables.run("iptables", *TELNET)
            self.assertTrue(self.hears("rule that is not ours: -A INPUT -p tcp -m tcp --dport 23 -j ACCEPT", HINT))
            time.sleep(2.5)
            self.hears("", seconds=0)
            self.assertEqual(self.heard.count("--dport 23"), 1, self.heard)
            self.assertTrue(self.telnet(probes.PATIENCE), "it is still there")
            self.camfw("apply")
            self.assertFalse(self.telnet())

    def test_a_program_reads_what_is_found(self) -> None:
        schemas = {name: json.loads((ROOT / f"docs/{name}.schema.json").read_text()) for name in ("apply", "watch")}
        self.program.configure(self.program.config.read_text() + "\n[watch]\ninterval = 1\n")
        told = json.loads(self.camfw("boot", "--json").stdout)
        self.assertEqual(differences(told, schemas["apply"]), [])
        self.assertEqual((told["exit_code"], told["undone"]), (0, []), told)
        output = self.scratch / "told"
        with output.open("wb") as stdout:
            process = self.program.start("watch", "--json", stdout=stdout.fileno())
        try:
            for count, step in enumerate(((), TELNET, ("-D", *TELNET[1:])), 1):
                if step:
                    self.tables.run("iptables", *step)
                self.assertTrue(wait_until(lambda count=count: len(output.read_text().splitlines()) >= count))
            time.sleep(2.5)
        finally:
            process.kill()
            process.communicate()
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        self.assertEqual([differences(line, schemas["watch"]) for line in lines], [[]] * 3, "told once each")
        found = [" ".join(line["found"]) for line in lines]
        self.assertEqual((found[0], found[2]), ("", ""))
        self.assertIn("--dport 23", found[1])

    def test_a_second_one_says_that_the_first_runs(self) -> None:
        with self.watching():
            self.assertTrue(wait_until(lambda: (self.program.run_folder / "camfw-watch.lock").exists()))
            self.assertIn("camfw watch runs already", self.camfw("watch", expect=1).stderr)
        # It left when it was killed.
        second = self.program.start("watch")
        self.addCleanup(second.communicate)
        self.addCleanup(second.kill)
        time.sleep(1)
        self.assertIsNone(second.poll(), "it runs")

    def test_a_foreign_rule_is_mended_where_the_file_says_so(self) -> None:
        with self.watching('\n[watch]\ninterval = 1\non-drift = "restore"\n'), Listener(self.router, tcp=[23]):
            before = self.tables.snapshot()
            # At once: watch would mend one before the other is there, and never see that.
            both = f"*filter\n:FORWARD ACCEPT [0:0]\n{' '.join(TELNET)}\nCOMMIT\n"
            for _ in range(2):
                self.router.run([self.tables.multi, "iptables-restore", "--noflush"], check=True, input=both)
                self.assertTrue(wait_until(lambda: self.tables.snapshot() == before))
                self.assertTrue(self.hears("--dport 23", "the policy of FORWARD is ACCEPT", "restored"))
                self.assertFalse(self.telnet())
                self.heard = ""

    def test_a_box_that_was_sealed_or_opened_is_left_so(self) -> None:
        with self.watching('\n[watch]\ninterval = 1\non-drift = "restore"\n'):
            self.camfw("seal")
            time.sleep(2.5)
            self.assert_sealed()
            self.camfw("open")
            opened = self.tables.snapshot()
            time.sleep(2.5)
            self.assertEqual(self.tables.snapshot(), opened)
            self.camfw("apply")
            self.tables.run("iptables", *TELNET)
            self.assertTrue(wait_until(lambda: "--dport 23" not in self.tables.snapshot()))

    def test_a_file_that_was_only_edited_is_not_brought_in(self) -> None:
        with self.watching('\n[watch]\ninterval = 1\non-drift = "restore"\n'):
            before = self.tables.snapshot()
            self.change_config('service = "ssh"', 'service = "telnet-like"\n')
            time.sleep(1.5)
            self.change_config('service = "telnet-like"\n', 'service = "https"')
            self.assertTrue(self.hears("the file is not what is in force", HINT))
            self.tables.run("iptables", *TELNET)
            self.assertTrue(wait_until(lambda: self.tables.snapshot() == before))

    def test_an_address_a_route_and_a_setting_come_back(self) -> None:
        # Triggered by the notification, since the interval is a day.
        with self.watching("\n[watch]\ninterval = 86400\n"):
            # Time for its first check, which would correct it too.
            time.sleep(1)
            self.router.ip("address", "flush", "dev", "eth1")
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, example.CAMERA.router, 0.5))))
            self.router.ip("route", "del", "default")
            self.assertTrue(wait_until(
                lambda: "default via 192.168.0.1" in self.router.run(["ip", "route"]).stdout))
            self.camfw("status")
        # Settings have no notifications.
        self.change_config("interval = 86400", "interval = 1")
        with self.watching(""):
            self.router.write_sysctl("net.ipv4.conf.eth1.rp_filter", "0")
            self.assertTrue(wait_until(
                lambda: self.router.read_sysctl("net.ipv4.conf.eth1.rp_filter") == "1"))
            self.assertTrue(self.hears("mended: sysctl net.ipv4.conf.eth1.rp_filter"))
            self.camfw("status")

    def test_what_a_boot_could_not_keep_is_kept_when_the_disk_can_be_written(self) -> None:
        good = self.program.var / "camfw/last-good"
        with self.watching():
            good.parent.rename(good.parent.with_name("away"))
            # Like a disk that is not mounted yet: a file is in the way.
            good.parent.touch()
            self.assertTrue(self.hears("cannot keep the last good policy in /var/lib/camfw"))
            time.sleep(2.5)
            self.hears("", seconds=0)
            self.assertEqual(self.heard.count("cannot keep"), 1, "it is said once")
            good.parent.unlink()
            self.assertTrue(wait_until(good.is_file))


@both_backends
class Others(RouterTest):
    """Rules that our iptables does not show."""

    def setUp(self) -> None:
        super().setUp()
        self.other = next(name for name in BACKENDS if name != self.backend)
        for name in ("iptables", "ip6tables"):
            # What an image with both variants has.
            (self.program.tools / f"{name}-{self.other}-save").symlink_to(multi(self.other))
        self.camfw("boot")
        self.theirs = Tables(self.router, self.other)

    def test_none_is_told_where_there_is_none(self) -> None:
        self.camfw("status")
        # Tables that were inspected and have no effect.
        self.theirs.run("iptables", "-L", "-n")
        self.theirs.run("iptables", "-t", "nat", "-L", "-n")
        self.camfw("status")

    def test_rules_of_the_other_backend_are_told(self) -> None:
        self.assertTrue(probes.ping(self.laptop, example.LAPTOP.router), "control")
        self.theirs.run("iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP")
        self.assertFalse(probes.ping(self.laptop, example.LAPTOP.router, 0.5), "they see the same packets")
        told = self.camfw("status", expect=1).stdout
        whose = "nftables: table ip filter" if self.other == "nft" else "iptables-legacy: table ip filter"
        self.assertIn(f"{whose} sees the same packets: 1 rule, chains ", told)
        self.theirs.run("iptables", "-F")
        self.camfw("status")

    def test_a_policy_of_the_other_backend_is_told(self) -> None:
        self.theirs.run("ip6tables", "-P", "FORWARD", "DROP")
        told = self.camfw("status", expect=1).stdout
        self.assertRegex(told, r"table ip6 filter sees the same packets: 0 rules, .*FORWARD DROP")

    def test_tables_of_nftables_are_told(self) -> None:
        nft = """table inet mine {
            chain here {
                type filter hook input priority -5; policy accept;
                icmp type echo-request drop
            }
        }
        """
        self.router.run(["nft", "-f", "-"], input=nft, check=True)
        self.assertFalse(probes.ping(self.laptop, example.LAPTOP.router, 0.5), "it sees the same packets")
        told = self.camfw("status", expect=1).stdout
        self.assertIn("nftables: table inet mine sees the same packets: 1 rule, chains here;", told)
        self.router.run(["nft", "delete", "table", "inet", "mine"], check=True)
        self.camfw("status")

    def test_chains_that_nft_hooked_into_tables_of_iptables_are_told(self) -> None:
        # iptables-save shows none of them, and says so in a comment alone.
        for table, kind, hook in (("nat", "nat", "prerouting"), ("security", "filter", "input"), ("raw", "filter", "prerouting")):
            with self.subTest(table):
                nft = f"""table ip {table} {{
                    chain here {{
                        type {kind} hook {hook} priority -90; policy accept;
                        tcp dport 80 counter accept
                    }}
                }}
                """
                self.router.run(["nft", "-f", "-"], input=nft, check=True)
                told = self.camfw("status", expect=1).stdout
                self.assertIn(f"nftables: table ip {table} sees the same packets: 1 rule, chains here;", told)
                self.router.run(["nft", "flush", "chain", "ip", table, "here"], check=True)
                self.router.run(["nft", "delete", "chain", "ip", table, "here"], check=True)
                self.camfw("status")

    def test_rules_that_iptables_cannot_show_are_told(self) -> None:
        # Of a table with one iptables-nft-save prints nothing: it was taken for one that nobody touched.
        nft = """table ip nat {
            chain PREROUTING {
                type nat hook prerouting priority dstnat; policy accept;
                fib daddr type local tcp dport 80 redirect to :22
            }
        }
        """
        self.router.run(["nft", "-f", "-"], input=nft, check=True)
        told = self.camfw("status", expect=1).stdout
        if self.backend == "nft":
            self.assertIn("table nat: chain PREROUTING is missing", told)
            proof = self.camfw("prove", "--live", expect=2).said
            self.assertIn("iptables-save could not print all of this table", proof)
            self.camfw("apply")
            self.assertNotIn("redirect", self.router.run(["nft", "list", "table", "ip", "nat"], check=True).stdout)
            self.camfw("status")
            self.camfw("prove", "--live")
        else:
            self.assertIn("nftables: table ip nat sees the same packets: 1 rule, chains PREROUTING;", told)

    def test_a_table_that_nft_made_dormant_is_not_in_force(self) -> None:
        # iptables-nft-save prints it as ever, and no packet meets its rules.
        spoofed = ("-I", "203.0.113.9")
        self.router.write_sysctl("net.ipv4.conf.all.rp_filter", "0")
        for table, opens in (("filter", ()), ("raw", spoofed)):
            for command in ("apply", "seal", "boot"):
                with self.subTest(table=table, command=command):
                    for family in ("ip", "ip6"):
                        self.router.run(["nft", "add", "table", family, table, "{ flags dormant; }"], check=True)
                    if self.backend == "nft":
                        told = self.camfw("status", expect=1).stdout
                        self.assertIn(f"IPv4: table {table} is dormant: none of its rules is in force", told)
                        self.assertIn(f"IPv6: table {table} is dormant: none of its rules is in force", told)
                        self.assertIn("does not hold: ", self.camfw("prove", "--live", expect=1).stdout)
                        if not opens:
                            self.assertTrue(probes.ping(self.camera, example.LAPTOP.address), "control")
                    self.camfw(command)
                    self.camfw("status", expect=3 if command == "seal" else 0)
                    self.assertFalse(probes.ping(self.camera, example.LAPTOP.address, 0.5))
                    self.assertNotIn("dormant", self.router.run(["nft", "list", "table", "ip", "filter"]).stdout
                                     if self.backend == "nft" else "")
                    self.camfw("apply")
                    self.camfw("prove", "--live")

    def test_rules_that_iptables_shows_as_others_are_told(self) -> None:
        # Of a set, a map and what writes into a packet iptables-nft-save prints nothing, and the rest of the rule.
        if self.backend != "nft":
            return
        vmap = f"ip saddr vmap {{ {example.CAMERA.address} : accept }}"
        for rule, passes in (
            (f"insert rule ip filter FORWARD {vmap}", True),
            (f"insert rule ip filter FORWARD counter {vmap}", True),
            ("insert rule ip filter FORWARD counter ip daddr set 192.168.8.111", False),
        ):
            with self.subTest(rule):
                done = self.router.run(["nft", "-f", "-"], input=rule)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(bool(probes.ping(self.camera, example.LAPTOP.address, probes.PATIENCE if passes else 0.5)), passes)
                told = "nftables: table ip filter has what iptables does not show as it is: 1 rule, chains FORWARD;"
                self.assertIn(told, self.camfw("status", expect=1).stdout)
                proof = self.camfw("prove", "--live", expect=1)
                self.assertIn(told, proof.stdout)
                self.router.run(["nft", "flush", "chain", "ip", "filter", "FORWARD"], check=True)
                self.camfw("apply")
                self.camfw("status")
                self.camfw("prove", "--live")

    def test_a_chain_without_a_name_goes_with_its_rule(self) -> None:
        if self.backend != "nft":
            return
        self.router.run(["nft", "-f", "-"], input="insert rule ip filter FORWARD jump { accept; }", check=True)
        self.assertTrue(probes.ping(self.camera, example.LAPTOP.address), "control")
        self.camfw("status", expect=1)
        self.camfw("apply")
        self.assertFalse(probes.ping(self.camera, example.LAPTOP.address, 0.5))
        self.camfw("status")

    def test_a_proof_is_not_of_what_other_tables_do(self) -> None:
        self.camfw("prove", "--live")
        self.router.run(["nft", "-f", "-"], input="""table inet mine {
            chain late { type filter hook postrouting priority 300; ip daddr 192.168.8.110 ip daddr set 192.168.8.111; }
        }""", check=True)
        proof = self.camfw("prove", "--live", expect=1).stdout
        self.assertIn("nftables: table inet mine sees the same packets: 1 rule, chains late;", proof)
        self.assertNotIn("does not hold", proof)
        proven = json.loads(self.camfw("prove", "--live", "--json", expect=1).stdout)
        self.assertFalse(proven["holds"])
        self.assertIn("table inet mine", proven["notes"][0])

    def test_watch_tells_them_too_and_looks_once(self) -> None:
        self.theirs.run("iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP")
        self.program.configure(
            self.program.config.read_text() + '\n[watch]\ninterval = 3600\nmetrics = "/run/camfw-metrics/camfw.prom"\n')
        self.camfw("apply")
        # Which iptables this is is asked for each search, and nowhere else.
        asked = self.scratch / "asked"
        wrap(self.program.tools, "iptables",
             f'[[ "$*" != --version ]] || echo >>"{asked}"\nreal "$@"', self.backend)
        with self.program.watching():
            self.assertTrue(wait_until(lambda: "sees the same packets" in self.program.logged()))
            self.assertIn("camfw_drift", (self.program.run_folder / "camfw-metrics/camfw.prom").read_text())
            self.assertEqual(len(asked.read_text().splitlines()), 1)


class UnreadNft(RouterTest):
    """A program that is to show the other variant's tables, and cannot."""

    backend = "nft"

    def test_what_cannot_be_read_is_told_and_not_taken_for_nothing(self) -> None:
        name = "iptables-legacy-save"
        wrap(self.program.tools, name, 'echo "$name: broken" >&2; exit 1', self.backend)
        self.camfw("boot")
        self.camfw("status")
        Tables(self.router, "legacy").run("iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP")
        told = self.camfw("status", expect=1).stdout
        self.assertIn(f"tables that may see the same packets cannot be read: {name}: ", told)
        self.camfw("prove", "--live", expect=1)
