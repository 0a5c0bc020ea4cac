"""Closing waits for nobody: not for the lock, the lock of the tables, or an apply in
progress."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lab import probes
from lab.hosts import Host
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.program import tools, wrap
from netns.test_network import SECOND

# The time limit for seal under any circumstances: twice the limit of its programs, the
# wait for the lock, and a margin for a busy machine.
STATED = 60
BRIDGE = 'interface = { bridge = ["eth1", "eth3"], name = "br-cam" }'


class SealTest(RouterTest):
    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Another program holds the lock of that name in /run."""
        with (self.program.run_folder / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def mark(self) -> Path:
        return self.program.run_folder / "camfw/sealed"

    def state(self) -> str:
        state = json.loads(self.program.run("status", "--json").stdout)["state"]
        assert isinstance(state, str)
        return state

    def slow(self, where: str) -> tuple[Path, Path, Path]:
        """Commands that pause a load of a policy, before or after it is done, or pause the
        first and then let it fail ("instead"). Returns the folder, the file that appears
        when the load pauses, and the file that lets it continue."""
        path = tools(self.scratch / f"slow-{where}", self.backend)
        waits, go = self.scratch / f"waits-{where}", self.scratch / f"go-{where}"
        wait = f"touch {waits}; until [ -e {go} ]; do sleep 0.05; done"
        real = 'real "$@" <<<"$input"'
        first, then = {"before": (wait, real), "after": (real, wait), "instead": (wait, "exit 1")}[where]
        again = f" && ! -e {waits}" if where == "instead" else ""
        wrap(path, "iptables-restore", "input=$(cat)\n"
             f'if [[ $input == *SPOOFED*{again} ]]; then\n{first}\n{then}\nelse {real}; fi', self.backend)
        return path, waits, go

    def other_policy(self) -> None:
        """Another one, by which table raw is loaded too."""
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')

    def apply_while_seal_is_killed(self, where: str) -> None:
        """An apply is under way when the box is sealed, by a seal that does not close it
        again when the lock is free; it ends with the box closed."""
        path, waits, go = self.slow(where)
        apply = self.program.start("apply", path=path)
        self.assertTrue(wait_until(waits.exists))
        seal = self.program.start("seal")
        self.assertTrue(wait_until(self.mark().exists))
        seal.kill()
        seal.communicate()
        go.touch()
        _, said = apply.communicate(timeout=STATED)
        self.assertEqual(apply.returncode, 3, said)
        self.assert_sealed()


@both_backends
class Seal(SealTest):
    def test_another_command_that_has_the_lock_does_not_keep_it_open(self) -> None:
        self.camfw("boot")
        self.assertTrue(probes.ping(self.camera, self.lab.address("camera", "router")), "control")
        with self.holding("camfw.lock"):
            started = time.monotonic()
            process = self.program.start("seal")
            # Well before it gives up waiting for the lock.
            self.assertTrue(wait_until(lambda: self.forwarding() == "0" and self.mark().exists()))
            process.communicate(timeout=STATED)
            self.assertEqual(process.returncode, 0)
            self.assertLess(time.monotonic() - started, STATED)
            self.assert_sealed()
            self.assertRegex(self.camfw("status", expect=3).stdout, "^SEALED for ")
        self.camfw("apply")
        self.assertFalse(self.mark().exists())
        self.assertEqual(self.state(), "applied")

    def test_an_apply_under_way_does_not_open_what_was_sealed(self) -> None:
        for where in ("before", "after"):
            with self.subTest(where):
                self.camfw("boot")
                self.other_policy()
                path, waits, go = self.slow(where)
                apply = self.program.start("apply", path=path)
                self.assertTrue(wait_until(waits.exists))
                seal = self.program.start("seal")
                self.assertTrue(wait_until(self.mark().exists))
                # While the other command still has the lock.
                self.assertTrue(wait_until(lambda: self.forwarding() == "0"))
                go.touch()
                _, said = apply.communicate(timeout=STATED)
                self.assertEqual(apply.returncode, 3, said)
                self.assertIn(b"sealed meanwhile", said)
                seal.communicate(timeout=STATED)
                self.assertEqual(seal.returncode, 0)
                self.assert_sealed()
                self.assertEqual(self.state(), "sealed")
                self.change_config('service = ["ssh", "https"]', 'service = "ssh"')
                self.change_config('rate = "20/minute"', 'rate = "10/minute"')

    def test_an_apply_under_way_closes_it_when_seal_is_gone(self) -> None:
        self.camfw("boot")
        self.other_policy()
        self.apply_while_seal_is_killed("before")
        # Neither watch nor refresh opens it.
        self.camfw("refresh", expect=1)
        self.assert_sealed()

    def waits_for_lock(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has read the mark, which it does before it opens the lock file."""
        def opened(link: Path) -> str:
            with contextlib.suppress(OSError):
                return os.readlink(link)
            return ""  # closed meanwhile
        return any(opened(link).endswith("/camfw.lock") for link in Path(f"/proc/{process.pid}/fd").iterdir())

    def test_who_waited_for_a_boot_does_not_close_what_it_opened(self) -> None:
        self.camfw("boot")
        path, waits, go = self.slow("before")
        for command, state in (("apply", "applied"), ("refresh", "applied"), ("watch", "applied"), ("open", "open")):
            with self.subTest(command):
                for file in (waits, go):
                    file.unlink(missing_ok=True)
                boot = self.program.start("boot", path=path)
                self.assertTrue(wait_until(waits.exists))
                self.assertTrue(self.mark().exists(), "control: sealed when the other one begins")
                waiting = self.program.start(command)
                self.assertTrue(wait_until(lambda: self.waits_for_lock(waiting)))
                go.touch()
                _, said = boot.communicate(timeout=STATED)
                self.assertEqual(boot.returncode, 0, said)
                if command == "watch":
                    # It has had its turn once another command can take the lock
                    # repeatedly.
                    for _ in range(3):
                        self.camfw("refresh")
                    waiting.terminate()
                _, said = waiting.communicate(timeout=STATED)
                if command != "watch":
                    self.assertEqual(waiting.returncode, 0, said)
                self.assertFalse(self.mark().exists())
                self.assertEqual(self.state(), state)
                self.assertEqual(self.forwarding(), "1")

    def test_an_interface_that_forwards_for_itself_does_not_any_more(self) -> None:
        self.camfw("boot")
        self.camfw("seal")
        self.router.write_sysctl("net.ipv4.conf.eth1.forwarding", "1")
        self.assertEqual(self.forwarding(), "0", "that of all is as it was")
        self.assertIn("net.ipv4.conf.eth1.forwarding", self.camfw("status", expect=4).stdout)
        self.camfw("seal")
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.eth1.forwarding"), "0")
        self.assert_sealed()
        self.camfw("status", expect=3)
        self.camfw("apply")
        self.camfw("status")

    def test_where_run_cannot_be_written_it_is_closed_and_said(self) -> None:
        self.camfw("boot")
        read_only = "/bin/mount -t tmpfs -o ro none /run; exec \"$@\""
        result = self.camfw("seal", before=["/bin/sh", "-c", read_only, "sh"], expect=1)
        self.assertIn("Sealed: the box is closed; but cannot keep", result.stderr)
        self.assert_sealed()


# A seccomp(2) filter makes socket(AF_NETLINK, ..., NETLINK_NETFILTER) fail with EIO. In
# struct seccomp_data, the system call's number is at offset 0 and its arguments start
# at 16.
WITHOUT_NFNETLINK = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
def unless(at, value, skip):
    return struct.pack("=HBBI", 0x20, 0, 0, at) + struct.pack("=HBBI", 0x15, 0, skip, value)
code = unless(0, number, 5) + unless(16, 16, 3) + unless(32, 12, 1)
code += struct.pack("=HBBI", 0x06, 0, 0, 0x00050005) + struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
kept = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HP", len(code) // 8, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def without_nfnetlink() -> list[str]:
    """Runs a program that cannot use nfnetlink."""
    return [sys.executable, "-c", WITHOUT_NFNETLINK]


class SealLegacy1(SealTest):
    """Tests that need legacy iptables, or for which the backend does not matter."""

    backend = "legacy"

    def test_tables_that_cannot_be_had_in_time_are_links_that_are_down(self) -> None:
        self.camfw("boot")
        with self.holding("xtables.lock"):
            started = time.monotonic()
            result = self.camfw("seal", expect=3)
            self.assertLess(time.monotonic() - started, STATED)
            self.assertIn("Sealed: the interfaces are down", result.stderr)
            for interface in ("eth0", "eth1", "eth2"):
                shown = self.router.run(["ip", "-br", "link", "show", interface], check=True).stdout
                self.assertIn(" DOWN ", shown)
            for way, reach in self.crossings(wait=0.5).items():
                self.assertFalse(reach, way)
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, self.lab.address("camera", "router")))

    def test_links_go_down_whether_nftables_answers_or_not(self) -> None:
        self.camfw("boot")
        result = self.camfw("seal", before=without_nfnetlink(), expect=3)
        self.assertIn("Sealed: the interfaces are down", result.stderr)
        self.assertIn("nftables", result.stderr, "what failed is said")
        self.assertNotIn("tables could not", result.stderr)
        for way, reach in self.crossings(wait=0.5).items():
            self.assertFalse(reach, way)
        self.assert_closed_tables()
        self.assertIn('"how":"links"', self.camfw("status", "--json", expect=3).stdout)
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, self.lab.address("camera", "router")))

    def test_the_ports_of_its_own_bridge_go_down_and_come_up_again(self) -> None:
        with Host(SECOND) as second:
            second.plug(self.router)
            self.change_config('interface = "eth1"', BRIDGE)
            self.camfw("boot")
            for host in (self.camera, second.namespace):
                self.assertTrue(probes.ping(host, "192.168.8.1"), "control")
            # Ports that another program allows to reach each other do so on layer 2.
            self.router.write_sysctl("net.bridge.bridge-nf-call-iptables", "0")
            for port in ("eth1", "eth3"):
                self.router.run(["bridge", "link", "set", "dev", port, "isolated", "off"], check=True)
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, SECOND.address, 1))), "control")
            self.camfw("seal")
            self.assertFalse(probes.ping(self.camera, SECOND.address, 1))
            self.camfw("apply")
            for host in (self.camera, second.namespace):
                self.assertTrue(wait_until(lambda: bool(probes.ping(host, "192.168.8.1", 1))))
            self.assertFalse(probes.ping(self.camera, SECOND.address, 1))
            self.camfw("seal")
            self.camfw("open")
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, "192.168.8.1", 1))))
