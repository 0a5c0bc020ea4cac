"""Apply on a running box: what changes, what stays, and which traffic is affected."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from pathlib import Path

from lab import example, probes
from lab.losses import NOTHING, Losses
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import COMMANDS, ROOT, tools, wrap
from netns.schema import differences
from netns.tables import meant

SSH_ALLOW = '''from    = "private"
to      = "router"
service = "ssh"'''
HTTP_ALLOW = '''from    = "private"
to      = "camera"
service = "http"'''


@both_backends
class Apply(RouterTest):
    """Applies the same policy again, another policy, and one with other routes."""

    def recording(self) -> tuple[Path, Path]:
        """A folder for PATH whose commands also record that they ran, and in which
        namespace."""
        folder = tools(self.scratch / "recording", self.backend)
        record = self.scratch / "record"
        record.touch()
        for name in COMMANDS:
            wrap(folder, name, f'echo "{name} $*" >>{record}\nreal "$@"', self.backend)
        return folder, record

    def network(self) -> str:
        """The links that are up, the addresses and the routes, as printed by ip."""
        shown = (("-o", "-4", "address", "show", "up"), ("-4", "route", "show", "table", "all"))
        return "\n".join(self.router.run(["ip", *what], check=True).stdout for what in shown)

    def test_a_second_apply_changes_nothing(self) -> None:
        path, record = self.recording()
        self.camfw("boot", path=path)
        self.assertIn("iptables-restore", record.read_text(), "control: the recording sees the load")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "so that counters are not 0")
        tables, network = self.tables.snapshot(), self.network()
        counted = self.tables.rules("iptables")
        self.assertTrue(any(rule.packets for rule in counted))
        record.write_text("")
        with Changes(self.router) as changes:
            changes.settle()
            self.camfw("apply", path=path)
            self.assertEqual(changes.seen(), [], "links, addresses and routes changed")
        self.assertEqual(self.tables.snapshot(), tables)
        self.assertEqual(self.tables.rules("iptables"), counted, "rules are the same, counters too")
        self.assertEqual(self.network(), network)
        for line in record.read_text().splitlines():
            self.assertRegex(line, r"^ip6?tables(-save\b| .*(-S|-L|--list)\b)", "only reads")

    def test_the_recording_of_changes_sees_one(self) -> None:
        # The control of the case above.
        with Changes(self.router) as changes:
            self.camfw("boot")
            self.assertNotEqual(changes.seen(), [])

    def told(self, *arguments: str, expect: int = 0) -> dict[str, list[str]]:
        """What an apply says to a program."""
        value = json.loads(self.camfw("apply", *arguments, "--json", expect=expect).stdout)
        schema = json.loads((ROOT / "docs/apply.schema.json").read_text())
        self.assertEqual(differences(value, schema), [])
        self.assertEqual(value["exit_code"], expect)
        assert isinstance(value, dict)
        return value

    def test_a_dry_run_tells_what_an_apply_then_makes(self) -> None:
        counts = []
        for step in ("on an open box", "of another policy", "of the same"):
            if step == "of another policy":
                self.change_config(SSH_ALLOW, SSH_ALLOW.replace('"ssh"', '["ssh", "http"]'))
            before = self.tables.snapshot(), self.network(), self.forwarding()
            with Changes(self.router) as changes:
                changes.settle()
                would = self.told("--dry-run")
                self.assertEqual(changes.seen(), [], "links, addresses and routes changed")
            self.assertEqual((self.tables.snapshot(), self.network(), self.forwarding()), before, step)
            made = self.told()
            # What is told beside: each rule of a table, and that connections end.
            each = [line for line in would["changes"] if ": table " not in line or line.endswith(" loaded")]
            each = [line for line in each if not line.startswith("connections ")]
            self.assertLessEqual(set(made["changes"]), set(each), step)
            # The kernel itself gives a setting of all interfaces to each.
            for line in set(each) - set(made["changes"]):
                self.assertRegex(line, r"^sysctl net\.ipv4\.conf\.\w+\.\w+ = \d+$")
                key, value = line.removeprefix("sysctl ").split(" = ")
                self.assertEqual(self.router.read_sysctl(key), value, line)
            counts.append(len(each))
        self.assertGreater(counts[0], counts[1])
        self.assertEqual((counts[1], counts[2]), (1, 0), "one table, and nothing")
        self.camfw("apply", "--dry-run", "--confirm", "60", expect=2)

    def test_without_iptables_restore_the_same_tables_are_left(self) -> None:
        without = tools(self.scratch / "without", self.backend, ("iptables-restore", "ip6tables-restore"))
        self.camfw("boot")
        restored, network = self.tables.snapshot(), self.network()
        self.assertIn("SPOOFED PKT camera ", restored)
        self.camfw("open")
        self.assertNotEqual(self.tables.snapshot(), restored, "control")
        self.camfw("boot", path=without)
        self.assertEqual(self.tables.snapshot(), restored)
        self.assertEqual(self.network(), network)

    def test_without_iptables_restore_on_a_fresh_box(self) -> None:
        without = tools(self.scratch / "without", self.backend, ("iptables-restore", "ip6tables-restore"))
        self.camfw("boot", path=without)
        appended = self.tables.snapshot()
        self.camfw("status", path=without)
        self.camfw("boot")
        self.assertEqual(self.tables.snapshot(), appended)

    def test_an_apply_without_iptables_restore_of_a_changed_policy(self) -> None:
        without = tools(self.scratch / "without", self.backend, ("iptables-restore", "ip6tables-restore"))
        self.camfw("boot", path=without)
        self.change_config(SSH_ALLOW, SSH_ALLOW.replace("ssh", "https"))
        self.camfw("apply", path=without)
        appended = self.tables.snapshot()
        self.camfw("boot")
        self.assertEqual(self.tables.snapshot(), appended)

    def test_boot_after_boot_leaves_the_same_tables(self) -> None:
        self.camfw("boot")
        first = self.tables.snapshot()
        self.camfw("boot")
        self.assertEqual(self.tables.snapshot(), first)

    def test_apply_replaces_rules_of_others(self) -> None:
        self.camfw("boot")
        wanted = meant(self.tables.snapshot())
        self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
        self.tables.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
        self.tables.run("ip6tables", "-P", "FORWARD", "ACCEPT")
        self.tables.run("iptables", "-N", "theirs")
        self.assertNotEqual(meant(self.tables.snapshot()), wanted, "control")
        self.camfw("apply")
        self.assertEqual(meant(self.tables.snapshot()), wanted)

    def test_applies_at_the_same_time_wait_for_each_other(self) -> None:
        self.camfw("boot")
        running = [self.program.start("apply") for _ in range(4)]
        for process in running:
            _, stderr = process.communicate(timeout=600)
            self.assertEqual(process.returncode, 0, stderr)
        self.camfw("status")
        self.assertEqual(self.forwarding(), "1")

    def test_a_boot_ends_what_is_under_way_and_opens_the_box(self) -> None:
        # A boot closes the box even if other commands are running. A command that
        # started before the boot must not open it, and must say so; the last command
        # wins.
        running = [self.program.start(command) for command in ("boot", "apply", "apply", "boot")]
        codes = []
        for process in running:
            _, stderr = process.communicate(timeout=600)
            codes.append(process.returncode)
            if process.returncode != 0:
                self.assertEqual(process.returncode, 3, stderr)
                self.assertIn(b"the box was sealed meanwhile", stderr)
        self.assertIn(0, [codes[0], codes[-1]], "one of the boots came last")
        self.camfw("status")
        self.assertEqual(self.forwarding(), "1")

    def test_an_established_flow_survives_a_changed_policy(self) -> None:
        # The flow is allowed before and after the change, which is to other rules.
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), Listener(self.router, tcp=[22, 443]):
            self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router, 22), "control")
            self.assertFalse(probes.tcp(self.laptop, example.LAPTOP.router, 443, 0.5), "control")
            hosts = self.lab.hosts
            losses = Losses(self.tables.multi, hosts["laptop"], hosts["camera"], 80, self.router)
            with Talk(self.laptop, example.CAMERA.address, 80) as talk:
                for service in ("https", "ssh", "https"):
                    text = self.program.config.read_text()
                    for old in ("ssh", "https"):
                        text = text.replace(SSH_ALLOW.replace("ssh", old), SSH_ALLOW.replace("ssh", service))
                    self.program.configure(text)
                    self.camfw("apply")
                    talk.assert_goes_on(self)
                talk.stop()
                self.assertEqual(talk.error, "")
                self.assertGreater(talk.exchanged, 30)
                probes.wait_until(lambda: losses.lost() == NOTHING)
                self.assertEqual(losses.lost(), NOTHING, "not one packet of the flow was lost")
            # The change is in force.
            self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router, 443))
            self.assertFalse(probes.tcp(self.laptop, example.LAPTOP.router, 22, 0.5))

    def test_what_is_no_longer_allowed_is_refused_to_new_flows(self) -> None:
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]):
            self.assertTrue(probes.tcp(self.laptop, example.CAMERA.address, 80), "control")
            self.change_config(HTTP_ALLOW, HTTP_ALLOW.replace('to      = "camera"', 'to      = "router"'))
            self.camfw("apply")
            self.assertFalse(probes.tcp(self.laptop, example.CAMERA.address, 80, 0.5))

    def test_masquerade_and_its_exception_when_they_are_on(self) -> None:
        text = self.program.config.read_text()
        text = text.replace("enabled = false", "enabled = true")
        text += ('\n[[allow]]\nfrom = "camera"\nto = "external"\nservice = "smtp"\n'
                 '\n[[exceptions]]\nfrom = "camera"\nto = "external"\nservice = "smtp"\n')
        with Listener(self.internet, tcp=[25, 80]):
            self.camfw("boot")
            self.assertFalse(probes.tcp(self.camera, example.INTERNET.address, 25, 0.5), "control")
            self.program.configure(text)
            self.camfw("apply")
            self.assertTrue(probes.tcp(self.camera, example.INTERNET.address, 25))
            self.assertFalse(probes.tcp(self.camera, example.INTERNET.address, 80, 0.5))
            self.assertGreater(self.tables.packets("nat", "POSTROUTING", "MASQUERADE"), 0)

    def test_apply_on_a_fresh_box(self) -> None:
        self.camfw("apply")
        self.camfw("status")
        self.assertEqual(self.forwarding(), "1")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))

    def test_hosts_beyond_the_gateway(self) -> None:
        # A host on the internet, beyond the host that is the gateway.
        beyond = "9.9.9.9"
        self.internet.ip("address", "add", f"{beyond}/32", "dev", "lo")
        self.camfw("boot")
        with Listener(self.internet, tcp=[80]):
            self.assertTrue(probes.tcp(self.laptop, beyond, 80), "the web")
            self.assertFalse(probes.tcp(self.camera, beyond, 80, 0.5), "not for cameras")
        reach = probes.ping(self.internet, example.INTERNET.router, probes.PATIENCE, "-I", beyond)
        self.assertTrue(reach, reach.detail)

    def test_what_only_shows_touches_nothing(self) -> None:
        path, record = self.recording()
        before, network = self.tables.snapshot(), self.network()
        for command in (("check",), ("show", "rules"), ("show", "network"), ("show", "sysctls")):
            with self.subTest(command=command):
                self.camfw(*command, path=path)
        self.assertEqual(record.read_text(), "", "no iptables command ran")
        self.assertEqual(self.tables.snapshot(), before)
        self.assertEqual(self.network(), network)


# Longer than link_watch waits.
QUIET_SECONDS = 1.5
# Multicast groups of rtnetlink (linux/rtnetlink.h, RTMGRP_*): links, and addresses,
# routes and rules of both families.
CHANGE_GROUPS = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400


class Changes:
    """The kernel's notifications of changed links, addresses and routes, from now on. A
    context manager."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        self._socket.bind((0, CHANGE_GROUPS))
        self._socket.setblocking(False)

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def settle(self) -> None:
        """Waits for what links that came up before still have to tell: the kernel sends it once a second
        (net/core/link_watch.c), and of an IPv6 address when nobody answered for it (RFC 4862, 5.4)."""
        deadline = time.monotonic() + probes.PATIENCE
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_SECONDS and time.monotonic() < deadline:
            time.sleep(0.1)
            tentative = self._namespace.run(["ip", "-6", "address", "show", "tentative"], check=True).stdout
            if self.seen() or tentative:
                quiet_since = time.monotonic()

    def seen(self) -> list[str]:
        """The type of each message, as a number of linux/rtnetlink.h."""
        types: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                message = self._socket.recv(65536)
                types.append(f"RTM {struct.unpack_from('=H', message, 4)[0]}")
        return types


class Talk:
    """A TCP flow that repeatedly sends data and waits for the echo.

    A context manager, which closes the flow at its end.
    """

    def __init__(self, source: Namespace, target: str, port: int) -> None:
        self.exchanged = 0
        self.error = ""
        self._flow = source.socket()
        self._flow.settimeout(probes.PATIENCE)
        self._flow.connect((target, port))
        self._running = True
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._flow.close()

    def stop(self) -> None:
        """Stops sending; the flow stays open."""
        self._running = False
        self._thread.join()

    def assert_goes_on(self, case: RouterTest) -> None:
        """Checks that further exchanges take place after this call."""
        enough = self.exchanged + 10
        case.assertTrue(probes.wait_until(lambda: self.exchanged > enough), self.error)

    def _talk(self) -> None:
        try:
            while self._running:
                self._flow.sendall(b"x")
                if self._flow.recv(1) != b"x":
                    raise ConnectionError("closed by the far side")
                self.exchanged += 1
        except OSError as error:
            self.error = str(error) or type(error).__name__
