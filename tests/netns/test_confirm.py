"""apply --confirm, confirm, and the last good policy: the owner is never locked out,
and the box never left open."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from lab import example, probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import LONG, tools, wrap
from netns.tables import meant

SSH = 'service = "ssh"'
HTTPS = 'service = "https"'
# The time to confirm: long enough to check what is in force before it ends.
SECONDS = 10


class ConfirmTest(RouterTest):
    """The example is in force; the new policy allows HTTPS to the router instead of SSH."""

    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.old = self.held()
        listener = Listener(self.router, tcp=[22, 443])
        listener.__enter__()
        self.addCleanup(listener.stop)
        self.change_config(SSH, HTTPS)

    def held(self) -> list[str]:
        """The tables that have an effect, in any order."""
        return sorted(meant(self.tables.snapshot()))

    def reaches(self, port: int, wait: float = 0.5) -> bool:
        return bool(probes.tcp(self.laptop, example.LAPTOP.router, port, wait))

    def assert_new(self) -> None:
        self.assertTrue(self.reaches(443, probes.PATIENCE), "HTTPS is new")
        self.assertFalse(self.reaches(22), "SSH was old")

    def assert_old(self) -> None:
        self.assertTrue(self.reaches(22, probes.PATIENCE), "SSH is old")
        self.assertFalse(self.reaches(443), "HTTPS was new")
        self.assertEqual(self.held(), self.old)

    def wait_for_old(self) -> None:
        self.assertTrue(wait_until(lambda: self.held() == self.old), self.program.logged())
        # The record is written after the rules are loaded.
        self.assertTrue(wait_until(lambda: self.report()["state"] == "last-good"))
        self.assert_old()

    def report(self) -> dict[str, Any]:
        report = json.loads(self.program.run("status", "--json").stdout)
        assert isinstance(report, dict)
        return report

    def watchdogs(self) -> list[int]:
        found: list[int] = []
        for pid in self.router.pids():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"await-confirmation" in words:
                    found.append(pid)
        return found

    def power_cut(self, *, wipe: bool = True) -> None:
        """Loses the kernel's state, /run and every process of the box, as a power cut
        does."""
        # Stop both first, so that neither sees the other's end and restarts it.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.watchdogs():
                os.kill(pid, number)
        if wipe:
            self.program.forget(self.program.run_folder)
        for command in ("iptables", "ip6tables"):
            for table in ("filter", "raw", "nat", "mangle"):
                self.tables.run(command, "-t", table, "-F")
                self.tables.run(command, "-t", table, "-X")
            for chain in ("INPUT", "FORWARD", "OUTPUT"):
                self.tables.run(command, "-P", chain, "ACCEPT")
        self.router.write_sysctl("net.ipv4.ip_forward", "0")


@both_backends
class Confirm(ConfirmTest):
    """A policy on trial."""

    def test_what_is_not_confirmed_is_taken_back(self) -> None:
        result = self.camfw("apply", "--confirm", str(SECONDS))
        self.assertIn(f"{SECONDS} s unless camfw confirm comes", result.stderr)
        self.wait_for_old()
        self.assertIn(f"not confirmed within {SECONDS} s", self.report()["why"])
        self.assertEqual(self.report()["drift"], [
            "the last good policy is in force, and not the file: the file "
            f"was not confirmed within {SECONDS} s"])
        self.assertTrue(wait_until(lambda: not self.watchdogs()))
        self.camfw("confirm", expect=1)
        self.assert_old()

    def test_what_is_on_trial_is_in_force(self) -> None:
        self.camfw("apply", "--confirm", LONG)
        self.assert_new()
        report = self.report()
        self.assertEqual((report["state"], report["holds"]), ("pending", True))
        self.assertIn(report["seconds_left"], range(3600 + 1))

    def test_what_is_confirmed_stays(self) -> None:
        self.camfw("apply", "--confirm", str(SECONDS))
        self.camfw("confirm")
        self.assertEqual(self.report()["state"], "applied")
        self.assertTrue(wait_until(lambda: not self.watchdogs()), "the watchdog is gone")
        time.sleep(SECONDS)
        self.assert_new()
        self.camfw("confirm", expect=1)
        # It is now the last good policy: a bad file does not bring the old one back.
        self.program.configure("nonsense")
        self.power_cut()
        self.camfw("boot", expect=1)
        self.assert_new()

    def test_confirm_keeps_what_was_applied_and_not_a_file_edited_since(self) -> None:
        self.camfw("apply", "--confirm", "30")
        self.change_config(HTTPS, 'service = "rtsp"')
        self.camfw("confirm")
        self.power_cut()
        self.program.configure("nonsense")
        self.camfw("boot", expect=1)
        self.assert_new()

    def test_signals_do_not_reach_the_watchdog(self) -> None:
        self.camfw("apply", "--confirm", LONG)
        watchdogs = self.watchdogs()
        self.assertEqual(len(watchdogs), 2)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            for watchdog in watchdogs:
                os.kill(watchdog, number)
        self.assertEqual(sorted(self.watchdogs()), sorted(watchdogs))
        self.program.reach_the_deadline(SECONDS)
        self.wait_for_old()

    def test_the_end_of_the_session_does_not_reach_the_watchdog(self) -> None:
        # A shell on a terminal that disappears, like that of an SSH session.
        main, terminal = pty.openpty()
        script = self.scratch / "session"
        script.write_text("#!/bin/sh\n\"$@\"\necho applied\nread -r _\n")
        script.chmod(0o755)
        process = self.program.start("apply", "--confirm", LONG, before=[
            "/usr/bin/setsid", "--ctty", "/bin/sh", script], stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        said = b""
        while b"applied" not in said:
            said += os.read(main, 1000)
        self.assert_new()
        watchdogs = self.watchdogs()
        sessions = {os.getsid(pid) for pid in (process.pid, *watchdogs)}
        self.assertEqual(len(sessions), 3, "each is in a session of its own")
        os.close(main)
        process.wait(probes.PATIENCE)
        self.assertEqual(self.watchdogs(), watchdogs)
        self.program.reach_the_deadline(SECONDS)
        self.wait_for_old()

    def test_a_kill_of_the_apply_in_its_midst_is_taken_back(self) -> None:
        # Killed while its rules are being loaded, so it does not see the load complete.
        path = tools(self.scratch / "slow", self.backend)
        loaded, go = self.scratch / "loaded", self.scratch / "go"
        wrap(path, "iptables-restore", f'input=$(cat)\nreal "$@" <<<"$input"\ntouch {loaded}\n'
             f'until [ -e {go} ]; do sleep 0.1; done', self.backend)
        process = self.program.start("apply", "--confirm", "4", path=path)
        self.assertTrue(wait_until(loaded.exists))
        self.assertNotEqual(self.held(), self.old)
        process.kill()
        go.touch()
        process.communicate()
        self.wait_for_old()

    def test_the_time_to_confirm_starts_when_the_policy_is_in_force(self) -> None:
        # The deadline passes while the rules are being loaded, and both waiters wait for the lock.
        path = tools(self.scratch / "slow", self.backend)
        loading, go = self.scratch / "loading", self.scratch / "go"
        wrap(path, "iptables-restore", f'input=$(cat)\ntouch {loading}\nuntil [ -e {go} ]; do sleep 0.1; done\n'
             'real "$@" <<<"$input"', self.backend)
        process = self.program.start("apply", "--confirm", LONG, path=path)
        self.assertTrue(wait_until(loading.exists))
        self.program.reach_the_deadline(SECONDS)
        time.sleep(1.5)
        go.touch()
        process.communicate()
        self.assertEqual(process.returncode, 0)
        time.sleep(1.5)
        self.assert_new()
        self.assertEqual(self.report()["state"], "pending")
        self.program.reach_the_deadline(SECONDS)
        self.wait_for_old()

    def test_a_reboot_in_between_comes_up_with_the_confirmed_one(self) -> None:
        for wait in (False, True):
            with self.subTest("taken back before", before=wait):
                self.camfw("apply", "--confirm", "2" if wait else "60")
                if wait:
                    self.wait_for_old()
                self.power_cut()
                result = self.camfw("boot", expect=1)
                self.assertIn("last good policy", result.stderr)
                self.assertIn("never confirmed", result.stderr)
                self.assert_old()
                self.assertEqual(self.report()["state"], "last-good")
        # An apply without --confirm confirms the policy.
        self.camfw("apply")
        self.power_cut()
        self.camfw("boot")
        self.assert_new()

    def test_the_policy_in_force_itself_stays_applied(self) -> None:
        self.change_config(HTTPS, SSH)
        self.camfw("apply", "--confirm", LONG)
        self.assertEqual(self.report()["state"], "pending")
        self.program.reach_the_deadline()
        self.assertTrue(wait_until(lambda: self.report()["state"] != "pending"))
        report = self.report()
        self.assertEqual((report["state"], report["holds"], report["drift"]), ("applied", True, []))
        self.assert_old()
        self.assertTrue(wait_until(lambda: not self.watchdogs()))
        # Nothing is left to be confirmed, by the next boot either.
        self.power_cut()
        self.camfw("boot")
        self.assertEqual(self.report()["state"], "applied")

    def test_an_apply_in_between_replaces_it(self) -> None:
        self.camfw("apply", "--confirm", "3")
        self.camfw("apply")
        self.assertEqual(self.report()["state"], "applied")
        time.sleep(4)
        self.assert_new()
        self.assertEqual(self.watchdogs(), [])

    def test_a_second_one_that_is_refused_leaves_the_first_as_it_was(self) -> None:
        # Longer than the waiters need to see what the second one wrote.
        path = tools(self.scratch / "slow", self.backend)
        wrap(path, "iptables-save", 'sleep 1.5; real "$@"', self.backend)
        text = self.program.config.read_text()

        def second() -> None:
            self.program.configure(text.replace('"eth2"', '"eth9"'))
            self.camfw("apply", "--confirm", LONG, path=path, expect=2)
            self.program.configure(text)
            self.assertEqual(self.report()["state"], "pending")
            self.assert_new()

        with self.subTest("it is taken back"):
            self.camfw("apply", "--confirm", LONG)
            second()
            self.assertTrue(wait_until(lambda: len(self.watchdogs()) == 2))
            self.program.reach_the_deadline(SECONDS)
            self.wait_for_old()
        with self.subTest("it is not what a reboot takes"):
            self.camfw("apply", "--confirm", LONG)
            second()
            self.power_cut()
            self.assertIn("never confirmed", self.camfw("boot", expect=1).stderr)
            self.assert_old()
        with self.subTest("it can be confirmed"):
            self.camfw("apply", "--confirm", LONG)
            second()
            self.camfw("confirm")
            self.assert_new()
            self.assertTrue(wait_until(lambda: not self.watchdogs()))
        with self.subTest("what was taken back before is not what a reboot takes"):
            self.program.configure(text.replace(HTTPS, 'service = "http"'))
            self.camfw("apply", "--confirm", "1")
            self.assertTrue(wait_until(lambda: self.report()["state"] == "last-good"))
            self.program.configure(self.program.config.read_text().replace('"eth2"', '"eth9"'))
            self.camfw("apply", "--confirm", LONG, expect=2)
            self.program.configure(text.replace(HTTPS, 'service = "http"'))
            self.power_cut()
            self.assertIn("never confirmed", self.camfw("boot", expect=1).stderr)
            self.assert_new()

    def test_a_seal_in_between_stays(self) -> None:
        self.camfw("apply", "--confirm", "3")
        self.camfw("seal")
        time.sleep(4)
        self.assert_sealed()

    def test_without_a_policy_to_go_back_to_it_is_refused(self) -> None:
        self.program.forget()
        result = self.camfw("apply", "--confirm", "60", expect=2)
        self.assertIn("no policy to go back to", result.stderr)
        self.assertIn("at the console, run camfw apply without --confirm", result.stderr)
        self.assertIn("no confirmed policy is kept in /run/camfw or /var/lib/camfw", result.stderr)
        self.assertEqual(self.held(), self.old)
        self.assertEqual(self.watchdogs(), [])
        self.camfw("apply")
        self.assert_new()

    def test_a_bad_file_is_refused_and_nothing_waits(self) -> None:
        self.program.configure("nonsense")
        self.camfw("apply", "--confirm", "60", expect=2)
        self.assertEqual(self.held(), self.old)
        self.assertEqual(self.watchdogs(), [])

    def test_a_policy_that_cannot_be_loaded_is_not_awaited(self) -> None:
        path = tools(self.scratch / "broken", self.backend)
        wrap(path, "iptables-restore", 'input=$(cat)\n[[ $input != *"--dport 443"* ]] || exit 1\n'
             'real "$@" <<<"$input"', self.backend)
        self.camfw("apply", "--confirm", "3", path=path, expect=1)
        self.assert_old()
        self.assertEqual(self.report()["state"], "applied")
        self.assertTrue(wait_until(lambda: not self.watchdogs()))

    def test_going_back_is_tried_again(self) -> None:
        path = tools(self.scratch / "shaky", self.backend)
        flag = self.scratch / "works"
        wrap(path, "iptables-restore", 'input=$(cat)\n'
             f'[[ $input != *"--dport 22 "* || -e {flag} ]] || exit 1\nreal "$@" <<<"$input"', self.backend)
        self.camfw("apply", "--confirm", "2", path=path)
        self.assertTrue(wait_until(lambda: "tries again" in self.program.logged()))
        flag.touch()
        self.wait_for_old()


@both_backends
class LastGood(ConfirmTest):
    """The policy a boot uses if the file is unusable, and where it is stored."""

    def test_a_bad_file_at_boot_brings_the_last_good_policy(self) -> None:
        self.program.configure("nonsense")
        self.power_cut()
        result = self.camfw("boot", expect=1)
        self.assertIn("camfw.toml:1:", result.stderr)
        self.assertIn("last good policy", result.stderr)
        self.assertRegex(result.log, r"<27>camfw: the last good policy is used, and not the file")
        self.assert_old()
        self.camfw("status", expect=1)

    def test_a_torn_or_foreign_last_good_policy_leaves_the_box_sealed(self) -> None:
        good = self.program.var / "camfw/last-good"
        whole = good.read_bytes()
        self.program.configure("nonsense")
        for what, content in {
            "cut off": whole[: len(whole) // 2], "empty": b"", "a bit flipped": whole[:200] + b"#" + whole[201:],
            "not text": b"\xff" * 100,
        }.items():
            with self.subTest(what):
                good.write_bytes(content)
                self.power_cut()
                self.camfw("boot", expect=2)
                self.assert_closed_tables()
                self.assertEqual(self.forwarding(), "0")
        good.write_bytes(whole)
        self.camfw("boot", expect=1)
        self.assert_old()

    def test_a_write_that_was_cut_off_leaves_the_one_before(self) -> None:
        folder = self.program.var / "camfw"
        (folder / "last-good.new").write_text("camfw kept policy 1\nhalf a")
        self.program.configure("nonsense")
        self.power_cut()
        self.camfw("boot", expect=1)
        self.assert_old()

    @contextlib.contextmanager
    def disk(self, options: str) -> Any:
        """Mounts a separate file system at /var/lib, with these mount options."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.program.var], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", self.program.var], check=True)

    def test_a_disk_that_cannot_be_written_is_said_and_everything_works(self) -> None:
        for what, options in {"read-only": "ro", "full": "size=4k,nr_inodes=2"}.items():
            with self.subTest(what), self.disk(options):
                self.change_config(HTTPS, SSH)
                self.program.forget(self.program.run_folder)
                result = self.camfw("boot", expect=1)
                self.assertIn("cannot keep the last good policy in /var/lib/camfw", result.stderr)
                self.assert_old()
                self.change_config(SSH, HTTPS)
                result = self.camfw("apply", "--confirm", str(SECONDS), expect=1)
                self.assertIn("cannot keep that this policy is unconfirmed", result.stderr)
                self.assert_new()
                self.wait_for_old()
                self.camfw("apply", "--confirm", "30", expect=1)
                self.camfw("confirm", expect=1)
                self.assert_new()
                self.camfw("status")

    def test_a_policy_that_the_kernel_does_not_take_at_boot(self) -> None:
        path = tools(self.scratch / "broken", self.backend)
        wrap(path, "iptables-restore", 'input=$(cat)\n[[ $input != *"--dport 443"* ]] || exit 1\n'
             'real "$@" <<<"$input"', self.backend)
        self.power_cut()
        result = self.camfw("boot", path=path, expect=1)
        self.assertIn("last good policy", result.stderr)
        self.assert_old()

    def test_nothing_of_it_is_for_others_to_read(self) -> None:
        for folder in (self.program.var, self.program.run_folder):
            self.assertEqual((folder / "camfw").stat().st_mode & 0o777, 0o700)
            for file in (folder / "camfw").iterdir():
                self.assertEqual(file.stat().st_mode & 0o077, 0, file)
        shutil.rmtree(self.program.var / "camfw")
        self.camfw("apply")
        self.assertTrue((self.program.var / "camfw/last-good").is_file())


@both_backends
class Overdue(ConfirmTest):
    """A deadline that passed while no waiter was left."""

    def end(self, pids: list[int]) -> None:
        # Stop them first, so that none sees the other's end and restarts it.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self.assertTrue(wait_until(lambda: not set(pids) & set(self.watchdogs())))

    def overdue(self, seconds: int = 1) -> None:
        """The new policy is in force, and its deadline has passed."""
        self.camfw("apply", "--confirm", LONG)
        self.end(self.watchdogs())
        self.program.reach_the_deadline(seconds)
        self.assertTrue(wait_until(lambda: self.report()["overdue"] is not None))
        self.assert_new()

    def test_a_waiter_that_is_killed_is_started_again(self) -> None:
        self.camfw("apply", "--confirm", LONG)
        for _ in range(2):
            first, second = self.watchdogs()
            os.kill(first, signal.SIGKILL)
            self.wait_for_two_without(first)
            self.assertIn(second, self.watchdogs())
            os.kill(second, signal.SIGKILL)
            self.wait_for_two_without(second)
        self.assert_new()
        self.program.reach_the_deadline(SECONDS)
        self.wait_for_old()
        self.assertTrue(wait_until(lambda: not self.watchdogs()), self.program.logged())

    def wait_for_two_without(self, killed: int) -> None:
        def two() -> bool:
            running = self.watchdogs()
            return len(running) == 2 and killed not in running

        self.assertTrue(wait_until(two), f"{self.watchdogs()} run; {self.program.logged()}")

    def test_status_and_prove_say_it_and_change_nothing(self) -> None:
        self.overdue()
        text = self.camfw("status", expect=1).stdout
        self.assertRegex(text, r"^PENDING, OVERDUE for \d+ s; the file was not confirmed within 1 s")
        self.assertIn("OVERDUE", self.camfw("prove", expect=1).said)
        self.assertIn("OVERDUE", self.camfw("prove", "--live", expect=1).said)
        self.assert_new()

    def test_confirm_after_the_deadline_is_refused_and_goes_back(self) -> None:
        self.overdue()
        self.assertIn("not confirmed within 1 s", self.camfw("confirm", expect=1).stderr)
        self.assert_old()
        self.assertEqual(self.report()["state"], "last-good")

    def test_another_command_takes_it_back_first(self) -> None:
        self.overdue()
        path = tools(self.scratch / "looking", self.backend)
        record = self.scratch / "record"
        wrap(path, "iptables-restore", f'input=$(cat)\nprintf "%s" "$input" >>{record}\nreal "$@" <<<"$input"',
             self.backend)
        self.program.configure("nonsense")
        self.camfw("apply", path=path, expect=2)
        self.assertIn("--dport 22 ", record.read_text())
        self.assert_old()
        self.assertEqual(self.report()["state"], "last-good")

    def test_refresh_takes_it_back(self) -> None:
        self.overdue()
        self.camfw("refresh")
        self.assert_old()

    def test_watch_takes_it_back(self) -> None:
        self.camfw("apply", "--confirm", LONG)
        self.end(self.watchdogs())
        self.program.reach_the_deadline(SECONDS)
        with self.program.watching():
            self.wait_for_old()

    def test_boot_takes_it_back(self) -> None:
        self.overdue()
        self.camfw("boot", expect=1)
        self.assert_old()

    def test_a_torn_state_is_not_a_confirmation(self) -> None:
        whole = None
        for what in ("cut off", "empty", "gone", "a deadline of inf", "another version"):
            with self.subTest(what):
                self.camfw("apply", "--confirm", "60")
                self.end(self.watchdogs())
                whole = self.program.state_file.read_text()
                self.assertIn('"state":"pending"', whole)
                torn = {
                    "cut off": whole[: len(whole) // 2], "empty": "", "gone": None,
                    "a deadline of inf": "".join(
                        part if number == 0 else '"deadline":1e999' + part[part.index(","):]
                        for number, part in enumerate(whole.split('"deadline"'))),
                    "another version": whole.replace('"version":1', '"version":9'),
                }[what]
                if torn is None:
                    self.program.state_file.unlink()
                else:
                    self.program.state_file.write_text(torn)
                report = json.loads(self.camfw("status", "--json", expect=1).stdout)
                self.assertEqual(report["state"], "unknown")
                self.assertIsNotNone(report["overdue"])
                self.assertIn("UNKNOWN, OVERDUE", self.camfw("status", expect=1).stdout)
                self.camfw("confirm", expect=1)
                self.assert_old()

    def test_a_torn_state_leaves_the_deadline_with_the_waiters(self) -> None:
        self.camfw("apply", "--confirm", str(SECONDS))
        self.program.state_file.write_text("{")
        self.assert_new()
        self.wait_for_old()

    def test_both_waiters_killed_at_once_are_for_the_next_command(self) -> None:
        self.overdue()
        self.camfw("confirm", expect=1)
        self.assert_old()
