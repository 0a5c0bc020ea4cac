"""Where log lines go: syslog; before syslogd runs, the kernel's log; otherwise stderr."""

from __future__ import annotations

import contextlib
import os
import re
import socket

from lab import probes
from netns.case import RouterTest, both_backends
from netns.program import tools, wrap


@both_backends
class Logging(RouterTest):
    """Each line arrives in exactly one place, and none is lost."""

    def assert_boot_lines(self, lines: list[str]) -> None:
        """Checks the lines of a successful boot, in order and without duplicates."""
        self.assertTrue(all(line.startswith("camfw: ") for line in lines), lines)
        self.assertEqual([line for line in lines if line.startswith("camfw: Sealed")], lines[:1])
        self.assertEqual([line for line in lines if line.startswith("camfw: Applied")], lines[-1:])
        self.assertEqual(len(lines), len(set(lines)))

    def test_syslog(self) -> None:
        with contextlib.closing(self.program.syslog()) as syslog:
            result = self.camfw("boot")
            self.assert_boot_lines(received(syslog))
        self.assertEqual(result.log, "", "nothing in the kernel's log")

    def test_the_kernels_log_without_a_syslog(self) -> None:
        self.assert_boot_lines(records(self.camfw("boot").log))

    def test_the_kernels_log_where_syslogd_has_gone(self) -> None:
        self.program.syslog().close()
        self.assertTrue((self.program.dev / "log").exists())
        self.assert_boot_lines(records(self.camfw("boot").log))

    def test_stderr_without_either(self) -> None:
        self.program.kmsg.unlink()
        result = self.camfw("boot")
        self.assert_boot_lines(result.stderr.splitlines())
        self.assertEqual(result.log, "")

    def test_the_same_lines_wherever_they_go(self) -> None:
        in_kernel = records(self.camfw("boot").log)
        with contextlib.closing(self.program.syslog()) as syslog:
            self.camfw("seal")
            received(syslog)
            self.camfw("boot")
            self.assertEqual(without_counts(received(syslog)), without_counts(in_kernel))
        (self.program.dev / "log").unlink()
        self.program.kmsg.unlink()
        on_stderr = self.camfw("boot").stderr.splitlines()
        self.assertEqual(without_counts(on_stderr), without_counts(in_kernel))

    def test_a_journal_that_stderr_leads_to_has_a_line_once(self) -> None:
        output = self.scratch / "stderr"
        for is_journal in (True, False):
            with self.subTest(is_journal=is_journal), output.open("wb") as stderr:
                place = os.fstat(stderr.fileno())
                stream = f"{place.st_dev}:{place.st_ino + (not is_journal)}"
                process = self.program.start(
                    "-v", "apply", before=["/usr/bin/env", f"JOURNAL_STREAM={stream}"], stderr=stderr.fileno())
                process.communicate()
                self.assertEqual(process.returncode, 0)
                self.assertIn("camfw: Applied", self.program.logged())
                self.assertEqual("Applied" in output.read_text(), not is_journal)

    def test_no_line_is_lost_when_syslogd_starts_in_the_middle(self) -> None:
        # The load waits until syslogd is running.
        path = tools(self.scratch / "waiting", self.backend)
        reached, go = self.scratch / "reached", self.scratch / "go"
        wrap(path, "iptables-restore", f"""
input=$(cat)
if [[ $input == *SPOOFED* ]]; then
    touch {reached}
    until [ -e {go} ]; do sleep 0.01; done
fi
real "$@" <<<"$input"
""", self.backend)
        process = self.program.start("boot", path=path)
        try:
            self.assertTrue(probes.wait_until(reached.exists), "boot comes to the load")
            with contextlib.closing(self.program.syslog()) as syslog:
                go.touch()
                process.communicate(timeout=120)
                self.assertEqual(process.returncode, 0)
                before, after = records(self.program.logged()), received(syslog)
        finally:
            process.kill()
            process.communicate()
        self.assertTrue(before and after, (before, after))
        self.assert_boot_lines(before + after)

    def test_a_syslogd_that_reads_nothing_holds_nothing_up(self) -> None:
        with contextlib.closing(self.program.syslog()), \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    filler.sendto(b"full", str(self.program.dev / "log"))
            self.assert_boot_lines(records(self.camfw("boot", seconds=30).log))

    def test_a_syslogd_that_accepts_nothing_holds_nothing_up(self) -> None:
        # rsyslog, or another program, that listens but hangs.
        path = str(self.program.dev / "log")
        with contextlib.ExitStack() as sockets:
            listening = sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listening.bind(path)
            listening.listen(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    waiting = sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                    waiting.setblocking(False)
                    waiting.connect(path)
            self.assert_boot_lines(records(self.camfw("boot", seconds=60).log))

    def test_a_stderr_that_nobody_reads_holds_nothing_up(self) -> None:
        # A stopped serial console, or a pipe into a program that hangs.
        self.program.kmsg.unlink()
        reader, writer = os.pipe()
        try:
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x" * 4096)
            os.set_blocking(writer, True)
            process = self.program.start("boot", stderr=writer)
            try:
                self.assertEqual(process.wait(60), 0)
            finally:
                process.kill()
                process.communicate()
        finally:
            os.close(reader)
            os.close(writer)
        self.assertEqual(self.forwarding(), "1")

    def test_a_failure_is_logged(self) -> None:
        self.router.ip("address", "add", "192.168.8.1/24", "dev", "eth0")
        with contextlib.closing(self.program.syslog()) as syslog:
            self.camfw("boot", expect=3)
            lines = received(syslog)
        self.assertIn("192.168.8.1", lines[-1])
        self.assertTrue(lines[-1].startswith("camfw: Not forwarding"), lines)

    def test_a_refused_file_is_logged(self) -> None:
        self.program.configure("nonsense")
        with contextlib.closing(self.program.syslog()) as syslog:
            self.camfw("boot", expect=2)
            lines = received(syslog)
        self.assertIn(f"{self.program.config}:1:", lines[-1])

    def test_each_outcome_is_one_line(self) -> None:
        with contextlib.closing(self.program.syslog()) as syslog:
            outcomes = (("apply", "Applied"), ("seal", "Sealed"), ("open", "Open"), ("apply", "Applied"))
            for command, word in outcomes:
                with self.subTest(command):
                    self.camfw(command)
                    lines = received(syslog)
                    self.assertEqual(len(lines), 1, lines)
                    self.assertIn(f"camfw: {word}", lines[0])


def received(syslog: socket.socket) -> list[str]:
    """The datagrams so far, each one line, without their priority."""
    lines: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(syslog.recv(65536).decode())
    return [unprefixed(line) for line in lines]


def records(log: str) -> list[str]:
    """The records of the kernel's log, without their priority."""
    return [unprefixed(line) for line in log.splitlines()]


def unprefixed(line: str) -> str:
    match = re.fullmatch(r"<\d+>([^\n]*)\n?", line)
    if match is None:
        raise AssertionError(f"not one line with a priority: {line!r}")
    return match[1]


def without_counts(lines: list[str]) -> list[str]:
    """Removes the counts of changes, which depend on the initial state."""
    return [re.sub(r"\d+ changes? made|nothing had to change", "N changes made", line) for line in lines]
