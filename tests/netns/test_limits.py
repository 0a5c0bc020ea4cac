"""Programs that hang, and commands that hold the lock: every wait is limited."""

from __future__ import annotations

import contextlib
import fcntl
import time
from pathlib import Path

from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.program import COMMANDS, tools, wrap

# The program's own limit is 10 s and a little per rule; a hanging program hangs longer
# than a test waits.
HANG = "sleep 3000 & wait"
SECONDS = 300


class LimitsTest(RouterTest):
    """Programs that hang."""

    def hanging(self, *names: str, when: str = "true") -> Path:
        folder = tools(self.scratch / f"hanging-{'-'.join(names)}", self.backend)
        for name in names:
            reads = "input=$(cat)" if name.endswith("-restore") else "input="
            run = 'real "$@" <<<"$input"' if name.endswith("-restore") else 'real "$@"'
            wrap(folder, name, f"{reads}\nif {when}; then {HANG}; fi\n{run}", self.backend)
        return folder

    def run_with(self, command: str, path: Path, code: int, word: str) -> None:
        result = self.program.run(command, path=path, seconds=SECONDS)
        self.assertEqual(result.code, code, str(result))
        self.assertIn(word, result.stderr)
        self.assertIn("was killed", result.stderr)
        self.assertEqual(self.sleeping(), [], "processes are left")

    def sleeping(self) -> list[int]:
        found: list[int] = []
        for pid in self.router.pids():
            with contextlib.suppress(OSError):
                if "sleep" in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found


@both_backends
class Limits(LimitsTest):
    """A hang ends in a documented outcome, and leaves no process behind."""

    def test_restore_hangs_at_boot(self) -> None:
        # Only loads with rules hang, so the seal is loaded.
        path = self.hanging("iptables-restore", when='[[ $input == *SPOOFED* ]]')
        self.run_with("boot", path, 3, "iptables-restore")
        self.assert_sealed()

    def test_restore_hangs_at_apply(self) -> None:
        self.camfw("boot")
        before = self.tables.snapshot()
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        path = self.hanging("iptables-restore", when='[[ $input == *"--dport 443"* ]]')
        self.run_with("apply", path, 1, "iptables-restore")
        self.assertEqual(self.tables.snapshot(), before)
        self.assertEqual(self.forwarding(), "1")

    def test_save_hangs_at_apply(self) -> None:
        self.camfw("boot")
        before = self.tables.snapshot()
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        self.run_with("apply", self.hanging("ip6tables-save"), 1, "ip6tables-save")
        self.assertEqual(self.tables.snapshot(), before)

    def test_iptables_itself_hangs_where_there_is_no_restore(self) -> None:
        path = self.hanging("iptables", when='[[ "$*" == *SPOOFED* ]]')
        for name in COMMANDS:
            if name.endswith("-restore"):
                (path / name).unlink()
        result = self.program.run("boot", path=path, seconds=SECONDS)
        self.assertEqual(result.code, 3, str(result))
        self.assert_sealed()


class LockLegacy(LimitsTest):
    """One command at a time, regardless of the tables."""

    backend = "legacy"

    def test_the_lock_is_waited_for_and_its_holder_named(self) -> None:
        self.camfw("boot")
        go = self.scratch / "go"
        path = self.hanging("iptables-save", when=f"until [ -e {go} ]; do sleep 0.1; done; false")
        slow = self.program.start("boot", path=path)
        lock = self.program.run_folder / "camfw.lock"
        held = f"camfw boot, process {slow.pid}"
        self.assertTrue(wait_until(lambda: held in lock.read_text()), lock.read_text())
        self.assertTrue(wait_until(lambda: bool(self.sleeping())))
        slow.kill()
        # The programs that it started still hold the lock for a while.
        waiting = self.program.start("apply")
        time.sleep(1)
        self.assertIsNone(waiting.poll(), "it waits")
        go.touch()
        _, stderr = waiting.communicate(timeout=SECONDS)
        self.assertEqual(waiting.returncode, 0, stderr)
        slow.communicate()

    def test_who_holds_the_lock_for_long_is_named(self) -> None:
        self.camfw("boot")
        note = self.program.run_folder / "camfw.lock"
        with note.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            note.write_text("camfw apply, process 4711\n")
            waiting = self.program.start("apply")
            time.sleep(15)
            # Another command has the lock now, so its 30 seconds start.
            note.write_text("camfw apply, process 4712\n")
            time.sleep(20)
            self.assertIsNone(waiting.poll(), "a queue that moves is waited for")
            _, stderr = waiting.communicate(timeout=SECONDS)
        self.assertEqual(waiting.returncode, 2, stderr)
        self.assertIn(b"camfw apply, process 4712", stderr)
        self.assertIn(b"nothing was changed", stderr)
        self.camfw("seal")
