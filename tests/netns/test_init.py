"""What docs/getting-started.md has a sysvinit box run: the page's lines are carried out as they stand, by Debian's
own init and cron, in the router's network namespace and with an /etc of their own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

from lab import example, probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, ZONES, allow
from netns.program import BINARY, COMMANDS, DEVICES, ROOT, multi

PAGE = ROOT / "docs/getting-started.md"
SCRIPT = ROOT / "qemu/overlay/etc/init.d/camfw"
# Unpacked by tests/lab/install.
UNPACKED = ROOT / "build/init"
INIT, CRON = UNPACKED / "sbin/init", UNPACKED / "usr/sbin/cron"
NAME, MAIL = "mail.example.org", "192.168.0.31"
POLICY = ZONES + PING + allow("private", "external", "smtp", f'host = "{NAME}"')
# A box whose runlevel is 2, and that runs its boot scripts first of all.
INITTAB = "id:2:initdefault:\nsi::sysinit:/bin/run-parts --regex=^S --arg=start /etc/rcS.d\n"


def steps() -> list[str]:
    """The page's lines for sysvinit."""
    after = PAGE.read_text().split("With sysvinit:\n")[1]
    found = re.search(r"```sh\n(.*?)```", after, re.DOTALL)
    assert found is not None
    lines = found[1].split("\n")
    lines = [line.strip() for line in lines if line.strip()]
    assert len(lines) == 3, lines
    return lines


@both_backends
class Init(RouterTest):
    def setUp(self) -> None:
        super().setUp()
        for program in (INIT, CRON):
            self.assertTrue(os.access(program, os.X_OK), f"tests/lab/install unpacks {program}")
        self.program.configure(POLICY)
        self.program.resolv.write_text(f"nameserver {example.INTERNET.address}\noptions timeout:5 attempts:1\n")

    def box(self, *then: str) -> subprocess.Popen[bytes]:
        """A box that the page's lines were typed on; its first process is what `then` says last."""
        over = self.scratch / "over"
        over.mkdir()
        commands = "".join(f"ln -sf {multi(self.backend)} /usr/sbin/{name}\n" for name in COMMANDS)
        devices = "".join(f"mount --bind /dev/{name} {self.program.dev}/{name}\n" for name in DEVICES)
        script = f"""
            set -e
            {devices}
            mount --rbind {self.program.dev} /dev
            mount --bind {self.program.run_folder} /run
            mount --bind {self.program.var} /var/lib
            mount -t tmpfs tmpfs /var/spool
            mount -t tmpfs tmpfs {over}
            for place in etc usr/sbin; do
                mkdir -p {over}/$place {over}/work/$place
                mount -t overlay overlay -o lowerdir=/$place,upperdir={over}/$place,workdir={over}/work/$place /$place
            done
            mount -t sysfs sysfs /sys
            # Where this machine's own names lead to does not matter.
            rm -f /etc/resolv.conf /etc/cron.d/*
            cp {self.program.resolv} /etc/resolv.conf
            mkdir -p /etc/camfw /etc/init.d /etc/cron.d
            cp {self.program.config} /etc/camfw/camfw.toml
            cp {SCRIPT} /etc/init.d/camfw
            rm -f /usr/sbin/camfw
            touch /usr/sbin/camfw
            mount --bind {BINARY} /usr/sbin/camfw
            {commands}
            printf %s {shlex.quote(INITTAB)} >/etc/inittab
            # As the package does when it is installed, on a box without other boot scripts.
            rm -rf /etc/rc?.d
            update-rc.d camfw defaults-disabled
            # As cron's package does.
            echo crontab:x:999: >>/etc/group
        """
        log = (self.scratch / "box.log").open("wb")
        self.addCleanup(log.close)
        process = self.router.start(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", script + "\n".join((*steps(), *then))],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stdout=log.fileno(), stderr=log.fileno())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def said(self) -> str:
        return (self.scratch / "box.log").read_text() + self.program.logged()

    def watches(self) -> list[int]:
        """The processes of `camfw watch`."""
        found = []
        for pid in self.router.pids():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except FileNotFoundError:
                continue
            if words[0].endswith(b"camfw") and words[1:2] == [b"watch"]:
                found.append(pid)
        return found

    def test_init_starts_watch_again(self) -> None:
        self.box(f"exec {INIT}")
        self.assertTrue(wait_until(lambda: len(self.watches()) == 1), self.said())
        self.lab.settle()
        self.assertTrue(probes.ping(self.laptop, example.LAPTOP.router), "it booted")
        [first] = self.watches()
        os.kill(first, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.watches() not in ([], [first])), self.said())
        # The boot script has left it to init, and started none beside it.
        self.assertFalse(wait_until(lambda: len(self.watches()) != 1, 3))

    def test_without_the_line_nobody_starts_it_again(self) -> None:
        # The control: it is by the page's line that init starts it, and the boot script does so once.
        self.box("sed -i /respawn/d /etc/inittab", f"exec {INIT}")
        self.assertTrue(wait_until(lambda: len(self.watches()) == 1), self.said())
        [first] = self.watches()
        os.kill(first, signal.SIGKILL)
        self.assertFalse(wait_until(lambda: self.watches() not in ([], [first]), 3))

    def test_cron_looks_names_up(self) -> None:
        self.internet.ip("address", "add", f"{MAIL}/32", "dev", "lo")
        self.enterContext(Listener(self.internet, tcp=[25]))
        server = self.internet.start([
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null",
            f"--listen-address={example.INTERNET.address}", "--pid-file=", f"--address=/{NAME}/{MAIL}"])
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        # Each minute, so that nobody waits for five.
        self.box("grep -q '^[*]/5 ' /etc/cron.d/camfw", "sed -i 's|^[*]/5 |* |' /etc/cron.d/camfw",
                 "/etc/init.d/camfw start", f"exec {CRON} -f")
        self.assertTrue(wait_until(lambda: bool(probes.ping(self.laptop, example.LAPTOP.router, 0.3))), self.said())
        self.assertFalse(probes.tcp(self.laptop, MAIL, 25, 0.5), "a boot asks nobody")
        self.assertTrue(wait_until(lambda: bool(probes.tcp(self.laptop, MAIL, 25, 0.5)), probes.PATIENCE * 2.5), self.said())
