"""Invalid configurations are refused with one line, and nothing of them is applied."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab import example, probes
from netns.case import RouterTest, both_backends
from netns.program import EXAMPLE, Result

NAME_40 = "a" * 40
NOBODY = 65534


def replaced(old: str, new: str) -> Callable[[str], bytes]:
    """The example with one part replaced."""
    def make(example: str) -> bytes:
        if old not in example:
            raise AssertionError(f"{old!r} is not in the example")
        return example.replace(old, new).encode()

    return make


def appended(text: str) -> Callable[[str], bytes]:
    """The example with something appended."""
    return lambda example: f"{example}\n{text}\n".encode()


def service(ports: str) -> Callable[[str], bytes]:
    """The example with an additional service on these ports."""
    return appended(f"[services.mine]\n{ports}")


CAMERA_ADDRESS = 'address   = "192.168.8.1/24"'

# Files that are not a policy.
BAD: dict[str, Callable[[str], bytes]] = {
    "an unknown key": appended("[ipv7]\nmode = 1"),
    "an unknown key in a zone": replaced('role      = "camera"', 'role      = "camera"\nrules = "none"'),
    "a key given twice": replaced(CAMERA_ADDRESS, f"{CAMERA_ADDRESS}\n{CAMERA_ADDRESS}"),
    "a value of another type": replaced(CAMERA_ADDRESS, "address = 5"),
    "an address over 255": replaced("192.168.8.1/24", "192.168.8.256/24"),
    "a name for an address": replaced("192.168.8.1/24", "camera.example/24"),
    "an address without its prefix": replaced("192.168.8.1/24", "192.168.8.1"),
    "a prefix over 32": replaced("192.168.8.1/24", "192.168.8.1/33"),
    "an IPv6 address": replaced("192.168.8.1/24", "fd00::1/64"),
    "the network's own address": replaced("192.168.8.1/24", "192.168.8.0/24"),
    "the broadcast address": replaced("192.168.8.1/24", "192.168.8.255/24"),
    "zones that are the same network": replaced("192.168.8.1/24", "192.168.5.1/24"),
    "zones that overlap": replaced("192.168.8.1/24", "192.168.8.1/16"),
    "zones that share an interface": replaced('"eth1"', '"eth2"'),
    "a gateway outside its network": replaced('gateway   = "192.168.0.1"', 'gateway = "10.0.0.1"'),
    "an unknown zone": replaced('to      = "camera"', 'to      = "camra"'),
    "an unknown service": replaced('service = "ssh"', 'service = "shh"'),
    "an unknown role": replaced('role      = "camera"', 'role      = "friend"'),
    "port 0": service("tcp = [0]"),
    "port 70000": service("tcp = [70000]"),
    "a port below 0": service("udp = [-1]"),
    "a passive range up to 70000": replaced("50000-50100", "50000-70000"),
    "a passive range backwards": replaced("50000-50100", "50100-50000"),
    "a zone's name too long for a chain": replaced("[zones.camera]", f"[zones.{NAME_40}]"),
    "a log prefix too long": replaced('rate = "10/minute"', f'rate = "10/minute"\nprefix = "{NAME_40}"'),
    "a rate of nothing": replaced('rate = "10/minute"', 'rate = "0/minute"'),
    "a rate that is a word": replaced('rate = "10/minute"', 'rate = "often"'),
    "an interface's name too long": replaced('"eth1"', '"averyverylongif0"'),
    "an interface's wildcard": replaced('"eth1"', '"eth+"'),
    "a path for an interface": replaced('"eth1"', '"../eth1"'),
    "a quote in an interface": replaced('"eth1"', r'"eth\"1"'),
    "a newline in an interface": replaced('"eth1"', r'"eth1\n-A INPUT -j ACCEPT"'),
    "a quote in a zone's name": replaced("[zones.camera]", r'[zones."cam\"era"]'),
    "a newline in a zone's name": replaced("[zones.camera]", r'[zones."camera\nCOMMIT"]'),
    "a quote in a service's name": replaced("[services.ftp]", r'[services."f\"tp"]'),
    "a newline in an allow line": replaced('service = "ssh"', r'service = "ssh\nhttp"'),
    "a quote in an allow line": replaced('service = "ssh"', r'service = "s\"sh"'),
    "a quote in the log prefix": replaced('rate = "10/minute"', r'prefix = "a\"b"'),
    "a newline in the log prefix": replaced('rate = "10/minute"', r'prefix = "a\nb"'),
    "a newline in the rate": replaced('rate = "10/minute"', r'rate = "10/minute\n"'),
    "a camera let out without an exception": appended(
        '[[allow]]\nfrom = "camera"\nto = "external"\nservice = "https"'),
    "no zones": lambda _: b'[ipv6]\nmode = "drop"\n',
    "no TOML": lambda _: b"iptables -P INPUT ACCEPT\n",
    "cut off in the middle": lambda example: example[: example.index("address") + 15].encode(),
    "empty": lambda _: b"",
    "not UTF-8": lambda example: example.encode() + b"# caf\xe9\n",
    "a NUL byte": lambda example: example.encode() + b"\0\n",
    "10 MB": lambda example: example.encode() + b"# filler\n" * (10_000_000 // 9),
}


@both_backends
class Refuse(RouterTest):
    """Exit code 2, a line for each mistake, and an unchanged kernel."""

    def setUp(self) -> None:
        super().setUp()
        self.bad = self.scratch / "bad.toml"

    def assert_refused(self, result: Result, path: Path) -> None:
        """Checks for lines on stderr, each with a position."""
        lines = result.stderr.splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, rf"{re.escape(str(path))}(:\d+:\d+)?: \S.*")
            self.assertLess(len(line), 500)
        self.assertEqual(result.stdout, "")

    def state(self) -> str:
        """The state that a refused file must leave unchanged. Includes the IPv4
        counters, which do not change while nothing is sent and no table is reloaded."""
        network = self.router.run(["ip", "-4", "route", "show", "table", "all"], check=True).stdout
        keys = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "eth0", "eth1", "eth2")]
        values = [self.router.read_sysctl(key) for key in ("net.ipv4.ip_forward", *keys)]
        return "\n".join((
            self.tables.save("iptables", counters=True), self.tables.save("ip6tables"), network, *values,
        ))

    def assert_leaves_everything(self, path: Path) -> None:
        before = self.state()
        for command in ("check", "apply"):
            refused = self.camfw(command, config=path, expect=2)
            self.assert_refused(refused, path)
        self.assertEqual(len(refused.stderr.splitlines()), 1, "apply tells the first, and how many more")
        self.assertEqual(self.state(), before)

    def write(self, content: bytes) -> Path:
        self.bad.write_bytes(content)
        self.bad.chmod(0o644)
        return self.bad

    def test_bad_files_on_a_running_box(self) -> None:
        self.camfw("boot")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "so that counters are not 0")
        self.assertTrue(any(rule.packets for rule in self.tables.rules("iptables")))
        for what, make in BAD.items():
            with self.subTest(what):
                self.assert_leaves_everything(self.write(make(EXAMPLE.read_text())))
        self.camfw("status")

    def test_bad_files_beside_the_rules_of_others(self) -> None:
        self.lab.configure_router()
        self.tables.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
        self.tables.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE")
        self.tables.run("iptables", "-N", "theirs")
        self.tables.run("ip6tables", "-A", "INPUT", "-j", "ACCEPT")
        for what in ("an unknown key", "port 70000", "empty", "not UTF-8"):
            with self.subTest(what):
                self.assert_leaves_everything(self.write(BAD[what](EXAMPLE.read_text())))

    def test_the_example_itself_is_good(self) -> None:
        # The control: each file above is refused only because of its one change.
        path = self.write(EXAMPLE.read_bytes())
        self.camfw("check", config=path)
        self.camfw("apply", config=path)

    def test_what_is_not_a_file(self) -> None:
        self.camfw("boot")
        folder, missing, dangling, pipe = (
            self.scratch / name for name in ("folder", "missing", "dangling", "pipe"))
        folder.mkdir()
        dangling.symlink_to(missing)
        os.mkfifo(pipe)
        for path in (folder, missing, dangling, pipe, Path("/dev/zero")):
            with self.subTest(path.name):
                self.assert_leaves_everything(path)

    def test_a_file_that_others_can_change(self) -> None:
        self.camfw("boot")
        for what, mode, owner in (
            ("others can write", 0o646, 0), ("the group can write", 0o664, 0),
            ("everybody can write", 0o666, 0), ("not root's", 0o644, NOBODY),
        ):
            with self.subTest(what):
                path = self.write(EXAMPLE.read_bytes())
                path.chmod(mode)
                os.chown(path, owner, -1)
                before = self.state()
                self.assert_refused(self.camfw("apply", config=path, expect=2), path)
                self.assertEqual(self.state(), before)
                # `check` of another file does not check the owner.
                self.camfw("check", config=path)
                self.camfw("prove", config=path)
                self.camfw("compare", str(path), str(EXAMPLE))
                self.bad.unlink()

    def test_the_standard_input(self) -> None:
        def run(*arguments: str, given: bytes) -> tuple[int, str]:
            process = self.program.start(*arguments, config=Path("-"), stdin=subprocess.PIPE)
            stdout, stderr = process.communicate(given, timeout=60)
            return process.returncode, (stdout + stderr).decode()

        code, said = run("check", given=EXAMPLE.read_bytes())
        self.assertEqual(code, 0, said)
        self.assertIn("-: good\n", said)
        self.assertEqual(run("check", given=b"\nx = 1")[0], 2)
        self.assertIn(" -:2:1: no table is called x", run("check", given=b"\nx = 1")[1])
        code, rules = run("show", "rules", given=EXAMPLE.read_bytes())
        self.assertEqual(code, 0)
        self.assertIn("*filter", rules)
        self.assertIn("over the limit", run("check", given=b"# filler\n" * (1 << 18))[1])
        for command in ("boot", "apply"):
            code, said = run(command, given=EXAMPLE.read_bytes())
            self.assertEqual(code, 2)
            self.assertIn(" -: what is loaded is a file", said)

    def test_bad_usage(self) -> None:
        self.camfw("boot")
        before = self.state()
        for arguments in ((), ("fly",), ("apply", "now"), ("show",), ("show", "off"), ("--fast", "apply")):
            with self.subTest(arguments):
                result = self.camfw(*arguments, expect=2)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertEqual(self.state(), before)

    def test_a_bad_file_at_boot_leaves_the_box_sealed(self) -> None:
        self.lab.configure_router()
        self.assert_open()
        for what in ("an unknown key", "zones that overlap", "port 0", "empty", "not UTF-8", "10 MB",
                     "a newline in an interface", "a camera let out without an exception"):
            with self.subTest(what):
                self.lab.configure_router()
                self.tables.run("iptables", "-P", "FORWARD", "ACCEPT")
                path = self.write(BAD[what](EXAMPLE.read_text()))
                result = self.camfw("boot", config=path, expect=2)
                self.assert_refused(result, path)
                self.assertIn("Sealed", result.log)
                self.assert_closed_tables()
                self.assertEqual(self.forwarding(), "0")
        self.assert_sealed()

    def test_no_file_at_boot_leaves_the_box_sealed(self) -> None:
        pipe, folder = self.scratch / "pipe", self.scratch / "folder"
        os.mkfifo(pipe)
        folder.mkdir()
        loose = self.write(EXAMPLE.read_bytes())
        loose.chmod(0o666)
        for path in (self.scratch / "missing", pipe, folder, loose):
            with self.subTest(path.name):
                self.lab.configure_router()
                self.camfw("open")
                self.assert_refused(self.camfw("boot", config=path, expect=2), path)
                self.assert_sealed()
