"""Stored files in /run/camfw and /var/lib/camfw: those that are not regular files,
belong to another user, or are on a disk that does not answer never block a command, and
are never trusted."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

from lab.probes import wait_until
from netns.case import RouterTest

NOBODY = 65534
KEPT = ("last-good", "unconfirmed", "hosts", "last-good.new", "hosts.new")
# Long compared with a boot, short compared with an unlimited wait.
SECONDS = 90


def pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def endless_device(path: Path) -> None:
    # /dev/zero
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def folder(path: Path) -> None:
    path.mkdir()


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], None]] = {
    make.__name__: make for make in (pipe, endless_device, folder, link_to_itself)
}


class Store(RouterTest):
    """One backend suffices, because the tables do not matter here; the other files test
    both."""

    backend = "legacy"

    def setUp(self) -> None:
        super().setUp()
        self.disk = self.program.var / "camfw"
        self.memory = self.program.run_folder / "camfw"

    def fresh(self, place: Path) -> Path:
        """An empty folder on a box that was just switched on."""
        self.program.forget()
        place.mkdir(mode=0o700)
        return place

    def test_what_is_no_file_holds_no_boot_up(self) -> None:
        for place in (self.disk, self.memory):
            for name in KEPT:
                for what, make in KINDS.items():
                    with self.subTest(place=place.parent.name, name=name, kind=what):
                        make(self.fresh(place) / name)
                        # Whether a policy waits to be confirmed cannot be determined,
                        # and there is no last good one: the box stays sealed.
                        unknown = name == "unconfirmed"
                        # A folder is not replaced, so the policy cannot be stored.
                        unkept = what == "folder" and name.startswith("last-good")
                        self.camfw("boot", expect=3 if unknown else int(unkept), seconds=SECONDS)
                        self.assertEqual(self.forwarding(), "0" if unknown else "1")

    def test_a_pipe_in_place_of_the_lock_is_no_lock(self) -> None:
        os.mkfifo(self.program.run_folder / "camfw.lock", 0o600)
        result = self.camfw("boot", seconds=SECONDS)
        self.assertIn("goes on without a lock", result.said)
        self.camfw("apply", expect=2, seconds=SECONDS)

    def test_a_file_that_is_too_large_is_not_read(self) -> None:
        name = self.fresh(self.disk) / "last-good"
        with name.open("wb") as file:
            file.truncate(64 << 20)
        name.chmod(0o600)
        self.program.configure("nonsense")
        self.camfw("boot", expect=2, seconds=SECONDS)
        self.assert_sealed()

    def test_what_others_can_write_is_not_believed(self) -> None:
        """A last good policy that another user wrote, or can change, counts as absent."""
        self.camfw("boot")
        kept = (self.disk / "last-good").read_bytes()
        self.program.configure("nonsense")
        for what, where, mode, owner in (
            ("the file's owner", "last-good", 0o600, NOBODY),
            ("the file's mode", "last-good", 0o602, 0),
            ("the folder's owner", "", 0o700, NOBODY),
            ("the folder's mode", "", 0o770, 0),
            # The sticky bit protects existing entries, but not missing ones.
            ("the sticky folder's mode", "", 0o1777, 0),
        ):
            with self.subTest(what):
                path = self.fresh(self.disk) / "last-good"
                path.write_bytes(kept)
                path.chmod(0o600)
                changed = self.disk / where
                os.chown(changed, owner, -1)
                changed.chmod(mode)
                self.camfw("boot", expect=2)
                self.assertEqual(self.forwarding(), "0")
                os.chown(changed, 0, -1)
                changed.chmod(0o700 if changed.is_dir() else 0o600)
                # The control: otherwise it is used.
                self.program.forget(self.program.run_folder)
                self.camfw("boot", expect=1)
                self.assertEqual(self.forwarding(), "1")

    def test_a_link_to_another_folder(self) -> None:
        """As when stored files are on a disk of their own: the whole path is checked."""
        elsewhere = self.scratch / "elsewhere" / "camfw"
        elsewhere.mkdir(parents=True, mode=0o700)
        self.disk.symlink_to(elsewhere)
        self.camfw("boot")
        self.assertTrue((elsewhere / "last-good").is_file())
        self.program.configure("nonsense")
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=1)
        elsewhere.parent.chmod(0o777)
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=2)
        self.assertEqual(self.forwarding(), "0")

    def test_a_disk_that_does_not_answer_holds_nothing_up(self) -> None:
        """Each call that syncs a file there takes ten minutes."""
        strace = str(shutil.which("strace"))
        dead = [strace, "-f", "-qq", "-o", "/dev/null", "-P", "/var/lib/camfw/last-good.new",
                "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=600000000"]
        started = time.monotonic()
        process = self.program.start("boot", before=dead)
        said = ""

        def applied() -> bool:
            nonlocal said
            said += self.program.logged()
            return "camfw: Applied" in said

        try:
            self.assertTrue(wait_until(applied, SECONDS), said)
        finally:
            # strace itself waits for the call.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.assertGreater(time.monotonic() - started, 9, "control: it is waited for")
        self.assertIn("cannot keep the last good policy in /var/lib/camfw: it was not done after", said)
        self.assertEqual(self.forwarding(), "1")
        # It holds no lock that another command waits for.
        self.camfw("apply", seconds=SECONDS)
