"""Drop-ins: camfw.d/*.toml beside camfw.toml, read in the order of their names."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from lab import example, probes
from lab.services import Listener
from netns import program
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, allow, camera

NOBODY = 65534


@both_backends
class DropIns(RouterTest):
    """One policy in several files, or a refusal that names the file."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.program.config.with_suffix(".d")
        self.folder.mkdir(mode=0o755)
        self.program.configure(EXTERNAL + PRIVATE + PING)

    def drop_in(self, name: str, *parts: str) -> Path:
        path = self.folder / name
        path.write_text("\n".join(parts))
        path.chmod(0o644)
        return path

    def assert_refused(self, path: Path, *words: str, commands: tuple[str, ...] = ("check", "apply")) -> None:
        """Checks that every command refuses with one line about `path` and changes
        nothing."""
        before = self.tables.snapshot()
        for command in commands:
            # `status` says the state of the box first: what is in force goes on.
            if command == "status":
                text = self.camfw(command, expect=1).stdout
                self.assertRegex(text, r"\A[A-Z ]+ for ")
                lines = re.findall(r"(?m)^the file is refused: (.*)$", text)
            else:
                text = self.camfw(command, expect=2).stderr
                lines = text.splitlines()
            self.assertEqual(len(lines), 1, text)
            self.assertRegex(lines[0], rf"{re.escape(str(path))}(:\d+:\d+)?: \S")
            for word in words:
                self.assertIn(word, lines[0])
        self.assertEqual(self.tables.snapshot(), before)

    def test_all_files_are_one_policy(self) -> None:
        self.drop_in("50-cameras.toml", camera("porch", example.CAMERA.address, None, 'to = "router", service = "ftp"'))
        # A zone in two files: what every box has of it, and what is this box's own.
        own = f'address = "{example.CAMERA.router}/24"\n'
        self.assertIn(own, CAMERA)
        self.drop_in("10-zone.toml", CAMERA.replace(own, ""))
        self.drop_in("15-own.toml", "[zones.camera]", own)
        self.drop_in("20-lines.toml", allow("private", "camera", "web"))
        self.drop_in("90-services.toml", "[services.web]\ntcp = [80, 8080]\n", "[services.ftp]\ntcp = [21]\n")
        # Files that are not read: with another suffix, hidden, or left by editors.
        for name in ("30-old.toml.bak", "README", ".30-hidden.toml", "20-lines.toml~", "#20-lines.toml#",
                     "#20-lines.toml", ".20-lines.toml.swp", "20-lines.toml.dpkg-new"):
            self.drop_in(name, "nonsense")
        # An editor's lock file: a dangling link.
        (self.folder / ".#20-lines.toml").symlink_to("root@box.1:2")
        with Listener(self.router, tcp=[21, 22]), Listener(self.camera, tcp=[80, 81, 8080]):
            self.camfw("boot")
            self.assertTrue(probes.tcp(self.camera, example.CAMERA.router, 21))
            self.assertFalse(probes.tcp(self.camera, example.CAMERA.router, 22, 0.5))
            for port, passes in ((80, True), (8080, True), (81, False)):
                self.assertEqual(bool(probes.tcp(self.laptop, example.CAMERA.address, port, 0.9)), passes, port)
            self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "by the main file")
        self.camfw("status")
        # The rules name the file that they come from.
        rules = self.tables.save("iptables")
        self.assertIn('--comment "20-lines.toml:1 web"', rules)
        self.assertIn('--comment "50-cameras.toml:4 porch ftp"', rules)
        # A deleted drop-in is drift, and an apply removes its rules.
        (self.folder / "20-lines.toml").unlink()
        self.camfw("status", expect=1)
        self.camfw("apply")
        self.assertNotIn("20-lines.toml", self.tables.save("iptables"))

    def test_a_key_that_is_written_twice_is_refused_with_both_places(self) -> None:
        self.camfw("boot")
        main = self.program.config
        for text, first in (
            ('# one\n[zones.private]\nmtu = 1500\nrole = "private"\n', f"role is already set at {main}:11"),
            ('[router]\nwait = 3\n', None),
        ):
            path = self.drop_in("10-first.toml", text)
            if first is not None:
                self.assert_refused(path, first)
            else:
                second = self.drop_in("20-second.toml", text)
                self.assert_refused(second, f"wait is already set at {path}:2")
        for name in ("10-first.toml", "20-second.toml"):
            self.drop_in(name, "[services.web]\ntcp = [80]\n")
        self.assert_refused(self.folder / "20-second.toml", f"tcp is already set at {self.folder}/10-first.toml:2")

    def test_a_bad_drop_in_is_refused_with_its_place(self) -> None:
        self.camfw("boot")
        path = self.drop_in("10-bad.toml", "# one\n\n[[allow]]\nfrom = 1\n")
        self.assert_refused(path)
        result = self.camfw("check", expect=2)
        self.assertIn(f"{path}:4:8: ", result.stderr)

    def test_what_others_can_write_is_refused(self) -> None:
        self.camfw("boot")
        path = self.drop_in("10-lines.toml", allow("private", "router", "ssh"))
        self.camfw("check")
        for broken, mode, owner in (
            (path, 0o646, 0), (path, 0o664, 0), (path, 0o644, NOBODY),
            (self.folder, 0o757, 0), (self.folder, 0o775, 0), (self.folder, 0o755, NOBODY),
        ):
            with self.subTest(path=broken.name, mode=oct(mode), owner=owner):
                os.chown(broken, owner, -1)
                broken.chmod(mode)
                self.assert_refused(broken, commands=("apply", "status"))
                # `check` of another file, such as in a clone, does not check the owner.
                self.camfw("check")
                self.camfw("show", "rules")
                os.chown(broken, 0, -1)
                broken.chmod(0o755 if broken.is_dir() else 0o644)
        self.camfw("check")

    def test_what_is_no_file_is_refused(self) -> None:
        self.camfw("boot")
        path = self.folder / "10-pipe.toml"
        os.mkfifo(path, 0o644)
        self.assert_refused(path)
        path.unlink()
        path.symlink_to(self.scratch / "missing")
        self.assert_refused(path)
        path.unlink()
        path.mkdir()
        self.assert_refused(path)

    def test_a_folder_that_is_there_and_cannot_be_used_is_refused(self) -> None:
        """Its drop-ins might restrict traffic: it counts as empty only if it does not
        exist."""
        closes = '[router]\negress = "listed"\n'
        self.drop_in("10-egress.toml", closes)
        self.camfw("boot")
        away = self.folder.rename(self.scratch / "away")
        for what, make in (
            ("a link that leads nowhere", lambda: self.folder.symlink_to(self.scratch / "missing")),
            ("a loop", lambda: self.folder.symlink_to(self.folder.name)),
            ("a plain file", lambda: self.folder.write_text(closes)),
            ("a pipe", lambda: os.mkfifo(self.folder, 0o644)),
        ):
            with self.subTest(what):
                make()
                self.assert_refused(self.folder)
                self.camfw("boot", expect=1)
                self.folder.unlink()
        self.camfw("check")
        away.rename(self.folder)
        # Root can read everything; any other user gets an error.
        self.folder.chmod(0o700)
        self.scratch.chmod(0o755)
        binary = self.scratch / "camfw"
        shutil.copy(program.BINARY, binary)
        become = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        result = self.camfw("check", before=become, binary=binary, expect=2)
        self.assertIn(f"{self.folder}: ", result.stderr)

    def test_each_folder_on_the_way_is_looked_at(self) -> None:
        """Whoever can rename in one of them can move camfw.d away, or replace a file in
        it."""
        place = self.scratch / "etc" / "camfw"
        place.mkdir(parents=True, mode=0o755)
        for path in (self.program.config, self.folder):
            path.rename(place / path.name)
        self.program.config, self.folder = place / self.program.config.name, place / self.folder.name
        self.drop_in("10-lines.toml", allow("private", "router", "ssh"))
        self.camfw("boot")
        for broken, mode, owner in (
            (place, 0o755, NOBODY), (place, 0o775, 0), (place, 0o1777, 0),
            (place.parent, 0o755, NOBODY), (place.parent, 0o777, 0),
        ):
            with self.subTest(path=broken.name, mode=oct(mode), owner=owner):
                os.chown(broken, owner, -1)
                broken.chmod(mode)
                self.assert_refused(self.program.config, str(broken), commands=("apply", "status"))
                self.camfw("check")
                os.chown(broken, 0, -1)
                broken.chmod(0o755)
        # A folder in which users own their entries, such as /tmp.
        place.parent.chmod(0o1777)
        self.camfw("apply")

    def test_each_link_on_the_way_is_looked_at(self) -> None:
        place, real = self.scratch / "etc", self.scratch / "real"
        real.mkdir(mode=0o755)
        for path in (self.program.config, self.folder):
            path.rename(real / path.name)
        place.symlink_to("real")
        self.program.config, self.folder = place / self.program.config.name, real / self.folder.name
        self.drop_in("10-lines.toml", allow("private", "router", "ssh"))
        self.camfw("boot")
        self.assertIn("10-lines.toml:1 ssh", self.tables.save("iptables"))
        os.chown(place, NOBODY, -1, follow_symlinks=False)
        self.assert_refused(self.program.config, str(place), commands=("apply",))
        os.chown(place, 0, -1, follow_symlinks=False)
        # The target of the link is checked as well.
        real.chmod(0o777)
        self.assert_refused(self.program.config, str(real), commands=("apply",))
        real.chmod(0o755)
        self.camfw("apply")
        # Likewise for a drop-in that is a link into another user's folder.
        others = self.scratch / "others"
        others.mkdir()
        (others / "x.toml").write_text(allow("camera", "router", "ssh"))
        os.chown(others, NOBODY, -1)
        link = self.folder / "20-link.toml"
        link.symlink_to(others / "x.toml")
        self.program.config.write_text(self.program.config.read_text() + CAMERA)
        self.camfw("check")
        self.assert_refused(place / self.folder.name / link.name, str(others), commands=("apply",))

    def test_a_link_in_place_of_the_folder(self) -> None:
        # In an image whose /etc consists of links, the targets are what is checked.
        elsewhere = self.scratch / "elsewhere"
        self.folder.rename(elsewhere)
        self.folder.symlink_to(elsewhere)
        self.drop_in("10-lines.toml", allow("private", "router", "ssh"))
        self.camfw("boot")
        self.assertIn("10-lines.toml:1 ssh", self.tables.save("iptables"))
        elsewhere.chmod(0o777)
        self.assert_refused(self.folder, commands=("apply",))

    def test_a_bad_drop_in_at_boot_leaves_the_box_sealed(self) -> None:
        self.drop_in("10-bad.toml", "nonsense")
        self.lab.configure_router()
        self.assert_open()
        self.camfw("boot", expect=2)
        self.assert_sealed()
