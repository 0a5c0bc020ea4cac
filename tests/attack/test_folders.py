"""Another user of the box tries to choose what a boot loads, by every folder that camfw
reads from and root left open to him.

What he does he does as himself. After it a boot loads the policy that root wrote, or none.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest

USER = 4711
# Long beside a boot, short beside a wait without a limit.
SECONDS = 90
NAME = "mail.example.org"
CLOSES = '[router]\negress = "listed"\n'
OPENS = '[[allow]]\nfrom = "camera"\nto = "router"\nservice = { tcp = [23] }\n'
BY_NAME = f'[[allow]]\nfrom = "private"\nto = "external"\nservice = "smtp"\nhost = "{NAME}"\n'

Act = Callable[[], None]


class Folders(RouterTest):
    """The tables are beside the point here; the other files run on both."""

    backend = "legacy"

    def setUp(self) -> None:
        super().setUp()
        self.scratch.chmod(0o755)
        self.place = self.scratch / "etc" / "camfw"
        self.drop_ins = self.place / "camfw.d"
        self.drop_ins.mkdir(parents=True, mode=0o755)
        self.disk, self.memory = self.program.var / "camfw", self.program.run_folder / "camfw"
        # Of root, and of no use to anybody but him: a policy that he has no more, and
        # what was kept of it.
        self.old = self.scratch / "old"
        self.old.mkdir(mode=0o755)
        closed = self.program.config.read_text() + BY_NAME
        self.program.config.unlink()
        self.program.config = self.place / "camfw.toml"
        self.program.configure(closed + OPENS)
        self.camfw("boot")
        self.write(self.old / "camfw.toml", closed + OPENS)
        self.write(self.old / "opens.toml", OPENS)
        self.write(self.old / "last-good", (self.disk / "last-good").read_text())
        self.write(self.old / "state.json", (self.memory / "state.json").read_text())
        self.write(self.old / "hosts", f"{NAME} {example.INTERNET.address}\n")
        (self.old / "camfw.d").mkdir(mode=0o755)
        self.write(self.old / "camfw.d" / "10-opens.toml", OPENS)
        with Listener(self.router, tcp=[23]):
            self.assertTrue(probes.tcp(self.camera, example.CAMERA.router, 23), "control: it is open by that one")
        self.program.configure(closed)
        self.write(self.drop_ins / "10-closes.toml", CLOSES)
        self.program.forget()
        self.camfw("boot")
        self.wanted = self.tables.snapshot()
        self.assertIn("OUTPUT DROP", self.wanted)

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o644)

    def as_the_user(self, script: str) -> None:
        """Whether he succeeds or not; he has all the files that root can be had to read."""
        subprocess.run(
            ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--", "sh", "-c", script],
            check=False, capture_output=True, cwd="/", timeout=60,
        )

    def assert_root_chooses(self) -> None:
        """A boot after the attempt loads what root wrote, or nothing."""
        result = self.program.run("boot", seconds=SECONDS)
        if result.code in (0, 1):
            self.assertEqual(self.tables.snapshot(), self.wanted, str(result))
        else:
            self.assert_closed_tables()
            self.assertEqual(self.forwarding(), "0")
            # Root is told whose fault it is.
            self.assertRegex(result.said, r"belongs to user|others than its owner|cannot|drop-ins")
        with Listener(self.router, tcp=[23]):
            self.assertFalse(probes.tcp(self.camera, example.CAMERA.router, 23, 0.2))

    def attempt(self, what: str, leave_open: Act, script: str, **paths: Path) -> None:
        """Root leaves something open, the user makes use of it, and the box is switched on
        again; then all is as before."""
        with self.subTest(what):
            kept = self.scratch / "kept"
            kept.mkdir()
            for folder in (self.place.parent, self.program.var, self.program.run_folder):
                subprocess.run(["cp", "-a", folder, kept / folder.name], check=True)
            try:
                leave_open()
                names = {name: shlex.quote(str(path)) for name, path in paths.items()}
                self.as_the_user(script.format(old=self.old, **names))
                self.assert_root_chooses()
            finally:
                for folder in (self.place.parent, self.program.var, self.program.run_folder):
                    # The folders themselves stay: a program may have them mounted.
                    subprocess.run(f"find {folder} -mindepth 1 -delete && cp -aT {kept / folder.name} {folder}",
                                   shell=True, check=True)
                subprocess.run(["rm", "-rf", kept], check=True)

    def restarted(self) -> None:
        """The machine was switched off."""
        self.program.forget(self.program.run_folder)

    # -- the configuration --

    def test_the_folder_of_the_configuration(self) -> None:
        def owner() -> None:
            os.chown(self.place, USER, -1)

        def group() -> None:
            os.chown(self.place, -1, USER)
            self.place.chmod(0o775)

        def everybody() -> None:
            self.place.chmod(0o777)

        for how in (owner, group, everybody):
            for what, script in {
                "moves the drop-ins away": "mv {place}/camfw.d {place}/gone",
                "puts an empty folder in their place": "mv {place}/camfw.d {place}/gone; mkdir {place}/camfw.d",
                "leads their name nowhere": "mv {place}/camfw.d {place}/gone; ln -s nowhere {place}/camfw.d",
                "leads their name to an old one": "mv {place}/camfw.d {place}/gone; ln -s {old}/camfw.d {place}/camfw.d",
                "puts his file in its place": "cp {old}/camfw.toml {place}/x; mv -f {place}/x {place}/camfw.toml",
                "leads its name to an old one": "ln -sf {old}/camfw.toml {place}/camfw.toml",
                "links an old one": "ln -f {old}/camfw.toml {place}/camfw.toml",
                "takes it away": "rm -f {place}/camfw.toml",
                "puts a pipe in its place": "rm -f {place}/camfw.toml; mkfifo {place}/camfw.toml",
            }.items():
                self.attempt(f"{how.__name__}: {what}", how, script, place=self.place)

    def test_a_sticky_folder_of_the_configuration(self) -> None:
        """What is root's stays, and what root does not have can be put there."""
        def sticky() -> None:
            self.place.chmod(0o1777)

        def without_drop_ins() -> None:
            sticky()
            (self.drop_ins / "10-closes.toml").unlink()
            self.drop_ins.rmdir()
            self.program.configure(self.program.config.read_text() + CLOSES)

        self.attempt("moves the drop-ins away", sticky, "mv {place}/camfw.d {place}/gone", place=self.place)
        for what, script in {
            "leads the drop-ins' name to others": "ln -s {old}/camfw.d {place}/camfw.d",
            "has drop-ins of his own": "cp -r {old}/camfw.d {place}/camfw.d",
        }.items():
            self.attempt(what, without_drop_ins, script, place=self.place)

    def test_a_folder_above(self) -> None:
        above = self.place.parent

        def owner() -> None:
            os.chown(above, USER, -1)

        def everybody() -> None:
            above.chmod(0o777)

        for how in (owner, everybody):
            for what, script in {
                "puts a folder of links in its place":
                    "mv {above}/camfw {above}/gone; mkdir {above}/camfw; ln -s {old}/camfw.toml {above}/camfw/camfw.toml",
                "leads its name to another": "mv {above}/camfw {above}/gone; ln -s {old} {above}/camfw",
                "takes it away": "mv {above}/camfw {above}/gone",
            }.items():
                self.attempt(f"{how.__name__}: {what}", how, script, above=above)

    def test_a_link_of_his(self) -> None:
        above = self.place.parent

        def link() -> None:
            real = above / "real"
            self.place.rename(real)
            self.place.symlink_to("real")
            os.chown(self.place, USER, -1, follow_symlinks=False)

        def sticky() -> None:
            link()
            above.chmod(0o1777)

        self.attempt("leads it elsewhere", sticky, "rm {above}/camfw; ln -s {old} {above}/camfw", above=above)
        self.attempt("has a link", link, "true", above=above)

    def test_the_folder_of_drop_ins(self) -> None:
        def owner() -> None:
            os.chown(self.drop_ins, USER, -1)

        def everybody() -> None:
            self.drop_ins.chmod(0o777)

        def sticky() -> None:
            self.drop_ins.chmod(0o1777)

        for how in (owner, everybody, sticky):
            for what, script in {
                "takes one away": "rm -f {folder}/10-closes.toml",
                "adds one": "cp {old}/opens.toml {folder}/20-opens.toml",
                "adds a link to one": "ln -s {old}/opens.toml {folder}/20-opens.toml",
                "links an old one": "ln {old}/opens.toml {folder}/20-opens.toml",
                "adds a pipe": "mkfifo {folder}/20-opens.toml",
            }.items():
                self.attempt(f"{how.__name__}: {what}", how, script, folder=self.drop_ins)

    def test_a_file_of_his(self) -> None:
        for path in (self.program.config, self.drop_ins / "10-closes.toml"):
            for what, leave_open in {
                "owner": lambda path=path: os.chown(path, USER, -1),
                "everybody": lambda path=path: path.chmod(0o666),
            }.items():
                self.attempt(f"{what} of {path.name}", leave_open, "cat {old}/camfw.toml >{path}", path=path)

    # -- what is kept --

    def test_what_is_kept_on_the_disk(self) -> None:
        def owner() -> None:
            self.restarted()
            os.chown(self.disk, USER, -1)

        def everybody() -> None:
            self.restarted()
            self.disk.chmod(0o777)

        def above() -> None:
            self.restarted()
            os.chown(self.program.var, USER, -1)

        unconfirmed = "cp {old}/last-good {folder}/unconfirmed"
        for how in (owner, everybody, above):
            for what, script in {
                "has a last good policy of his":
                    f"rm -f {{folder}}/last-good; cp {{old}}/last-good {{folder}}/last-good; {unconfirmed}",
                "links an old one": f"ln -f {{old}}/last-good {{folder}}/last-good; {unconfirmed}",
                "leads to an old one": f"ln -sf {{old}}/last-good {{folder}}/last-good; {unconfirmed}",
                "says where a name is": "rm -f {folder}/hosts; cp {old}/hosts {folder}/hosts",
                "puts pipes there": "for name in last-good unconfirmed hosts last-good.new hosts.new sealed; do"
                                    " rm -f {folder}/$name; mkfifo {folder}/$name; done",
                "puts another folder there": "mv {folder} {folder}.gone; mkdir -m 700 {folder};"
                                             " cp {old}/last-good {old}/hosts {folder}",
                "leads the folder elsewhere": "mv {folder} {folder}.gone; ln -s {old} {folder}",
            }.items():
                self.attempt(f"{how.__name__}: {what}", how, script, folder=self.disk)

    def test_what_is_kept_in_memory(self) -> None:
        def owner() -> None:
            os.chown(self.memory, USER, -1)

        def above() -> None:
            os.chown(self.program.run_folder, USER, -1)

        for how in (owner, above):
            for what, script in {
                "says what is in force": "rm -f {folder}/state.json; cp {old}/state.json {folder}/state.json;"
                                         " ln -f {old}/last-good {folder}/last-good",
                "has a policy to be confirmed": "cp {old}/last-good {folder}/unconfirmed;"
                                                " rm -f {folder}/last-good; cp {old}/last-good {folder}/last-good",
                "says where a name is": "rm -f {folder}/hosts; cp {old}/hosts {folder}/hosts",
                "puts pipes there": "for name in state.json last-good unconfirmed hosts revoke state.json.new sealed; do"
                                    " rm -f {folder}/$name; mkfifo {folder}/$name; done",
                "puts a pipe in place of the lock": "rm -f {folder}.lock; mkfifo {folder}.lock",
                "leads the lock elsewhere": "rm -f {folder}.lock; ln -s {old}/camfw.toml {folder}.lock",
            }.items():
                self.attempt(f"{how.__name__}: {what}", how, script, folder=self.memory)
        self.assertEqual((self.old / "camfw.toml").read_text().count(OPENS), 1, "nothing was written through his link")
