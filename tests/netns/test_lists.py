"""Lists of addresses in files of their own: real connections, what is refused, and what a boot takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab import example, probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, ZONES
from netns.program import LONG, tools, wrap
from netns.test_deny import HOST, IN, LISTED, NETWORK, OUT, PORT, UNLISTED, long_list

FIRST, SECOND = "192.168.0.77", "192.168.0.78"
NOBODY = 65534


@both_backends
class Lists(RouterTest):
    """Hosts of the internet that a list denies, which the laptop asks and which ask the router."""

    def setUp(self) -> None:
        super().setUp()
        self.addresses = (FIRST, SECOND, *LISTED, *UNLISTED)
        for address in self.addresses:
            self.internet.ip("address", "add", f"{address}/32", "dev", "eth0")
        for host in (self.internet, self.router):
            listener = Listener(host, tcp=[PORT])
            self.addCleanup(listener.stop)
        self.list = self.scratch / "blocklist.txt"
        denied = (f'[[deny]]\nfrom = "external"\nto = "any"\nsource = "@{self.list}"\n'
                  f'[[deny]]\nfrom = "any"\nto = "external"\naddress = ["@{self.list}"]\n')
        self.program.configure("\n".join((ZONES, OUT, IN, denied)))

    def write(self, text: str | bytes) -> None:
        self.list.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.list.chmod(0o644)

    def assert_denied(self, *denied: str) -> None:
        """Checks that these and no others are, both ways."""
        for address in (FIRST, SECOND, *LISTED, *UNLISTED):
            wait = 0.7 if address in denied else probes.PATIENCE
            out = probes.tcp(self.laptop, address, PORT, wait)
            self.assertEqual(bool(out), address not in denied, f"to {address}: {out.detail}")
            self.assertEqual(self.comes_in(address, wait), address not in denied, f"from {address}")

    def comes_in(self, source: str, wait: float) -> bool:
        with self.internet.socket() as connection:
            connection.settimeout(wait)
            connection.bind((source, 0))
            try:
                connection.connect((example.INTERNET.router, PORT))
            except OSError:
                return False
        return True

    def test_what_a_list_has_in_any_form_and_nothing_else_is_denied(self) -> None:
        self.write("192.0.2.1\n")
        self.camfw("boot")
        self.assert_denied()
        self.write(f"\ufeff# comment\r\n\r\n  {FIRST} ; SBL1\r\n{NETWORK}#all\r\n2001:db8::/32\r\n"
                   f"11.22.35.7 - 11.22.35.7\t# a range\r\n;{SECOND}\r\n192.168.0.79-192.168.0.90")
        self.camfw("check")
        self.camfw("apply")
        self.assert_denied(FIRST, *LISTED)
        self.camfw("prove", "--live")
        self.camfw("status")
        # What was asked about is not what the machine has under that path, where that is said.
        root = self.scratch / "image"
        other = root / self.list.relative_to("/")
        other.parent.mkdir(parents=True)
        other.write_text("no address\n")
        self.camfw("check", before=("/usr/bin/env", f"CAMFW_ROOT={root}"), expect=2)
        self.camfw("apply", before=("/usr/bin/env", f"CAMFW_ROOT={root}"))

    def test_50000_networks(self) -> None:
        listed = long_list(49_998)
        self.write("".join(f"{network} ; SBL{number}\n" for number, network in enumerate((*listed, NETWORK, HOST))))
        # On one way alone: the other would double the rules.
        text = self.program.config.read_text()
        self.program.configure(text[:text.rindex("[[deny]]")])
        self.camfw("boot")
        for address in (*LISTED, *UNLISTED):
            wait = 0.7 if address in LISTED else probes.PATIENCE
            self.assertEqual(self.comes_in(address, wait), address in UNLISTED, address)
        self.assertIn("Applied: nothing had to change", self.camfw("apply").said)
        # The same as in the file itself.
        inline = text[:text.rindex("[[deny]]")].replace(
            f'"@{self.list}"', "[" + ",".join(f'"{network}"' for network in (*listed, NETWORK, HOST)) + "]")
        other = self.scratch / "inline.toml"
        other.write_text(inline)
        mine = self.camfw("show", "rules").stdout
        theirs = self.camfw("show", "rules", config=other).stdout
        self.assertEqual(mine.replace("camfw.toml", "inline.toml"), theirs)

    def broken(self) -> dict[str, Callable[[], object]]:
        """What makes a list one that is not taken."""
        def missing() -> None:
            self.list.unlink()

        def folder() -> None:
            self.list.unlink()
            self.list.mkdir()

        def pipe() -> None:
            self.list.unlink()
            os.mkfifo(self.list, 0o644)

        def link() -> None:
            self.list.unlink()
            self.list.symlink_to(self.scratch / "missing")

        return {
            "cannot open it": missing, "is not a regular file": folder, "not a regular file": pipe, "cannot open": link,
            "others than its owner can write": lambda: self.list.chmod(0o646),
            f"belongs to user {NOBODY}": lambda: os.chown(self.list, NOBODY, -1),
            "the list is empty": lambda: self.write("# nothing\n"),
            ":2:3: \"203.0.113.300\" is neither": lambda: self.write(f"{SECOND}\n  203.0.113.300\n"),
            "not UTF-8": lambda: self.write(b"192.0.2.1 # caf\xe9\n"),
            "over the limit": lambda: self.write(b"192.0.2.1\n" * 900_000),
        }

    def restore(self) -> None:
        if self.list.is_dir() and not self.list.is_symlink():
            self.list.rmdir()
        else:
            self.list.unlink(missing_ok=True)
        self.write(f"{FIRST}\n")

    def test_an_apply_of_a_list_that_is_not_taken_changes_nothing(self) -> None:
        self.restore()
        self.camfw("boot")
        before = self.tables.snapshot()
        for why, breaks in self.broken().items():
            with self.subTest(why):
                breaks()
                refused = self.camfw("apply", expect=2).stderr
                self.assertEqual(len(refused.splitlines()), 1, refused)
                self.assertIn(str(self.list), refused)
                self.assertIn(why, refused)
                self.assertEqual(self.tables.snapshot(), before)
                told = self.camfw("status", expect=1).stdout
                self.assertIn("the file is refused: ", told)
                self.assertIn("the policy in force stays, and a boot takes the last good one", told)
                self.restore()
        self.camfw("status")
        self.assert_denied(FIRST)

    def test_a_boot_without_the_list_takes_what_it_was(self) -> None:
        self.restore()
        self.camfw("apply")
        for why, breaks in self.broken().items():
            with self.subTest(why):
                breaks()
                self.camfw("boot", expect=1)
                told = self.camfw("status", expect=1).stdout
                self.assertTrue(told.startswith("LAST GOOD"), told)
                self.assertIn(why, told)
                self.restore()
        breaks = self.broken()["cannot open it"]
        breaks()
        # As after a power cut: what is in /run is gone.
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=1)
        self.assert_denied(FIRST)
        self.program.run("refresh")
        self.assert_denied(FIRST)
        self.restore()
        self.camfw("boot")
        self.camfw("status")

    def test_a_list_whose_apply_failed_is_not_the_one_that_is_kept(self) -> None:
        self.restore()
        self.camfw("apply")
        self.write(f"{SECOND}\n")
        path = tools(self.scratch / "failing", self.backend)
        wrap(path, "iptables-restore", 'input=$(cat)\n[[ " $* " == *" --test "* ]] || exit 1\nreal "$@" <<<"$input"', self.backend)
        self.assertNotEqual(self.program.run("apply", path=path).code, 0, "control")
        self.list.unlink()
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=1)
        self.assert_denied(FIRST)

    def test_a_list_on_trial_goes_back_with_its_policy(self) -> None:
        self.restore()
        self.camfw("apply")
        self.write(f"{SECOND}\n")
        self.camfw("apply", "--confirm", LONG)
        self.assert_denied(SECOND)
        # The power fails before anybody confirms.
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=1)
        self.assert_denied(FIRST)

    def test_a_list_that_changed_since_is_told(self) -> None:
        self.restore()
        self.camfw("boot")
        both = self.program.config.read_bytes() + self.list.read_bytes()
        report = json.loads(self.camfw("status", "--json").stdout)
        self.assertEqual(report["compared_with"], hashlib.sha256(both).hexdigest())
        self.write(f"# another date\n{FIRST}\n")
        self.camfw("status")
        self.write(f"{FIRST}\n{SECOND}\n")
        told = f"edited since it was applied: {self.list}; camfw apply brings it in"
        report = json.loads(self.camfw("status", "--json", expect=1).stdout)
        self.assertEqual(report["drift"], [told])
        with self.program.watching(lambda: told in self.program.logged()):
            pass
        self.assert_denied(FIRST)
        # A command that maintains the box brings in no list that was only edited.
        self.program.run("refresh")
        self.assert_denied(FIRST)
        self.camfw("apply")
        self.camfw("status")
        self.assert_denied(FIRST, SECOND)

    def test_who_only_asks_opens_no_device(self) -> None:
        # A file from somebody else may name any path, and to open a watchdog starts it. A pipe shows it:
        # its writer goes on once somebody has opened it.
        os.mkfifo(self.list, 0o644)
        writer = subprocess.Popen(["sh", "-c", f"exec 3>{self.list}"])
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)
        for command in (("check",), ("show", "rules")):
            self.assertIn("it is not a regular file; give one", self.camfw(*command, expect=2).stderr)
        self.assertIsNone(writer.poll())
        os.close(os.open(self.list, os.O_RDONLY | os.O_NONBLOCK))
        self.assertEqual(writer.wait(5), 0, "control")

    def test_a_timer_that_goes_by_status_confirms_nothing(self) -> None:
        # As the recipe has it: an apply would make a trial permanent, also one that was taken back.
        edited = f"edited since it was applied: {self.list};"
        self.restore()
        self.camfw("apply")
        self.write(f"{FIRST}\n{SECOND}\n")
        said = self.camfw("status", expect=1).stdout
        self.assertTrue(said.startswith("APPLIED") and edited in said, said)
        self.camfw("apply")
        text = self.program.config.read_text()
        self.program.configure(text + PING)
        self.camfw("apply", "--confirm", LONG)
        self.write(f"{FIRST}\n")
        said = self.camfw("status", expect=1).stdout
        self.assertTrue(said.startswith("PENDING"), said)
        self.program.reach_the_deadline()
        self.assertTrue(wait_until(lambda: self.program.run("status").stdout.startswith("LAST GOOD")))
        self.assertNotIn(edited, self.camfw("status", expect=1).stdout)
        self.camfw("apply")
        self.program.configure(text)
        self.write(f"{FIRST}\n{SECOND}\n")
        self.assertNotIn(edited, self.camfw("status", expect=1).stdout)

    def test_whoever_asks_is_told_of_the_list(self) -> None:
        self.restore()
        other = self.scratch / "other.toml"
        other.write_text(self.program.config.read_text().replace("blocklist", "second"))
        (self.scratch / "second.txt").write_text(f"{FIRST}\n{SECOND}\n")
        self.camfw("compare", str(self.program.config), str(self.program.config))
        compared = self.camfw("compare", str(self.program.config), str(other), expect=1)
        self.assertIn(SECOND, compared.stdout)
        self.assertNotIn(FIRST, compared.stdout)
        # One that comes by a pipe, and whose list others may write.
        self.list.chmod(0o666)
        process = self.program.start("show", "rules", config=Path("-"), stdin=subprocess.PIPE)
        stdout, stderr = process.communicate(self.program.config.read_bytes(), timeout=60)
        self.assertEqual(process.returncode, 0, stderr)
        self.write("203.0.113.7/24\n")
        checked = json.loads(self.camfw("check", "--json", expect=2).stdout)
        self.assertEqual(
            [(it["file"], it["line"], it["column"]) for it in checked["mistakes"]], [(str(self.list), 1, 1)])
