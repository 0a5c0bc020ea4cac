"""The box is closed first: the order of the steps of a boot, and what seal and open do."""

from __future__ import annotations

from pathlib import Path

from lab import example, probes, traffic
from lab.capture import Capture
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import tools, wrap
from netns.trace import Event, events, tracing

FORWARDING = "net.ipv4.ip_forward"


@both_backends
class Boot(RouterTest):
    """Tests of boot, seal and open."""

    def trace(self, *arguments: str, path: Path | None = None, expect: int = 0) -> list[Event]:
        """The events of a run, in order."""
        output = self.scratch / "trace"
        self.camfw(*arguments, path=path, before=tracing(output), expect=expect)
        return events(output, self.program.config)

    def test_boot_seals_first_and_forwards_last(self) -> None:
        # Start from an open box, so that each step has something to change.
        self.lab.configure_router(ipv6=True)
        for flush in self.lab.hosts.values():
            self.router.ip("address", "flush", "dev", flush.wiring.interface)
        seen = self.trace("boot")
        text = "\n".join(f"{number}: {event.what} {event.detail}" for number, event in enumerate(seen))

        def place(what: str, detail: str, after: int = 0) -> int:
            for number, event in enumerate(seen):
                if number >= after and event.what == what and detail in event.detail:
                    return number
            self.fail(f"no {what} {detail} from {after} on in:\n{text}")

        off = place("sysctl", f"{FORWARDING}=0")
        self.assertLess(off, place("run", ""), text)
        read = place("read", "")
        for family in ("iptables", "ip6tables"):
            self.assertLess(off, place("run", f"{family}-restore"), text)
            sealed = place("done", f"{family}-restore 0")
            self.assertLess(sealed, read, f"{family} is sealed before the read\n{text}")
        loaded = place("run", "iptables-restore", after=read)
        loaded = place("done", "iptables-restore 0", after=loaded)
        checked = place("done", "iptables-save 0", after=loaded)
        network = place("network", "")
        self.assertLess(checked, network, f"rules are read back before a link is up\n{text}")
        on = place("sysctl", f"{FORWARDING}=1")
        self.assertLess(network, on, text)
        last = max(number for number, event in enumerate(seen) if event.what in ("network", "sysctl", "run"))
        self.assertEqual(on, last, f"forwarding is last\n{text}")
        self.assertNotIn("=1", "".join(
            event.detail for event in seen[:on] if event.detail.startswith(FORWARDING)), text)

    def test_boot_asks_the_kernel_once_what_it_has_closed(self) -> None:
        seen = self.trace("boot")
        runs = [event.detail for event in seen if event.what == "run" and "--test" not in event.detail]
        # Each family is sealed, read, loaded, and read back.
        expected = [f"{family}-{tool}" for family in ("ip6tables", "iptables") for tool in ("restore", "save")]
        started = [Path(run.partition(" ")[0]).name for run in runs]
        self.assertEqual(sorted(started), sorted(2 * expected), runs)

    def test_boot_commits_each_table_once_after_closing(self) -> None:
        path = tools(self.scratch / "counting", self.backend)
        record = self.scratch / "tables"
        for name in ("iptables-restore", "ip6tables-restore"):
            wrap(path, name, f"""
input=$(cat)
[[ " $* " == *" --test "* ]] || grep '^\\*' <<<"$input" | sed 's/^/{name} /' >>{record}
real "$@" <<<"$input"
""", self.backend)
        self.camfw("boot", path=path)
        # The sealed filter table, then what the policy has.
        loaded = sorted(record.read_text().splitlines())
        for name in ("iptables-restore", "ip6tables-restore"):
            self.assertEqual(loaded.count(f"{name} *filter"), 2, loaded)
            self.assertEqual(loaded.count(f"{name} *raw"), 1, loaded)

    def test_both_families_are_closed_at_the_same_time(self) -> None:
        path = tools(self.scratch / "meeting", self.backend)
        for name, other in (("iptables", "ip6tables"), ("ip6tables", "iptables")):
            wrap(path, f"{name}-restore", f"""
touch {self.scratch}/{name}
for ((n = 0; n < 300; n++)); do
    [ ! -e {self.scratch}/{other} ] || break
    sleep 0.01
done
[ -e {self.scratch}/{other} ] || touch {self.scratch}/alone
real "$@"
""", self.backend)
        self.camfw("seal", path=path)
        self.assertTrue((self.scratch / "ip6tables").exists(), "control: both are loaded")
        self.assertFalse((self.scratch / "alone").exists(), "each waits for the other")
        self.assert_sealed()

    def test_a_family_is_closed_whatever_becomes_of_the_other(self) -> None:
        families = ("iptables", "ip6tables")
        for broken, other in (families, reversed(families)):
            for how in ("exit 1", "sleep 3000 & wait"):
                with self.subTest(f"{broken}: {how}"):
                    self.lab.configure_router(ipv6=True)
                    self.camfw("open")
                    self.assertEqual(self.tables.policy(other, "INPUT"), "ACCEPT", "control")
                    path = tools(self.scratch / f"{broken}-{how[:4]}", self.backend)
                    wrap(path, f"{broken}-restore", how, self.backend)
                    result = self.camfw("boot", path=path, expect=3)
                    # Never by the tables alone, where one family is open.
                    self.assertIn("Sealed: the interfaces are down", result.stderr)
                    self.assertNotIn("camfw: Sealed: nothing passes", result.log)
                    for chain in ("INPUT", "FORWARD", "OUTPUT"):
                        self.assertEqual(self.tables.policy(other, chain), "DROP", chain)

    def test_what_another_program_adds_during_boot_is_seen_by_the_check(self) -> None:
        # In a table that the policy does not have, after closing has read it.
        path = tools(self.scratch / "between", self.backend)
        added = self.scratch / "added"
        wrap(path, "iptables-restore", f"""
input=$(cat)
if [[ $input == *SPOOFED* && ! -e {added} ]]; then
    {self.tables.multi} iptables -t mangle -A PREROUTING -j MARK --set-mark 0x1 && touch {added}
    {self.tables.multi} iptables -N theirs
fi
real "$@" <<<"$input"
""", self.backend)
        self.camfw("boot", path=path)
        self.assertTrue(added.exists(), "control")
        self.camfw("status")
        self.assertNotIn("MARK", self.tables.snapshot())
        self.assertNotIn("theirs", self.tables.snapshot())

    def test_the_box_is_sealed_while_the_policy_is_loaded(self) -> None:
        # Every command after the seal sees policy DROP and forwarding off.
        path = tools(self.scratch / "looking", self.backend)
        record = self.scratch / "looks"
        wrap(path, "iptables-restore", f"""
input=$(cat)
if [[ $input == *SPOOFED* ]]; then
    cat /proc/sys/net/ipv4/ip_forward >>{record}
    {self.tables.multi} iptables -S | grep '^-P' >>{record}
    {self.tables.multi} ip6tables -S | grep '^-P' >>{record}
fi
real "$@" <<<"$input"
""", self.backend)
        self.lab.configure_router()
        self.camfw("boot", path=path)
        chains = ("INPUT", "FORWARD", "OUTPUT")
        policies = [f"-P {chain} DROP" for chain in chains]
        self.assertEqual(record.read_text().split("\n"), ["0", *policies, *policies, ""])

    def test_no_forbidden_packet_passes_during_boot_and_apply(self) -> None:
        self.lab.configure_router()
        forbidden = f"src host {example.CAMERA.address}"
        with traffic.Stream(self.camera, example.INTERNET.address, kind=traffic.UDP), \
                traffic.Stream(self.camera, example.INTERNET.address, kind=traffic.SYN, port=80) as second:
            with Capture(self.internet, forbidden) as arrived:
                self.assertGreater(arrived.count(expected=50), 49, "control: an open router lets them pass")
            self.camfw("boot")
            with Capture(self.internet, forbidden) as arrived:
                for command in ("boot", "apply", "boot", "apply", "boot", "seal", "boot", "apply", "seal"):
                    self.camfw(command)
                self.assertEqual(arrived.count(), 0, arrived.packets[:5])
            self.assertTrue(second.running, "the camera sent the whole time")

    def test_boot_of_a_fresh_box(self) -> None:
        result = self.camfw("boot")
        self.assertIn("camfw: Sealed", result.log)
        self.assertIn("camfw: Applied", result.log)
        self.assertLess(result.log.index("Sealed"), result.log.index("Applied"))
        self.assertEqual(self.forwarding(), "1")
        self.camfw("status")
        shown = self.router.run(["ip", "-o", "-4", "address", "show", "up"], check=True).stdout
        for wiring in example.WIRINGS:
            self.assertIn(f"{wiring.interface}    inet {wiring.router}/{wiring.prefix} ", shown)
        routes = self.router.run(["ip", "route"], check=True).stdout
        self.assertIn("default via 192.168.0.1 dev eth0", routes)

    def test_boot_on_a_box_that_runs_another_policy(self) -> None:
        self.lab.configure_router()
        for family in ("iptables", "ip6tables"):
            self.tables.run(family, "-A", "INPUT", "-j", "ACCEPT")
            self.tables.run(family, "-N", "theirs")
            self.tables.run(family, "-A", "theirs", "-j", "ACCEPT")
            self.tables.run(family, "-A", "FORWARD", "-j", "theirs")
            self.tables.run(family, "-t", "mangle", "-A", "PREROUTING", "-j", "MARK", "--set-mark", "0x1")
        self.camfw("boot")
        self.camfw("status")
        self.assertNotIn("theirs", self.tables.snapshot())
        self.assertNotIn("MARK", self.tables.snapshot())

    def test_boot_on_a_box_whose_rules_read_oddly(self) -> None:
        # A comment may contain any text, and iptables-save prints a newline unescaped.
        self.lab.configure_router()
        for table, chain in (("raw", "PREROUTING"), ("mangle", "FORWARD"), ("filter", "INPUT")):
            self.tables.run("iptables", "-t", table, "-A", chain, "-m", "comment",
                            "--comment", f'a "{table}"\nCOMMIT', "-j", "ACCEPT")
        self.camfw("boot")
        self.camfw("status")

    def test_boot_where_run_cannot_be_written(self) -> None:
        # At S01, the root file system may still be read-only.
        read_only = "/bin/mount -t tmpfs -o ro none /run; exec \"$@\""
        result = self.camfw("boot", before=["/bin/sh", "-c", read_only, "sh"], expect=1)
        self.assertIn("Applied: ", result.stderr)
        self.assertIn("cannot keep what is in force in /run/camfw", result.stderr)
        self.assertEqual(self.forwarding(), "1")
        self.assertIn("UNKNOWN; no camfw command has run", self.camfw("status", expect=1).stdout)

    def test_killed_in_the_middle_of_boot_it_leaves_the_box_sealed(self) -> None:
        path = tools(self.scratch / "slow", self.backend)
        reached = self.scratch / "reached"
        wrap(path, "iptables-restore", f"""
input=$(cat)
if [[ $input == *SPOOFED* ]]; then touch {reached}; sleep 60; exit 1; fi
real "$@" <<<"$input"
""", self.backend)
        self.lab.configure_router()
        self.assert_open()
        process = self.program.start("boot", path=path)
        self.assertTrue(probes.wait_until(reached.exists), "boot comes to the load")
        process.kill()
        process.communicate()
        # The IPv6 tables are loaded in parallel; they let the loopback through.
        self.assert_sealed(loopback=True)

    def test_seal_closes_everything(self) -> None:
        self.lab.configure_router()
        self.assert_open()
        self.camfw("seal")
        self.assert_sealed()

    def test_seal_cuts_established_flows(self) -> None:
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), self.laptop.socket() as flow:
            flow.settimeout(probes.PATIENCE)
            flow.connect((example.CAMERA.address, 80))
            flow.sendall(b"control")
            self.assertEqual(flow.recv(100), b"control")
            self.camfw("seal")
            flow.settimeout(1)
            flow.sendall(b"after")
            with self.assertRaises(TimeoutError):
                flow.recv(100)

    def test_seal_without_a_configuration(self) -> None:
        self.camfw("boot")
        self.program.config.unlink()
        self.camfw("seal")
        self.assert_sealed()

    def test_seal_without_iptables_restore(self) -> None:
        path = tools(self.scratch / "without", self.backend, ("iptables-restore", "ip6tables-restore"))
        self.camfw("boot")
        self.camfw("seal", path=path)
        self.assert_sealed()

    def test_apply_opens_what_was_sealed(self) -> None:
        self.camfw("boot")
        before = self.tables.snapshot()
        self.camfw("seal")
        self.assertNotEqual(self.tables.snapshot(), before)
        self.camfw("apply")
        self.assertEqual(self.tables.snapshot(), before)
        self.assertEqual(self.forwarding(), "1")

    def test_open_takes_the_firewall_off(self) -> None:
        self.camfw("boot")
        self.assertFalse(probes.ping(self.camera, example.LAPTOP.address, 0.5), "control")
        self.camfw("open")
        self.assert_open()
        for family in ("iptables", "ip6tables"):
            saved = self.tables.save(family)
            self.assertNotIn("-A ", saved)
            self.assertNotIn("DROP", saved)

