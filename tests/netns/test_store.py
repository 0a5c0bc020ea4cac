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

    def test_a_folder_that_others_can_write_holds_no_boot_up(self) -> None:
        """What apply says of the next boot holds: nothing in the folder is believed, and the file is root's."""
        text = self.program.config.read_text()
        for mode, owner, why in (
            (0o777, 0, "others than its owner can write folder /var/lib/camfw (mode 0777)"),
            (0o1777, 0, "others than its owner can write folder /var/lib/camfw (mode 1777)"),
            (0o700, NOBODY, f"folder /var/lib/camfw belongs to user {NOBODY}"),
        ):
            for first in ("apply", "boot"):
                with self.subTest(mode=oct(mode), owner=owner, first=first):
                    self.program.configure(text)
                    folder = self.fresh(self.disk)
                    folder.chmod(mode)
                    os.chown(folder, owner, -1)
                    said = self.camfw(first, expect=1).said
                    self.assertIn("the next boot takes the file as it is then", said)
                    self.program.forget(self.program.run_folder)
                    said = self.camfw("boot", expect=1).said
                    self.assertIn("Applied: ", said)
                    self.assertIn(why, said)
                    self.assertNotIn("confirmed", said)
                    self.assertEqual(self.forwarding(), "1")
                    checked = self.checked_as_the_boxs_file()
                    self.assertIn(f"warning: the last good policy cannot be kept in /var/lib/camfw: {why}", checked)
                    self.program.configure(text + "\n[router]\nkeep = false\n")
                    self.program.forget(self.program.run_folder)
                    self.assertNotIn("/var/lib", self.camfw("boot").said)
                    self.assertNotIn("/var/lib", self.checked_as_the_boxs_file())

    def checked_as_the_boxs_file(self) -> str:
        """What check says of the file at its place in /etc, as root; it must be good."""
        etc = self.scratch / "etc/camfw"
        etc.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.program.config, etc / "camfw.toml")
        for parent in (etc, etc.parent):
            parent.chmod(0o755)
        before = ["/bin/sh", "-c", f'/bin/mount --bind {self.scratch}/etc /etc && exec "$@"', "sh"]
        return self.camfw("check", config=Path("/etc/camfw/camfw.toml"), before=before).stderr

    def test_a_file_in_the_folders_place_holds_no_boot_up(self) -> None:
        self.disk.touch()
        for command in ("apply", "boot"):
            said = self.camfw(command, expect=1).said
            self.assertIn("the next boot takes the file as it is then", said)
            self.program.forget(self.program.run_folder)
        self.assertEqual(self.forwarding(), "1")

    def test_in_a_folder_that_others_can_write_roots_record_of_a_trial_still_closes(self) -> None:
        mark = self.fresh(self.disk) / "unconfirmed"
        mark.touch(mode=0o600)
        self.disk.chmod(0o777)
        said = self.camfw("apply", expect=1).said
        self.assertIn("a policy that was never confirmed is recorded there", said)
        self.assertNotIn("as it is then", said)
        self.program.forget(self.program.run_folder)
        self.assertIn("the file was applied and never confirmed", self.camfw("boot", expect=3).said)
        # Another user cannot close the box.
        os.chown(mark, NOBODY, -1)
        self.program.forget(self.program.run_folder)
        self.camfw("boot", expect=1)
        self.assertEqual(self.forwarding(), "1")

    def test_a_disk_that_cannot_be_read_is_the_reason_that_is_told(self) -> None:
        """Whether a policy waits there to be confirmed is not known, so the box stays closed."""
        self.disk.symlink_to(self.disk.name)
        said = self.camfw("apply", expect=1).said
        self.assertIn("a boot that cannot read what is kept there stays sealed", said)
        self.program.forget(self.program.run_folder)
        said = self.camfw("boot", expect=3).said
        self.assertIn("cannot tell whether the file was ever confirmed: cannot read /var/lib/camfw/unconfirmed", said)
        self.assertNotIn("never confirmed", said)

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
