"""Required work that was not done never gives exit code 0; removed rules of other
programs are named."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.tables import meant


@both_backends
class Unkept(RouterTest):
    """Folders that cannot be written."""

    @contextlib.contextmanager
    def mounted(self, folder: object, options: str) -> Iterator[None]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    def test_connections_end_where_run_cannot_be_written_and_it_is_said(self) -> None:
        folder = self.program.run_folder / "camfw"
        self.camfw("boot")
        text = self.program.config.read_text()
        without = text.replace('service = "http"', 'service = "rtsp"')
        for what in ("read-only", "no inodes", "a file in its place"):
            with self.subTest(what), contextlib.ExitStack() as stack:
                self.program.configure(text)
                self.camfw("apply")
                stack.enter_context(Listener(self.camera, tcp=[80]))
                flow = stack.enter_context(self.laptop.socket())
                flow.settimeout(probes.PATIENCE)
                flow.connect((example.CAMERA.address, 80))
                flow.sendall(b"control")
                self.assertEqual(flow.recv(100), b"control")
                if what == "a file in its place":
                    shutil.rmtree(folder)
                    folder.touch()
                    stack.callback(folder.unlink)
                options = {"read-only": "ro", "no inodes": "size=4k,nr_inodes=1"}.get(what)
                mount = f'/bin/mount -t tmpfs -o {options} none /run/camfw; exec "$@"'
                before = ["/bin/sh", "-c", mount, "sh"] if options else []
                self.program.configure(without)
                # There is no recorded state, so the existing rules are camfw's own.
                result = self.camfw("apply", expect=1, before=before)
                self.assertIn("Applied: ", result.stderr)
                self.assertIn("cannot keep", result.stderr)
                flow.settimeout(1)
                flow.sendall(b"after")
                with self.assertRaises(TimeoutError):
                    flow.recv(100)

    def test_a_disk_that_cannot_be_written_is_exit_1_unless_the_file_says_so(self) -> None:
        with self.mounted(self.program.var, "ro"):
            for command in ("boot", "apply"):
                said = self.camfw(command, expect=1).stderr
                self.assertIn("Applied: ", said)
                self.assertIn("cannot keep the last good policy in /var/lib/camfw", said)
                self.assertIn("the next boot takes the file as it is then", said)
            self.program.configure(self.program.config.read_text() + "\n[router]\nkeep = false\n")
            for command in ("boot", "apply"):
                self.camfw(command)
            self.camfw("apply", "--confirm", "60")
            self.camfw("confirm")
            self.camfw("status")


@both_backends
class Taken(RouterTest):
    """Other programs' rules."""

    def theirs(self) -> None:
        for words in (("-N", "DOCKER"), ("-A", "DOCKER", "-d", "172.17.0.2/32", "-j", "ACCEPT"),
                      ("-A", "FORWARD", "-j", "DOCKER")):
            self.tables.run("iptables", *words)

    def test_the_first_apply_where_others_have_rules_is_refused_with_their_names(self) -> None:
        self.theirs()
        before = meant(self.tables.snapshot())
        for arguments in (("apply",), ("apply", "--confirm", "60")):
            said = self.camfw(*arguments, expect=2).stderr
            self.assertIn("--replace" if len(arguments) == 1 else "", said)
        said = self.camfw("apply", expect=2).stderr
        for word in ("chain DOCKER", "-A FORWARD -j DOCKER", "--replace", "nothing was changed"):
            self.assertIn(word, said)
        self.assertEqual(meant(self.tables.snapshot()), before)
        said = self.camfw("apply", "--replace").stderr
        self.assertIn("taken away: IPv4: table filter: ", said)
        self.assertNotIn("DOCKER", self.tables.snapshot())
        self.camfw("status")

    def test_boot_is_not_held_up(self) -> None:
        self.theirs()
        self.camfw("boot")
        self.assertNotIn("DOCKER", self.tables.snapshot())

    def test_a_later_apply_names_what_it_takes_away_and_only_that(self) -> None:
        self.camfw("boot")
        self.theirs()
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        said = self.camfw("apply").stderr
        self.assertIn("chain DOCKER is not ours", said)
        self.assertNotIn("--dport 22 ", said)
        self.change_config('service = ["ssh", "https"]', 'service = "ssh"')
        self.assertNotIn("taken away", self.camfw("apply").stderr)

    def test_a_trial_names_what_it_takes_away_of_others_and_not_its_own(self) -> None:
        self.camfw("boot")
        self.change_config('service = "ssh"', 'service = "https"')
        self.assertNotIn("taken away", self.camfw("apply", "--confirm", "60").stderr)
        self.camfw("confirm")
        self.theirs()
        self.change_config('service = "https"', 'service = "ssh"')
        said = self.camfw("apply", "--confirm", "60").stderr
        self.assertIn("chain DOCKER is not ours", said)
        self.assertNotIn("--dport 443 ", said)

    def test_a_trial_on_an_open_box_with_rules_of_others_is_refused_too(self) -> None:
        self.camfw("boot")
        self.camfw("open")
        self.theirs()
        before = meant(self.tables.snapshot())
        for arguments in (("apply",), ("apply", "--confirm", "60")):
            self.assertIn("--replace", self.camfw(*arguments, expect=2).stderr)
            self.assertEqual(meant(self.tables.snapshot()), before)
        self.assertTrue(self.camfw("status", expect=1).stdout.startswith("OPEN"))
        self.assertIn("chain DOCKER", self.camfw("apply", "--replace", "--confirm", "60").stderr)
        self.assertNotIn("DOCKER", self.tables.snapshot())

    def test_verbose_names_every_change(self) -> None:
        self.camfw("boot")
        self.router.write_sysctl("net.ipv4.conf.eth1.rp_filter", "0")
        self.router.ip("route", "del", "default")
        said = self.camfw("apply", "--verbose").stderr
        self.assertIn("sysctl net.ipv4.conf.eth1.rp_filter = 1", said)
        self.assertIn("set route 0.0.0.0/0 via 192.168.0.1 on eth0", said)
        self.assertIn("2 changes made", said)
        self.router.ip("route", "del", "default")
        self.assertIn("Applied: 1 change made", self.camfw("apply").stderr)


@both_backends
class FirstLine(RouterTest):
    """The first line of status is the name of the state."""

    def first(self, expect: int) -> str:
        return self.camfw("status", expect=expect).stdout.splitlines()[0]

    def test_each_state(self) -> None:
        self.assertEqual(self.first(1), "UNKNOWN; no camfw command has run since the kernel started")
        self.camfw("boot")
        self.assertRegex(self.first(0), r"^APPLIED for \d+ s$")
        self.camfw("apply", "--confirm", "60")
        self.assertRegex(self.first(0), r"^PENDING \(\d+ s left\) for \d+ s$")
        self.camfw("confirm")
        self.camfw("open")
        self.assertRegex(self.first(1), r"^OPEN for \d+ s$")
        self.camfw("seal")
        self.assertRegex(self.first(3), r"^SEALED for \d+ s$")
        self.tables.run("iptables", "-P", "INPUT", "ACCEPT")
        self.assertRegex(self.first(4), r"^UNSEALED for \d+ s; it was closed, and is not any more")
        self.camfw("apply")
        self.router.write_sysctl("net.ipv4.ip_forward", "0")
        self.assertRegex(self.first(3), r"^NOT FORWARDING for \d+ s; sysctl net.ipv4.ip_forward is 0, not 1$")
        self.camfw("apply")
        self.program.configure("nonsense")
        self.camfw("boot", expect=1)
        self.assertRegex(self.first(1), r"^LAST GOOD for \d+ s; .*camfw.toml:1:")
        # Whether the box is closed or open can be determined without the file.
        self.camfw("seal")
        self.assertRegex(self.first(3), r"^SEALED for \d+ s$")

    def test_rules_without_forwarding_are_not_called_sealed(self) -> None:
        self.router.ip("address", "add", "192.168.8.1/24", "dev", "eth0")
        said = self.camfw("boot", expect=3).stderr
        self.assertRegex(said, "^camfw: Not forwarding: ")
        self.assertNotIn("Sealed", said)
        self.assertRegex(self.first(3), r"^NOT FORWARDING for \d+ s; ")
        report = json.loads(self.camfw("status", "--json", expect=3).stdout)
        self.assertEqual(report["state"], "not-forwarding")
