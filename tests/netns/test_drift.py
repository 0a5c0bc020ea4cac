"""Changes that other programs make to the rules are detected and named."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab import probes
from netns.case import RouterTest, both_backends
from netns.tables import FAMILIES

ADDED = ("-p", "tcp", "--dport", "2323", "-j", "ACCEPT")


@dataclass(frozen=True)
class Change:
    """One iptables command, and the words that `status` must use to report it."""

    what: str
    command: tuple[str, ...]
    names: tuple[str, ...]


def additions(family: str) -> list[Change]:
    """Adds a rule to each table: at the end, at the start, and in a chain of its own."""
    changes = [
        Change(f"{family}: a rule at the end of {chain}", (family, "-A", chain, *ADDED), (chain, "2323"))
        for chain in ("INPUT", "FORWARD", "OUTPUT")
    ]
    changes += [
        Change(f"{family}: a rule before all others", (family, "-I", "INPUT", *ADDED), ("INPUT", "2323")),
        Change(f"{family}: a rule in raw", (family, "-t", "raw", "-I", "PREROUTING", *ADDED),
               ("raw", "PREROUTING", "2323")),
        Change(f"{family}: a rule in mangle",
               (family, "-t", "mangle", "-A", "FORWARD", "-j", "MARK", "--set-mark", "0x17"),
               ("mangle", "FORWARD", "0x17")),
        Change(f"{family}: a rule in nat",
               (family, "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE"),
               ("nat", "POSTROUTING", "MASQUERADE")),
        Change(f"{family}: a rule in security", (family, "-t", "security", "-A", "INPUT", *ADDED),
               ("security", "INPUT", "2323")),
        Change(f"{family}: an empty chain", (family, "-N", "theirs"), ("theirs",)),
        Change(f"{family}: an empty chain in nat", (family, "-t", "nat", "-N", "theirs"), ("nat", "theirs")),
        Change(f"{family}: a rule that the program does not write itself",
               (family, "-A", "INPUT", "-m", "mark", "--mark", "0x7", "-m", "statistic", "--mode", "random",
                "--probability", "0.5", "-j", "ACCEPT"), ("INPUT", "0x7")),
    ]
    changes += [
        Change(f"{family}: the policy of {chain} in {table}",
               (family, "-t", table, "-P", chain, "ACCEPT" if table == "filter" else "DROP"),
               (table, chain, "ACCEPT", "DROP"))
        for table, chain in (("filter", "INPUT"), ("filter", "FORWARD"), ("raw", "PREROUTING"),
                             ("mangle", "FORWARD"))
    ]
    return changes


@both_backends
class Drift(RouterTest):
    """`status` exits with 1 and names the difference; after an `apply` it exits with 0."""

    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.camfw("status")

    def assert_named(self, *words: str, expect: int = 1) -> None:
        """Checks that status exits with 1 and that one of its lines has all the words."""
        said = self.camfw("status", expect=expect).said
        found = any(all(word in line for word in words) for line in said.splitlines())
        self.assertTrue(found, f"{words} in one line of: {said}")

    def assert_mended(self) -> None:
        """Checks that an apply restores the policy."""
        self.camfw("apply")
        self.camfw("status")

    def test_status_holds_while_packets_flow(self) -> None:
        self.assertTrue(probes.ping(self.camera, self.lab.address("camera", "router")))
        self.camfw("status")

    def test_status_changes_nothing(self) -> None:
        self.tables.run("iptables", "-A", "INPUT", *ADDED)
        before = self.tables.snapshot()
        self.camfw("status", expect=1)
        self.assertEqual(self.tables.snapshot(), before)

    def test_ipv4_additions_and_policies(self) -> None:
        self._try(additions("iptables"))

    def test_ipv6_additions_and_policies(self) -> None:
        self._try(additions("ip6tables"))

    def test_comments_of_several_lines(self) -> None:
        # iptables-save prints a newline within quotes unescaped.
        for family in FAMILIES:
            for table, comment in (
                ("filter", "two\nlines"), ("nat", "a\nCOMMIT\n*b"), ("raw", "a\n:b - [0:0]"),
            ):
                with self.subTest(family=family, table=table):
                    commented = ("OUTPUT", "-m", "comment", "--comment", comment, "-j", "ACCEPT")
                    self.tables.run(family, "-t", table, "-A", *commented)
                    try:
                        self.assert_named(table, "OUTPUT")
                        self.assert_mended()
                    finally:
                        # A change that is not undone must not affect the next one.
                        self.tables.run(family, "-t", table, "-F", "OUTPUT")
                        self.camfw("apply")

    def test_output_policy(self) -> None:
        self._try([
            Change("what the router may send", ("iptables", "-P", "OUTPUT", "DROP"), ("OUTPUT", "DROP")),
            Change("what it may send of IPv6", ("ip6tables", "-P", "OUTPUT", "ACCEPT"), ("OUTPUT", "ACCEPT")),
        ])

    def _try(self, changes: list[Change]) -> None:
        for change in changes:
            with self.subTest(change.what):
                self.tables.run(*change.command)
                self.assert_named(*change.names)
                self.assert_mended()

    def test_each_rule_removed(self) -> None:
        tried = 0
        for family in FAMILIES:
            for table in ("raw", "filter"):
                for rule in self.tables.rules(family, table):
                    tried += 1
                    with self.subTest(family=family, removed=rule.rule):
                        self.tables.run(family, "-t", table, *as_delete(rule.rule))
                        self.assert_named(table, rule.rule.split()[1])
                        self.assert_mended()
        self.assertGreater(tried, 20, "rules of the example")

    def test_a_rule_changed(self) -> None:
        # Each rule keeps its position, with one word changed.
        for table, word, other in (
            ("filter", "--dport 22", "--dport 2222"),
            ("filter", "50000:50100", "50000:60000"),
            ("filter", "-i eth2", "-i eth0"),
            ("filter", "--ctstate ESTABLISHED", "--ctstate RELATED,ESTABLISHED"),
            ("raw", "192.168.8.0/24", "192.168.0.0/16"),
            ("raw", "SPOOFED PKT camera", "nothing to see"),
        ):
            with self.subTest(table=table, word=word, other=other):
                self._edit(table, word, other)
                self.assert_named(table, other)
                self.assert_mended()

    def test_two_rules_in_another_order(self) -> None:
        # Accepts packets before their source is checked: the same rules, but another
        # firewall.
        log = next(
            counted.rule for counted in self.tables.rules("iptables", "raw")
            if counted.rule.startswith("-A source-camera ") and " -j LOG " in counted.rule
        )
        self.tables.run("iptables", "-t", "raw", *as_delete(log))
        self.tables.run("iptables", "-t", "raw", *as_arguments(log))
        self.assert_named("raw", "source-camera")
        self.assert_mended()

    def test_everything_flushed(self) -> None:
        for family in FAMILIES:
            with self.subTest(family=family):
                self.tables.run(family, "-F")
                self.camfw("status", expect=1)
                self.assert_mended()

    def test_taken_off_by_open(self) -> None:
        self.camfw("open")
        self.camfw("status", expect=1)
        self.assert_mended()

    def test_another_configuration(self) -> None:
        self.change_config('service = "ssh"', 'service = "https"')
        self.assert_named("edited since it was applied")
        self.assert_mended()

    def test_a_setting_changed(self) -> None:
        for key, value in (
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.eth1.rp_filter", "2"),
            ("net.ipv4.conf.eth1.accept_redirects", "1"),
            ("net.ipv4.conf.all.accept_source_route", "1"),
        ):
            with self.subTest(key):
                self.router.write_sysctl(key, value)
                # A box that does not forward is in another state, which is more than a
                # difference.
                self.assert_named(key, value, expect=3 if key.endswith("ip_forward") else 1)
                self.assert_mended()

    def test_the_network_changed(self) -> None:
        for command, words in (
            ("address del 192.168.8.1/24 dev eth1", ("eth1", "192.168.8.1/24")),
            ("route del default", ("192.168.0.1",)),
            ("route replace default via 192.168.5.10", ("192.168.0.1",)),
            ("link set eth2 down", ("eth2",)),
        ):
            with self.subTest(command):
                self.router.ip(batch=command)
                self.assert_named(*words)
                self.assert_mended()

    def test_an_interface_gone(self) -> None:
        self.router.ip("link", "del", "eth2")
        self.assert_named("eth2")

    def _edit(self, table: str, word: str, other: str) -> None:
        saved = self.tables.run("iptables-save", "-t", table)
        self.assertIn(word, saved)
        self.router.run(
            [str(self.tables.multi), "iptables-restore"], input=saved.replace(word, other, 1), check=True
        )


def as_arguments(rule: str) -> list[str]:
    """Splits a line of iptables-save into arguments; it uses only double quotes."""
    return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', rule)]


def as_delete(rule: str) -> list[str]:
    """The command that deletes the rule in a line of iptables-save."""
    return ["-D", *as_arguments(rule)[1:]]
