"""camfw in its image, under runqemu: `bitbake -c testimage camfw-image`.

The image has the example configuration, and is wired as that says: eth0 and
eth1 lead to hosts made here of frames, eth2 to runqemu's own network (slirp),
where this machine is the laptop. The hosts, what each may do and what counts as
through are those of tests/lab, of which this has no copy.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from pathlib import Path

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage

CHECKOUT = Path(__file__).resolve().parents[5]
sys.path.append(str(CHECKOUT / "tests"))

from lab import example, wire  # noqa: E402  (found by the path above)

# As camfw_wire in camfw-image.bb has them, from CAMFW_QB_PORT on.
WIRES = {"internet": 0, "camera": 1}

# With libstd as OE-Core builds it, for speed; qemu/build has it built for size.
BINARY_LIMIT = 3 * 1024 * 1024
MEMORY_LIMIT_KIB = 4 * 1024
BOOT_SECONDS = 180

BROKEN = '\\n[[allow]]\\nfrom = "moon"\\n'


class CamfwTest(OERuntimeTestCase):
    """Each test leaves the box as it found it: applied."""

    def said(self, command: str, code: int = 0) -> str:
        """What a command on the router prints, which must exit with `code`."""
        status, output = self.target.run(command)
        self.assertEqual(status, code, f"{command}: {output}")
        return str(output)

    def kernel_log(self) -> str:
        """What camfw said at boot."""
        return self.said("dmesg")

    @contextlib.contextmanager
    def wires(self):
        """The hosts at eth0 and eth1."""
        first = int(self.td.get("CAMFW_QB_PORT", 17300))
        with contextlib.ExitStack() as stack:
            yield {
                wiring.name: stack.enter_context(wire.Wire(
                    wiring, f"52:54:00:00:00:{WIRES[wiring.name] + 1:02x}", first + 2 * WIRES[wiring.name]))
                for wiring in example.WIRINGS if wiring.name in WIRES
            }

    def reached(self, first_port: int, run) -> dict:
        """Which of the example's flows from eth0 and eth1 get through, of all that there are.

        `run` runs a command on the router. What leaves it for the laptop, who is
        no wire, is written into its log, by a rule that is there just now.
        """
        laptop = example.LAPTOP
        rule = f"POSTROUTING ! -s {laptop.router} -d {laptop.address} -j LOG --log-prefix laptop:"
        addresses = {wiring.name: wiring.address for wiring in example.WIRINGS}
        with self.wires() as wires:
            tried = wire.attempts([flow for flow, _ in example.attempts()], wires, addresses, first_port)
            self.assertEqual(len(tried), 2 * 3 * len(example.SERVICES))
            run(f"iptables -t mangle -A {rule}")
            try:
                return wire.try_all(tried, wires, lambda: run("dmesg | grep laptop:; true"))
            finally:
                run(f"iptables -t mangle -D {rule}")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_sealed_before_networking(self) -> None:
        scripts = self.said("ls /etc/rcS.d; ls /etc/rc5.d").split()
        started = [name for name in scripts if re.match(r"S\d\d", name)]
        self.assertEqual(started[0], "S01camfw", started)
        self.assertEqual([name for name in started if "networking" in name], [])
        log = self.kernel_log()
        self.assertRegex(log, r"camfw: Sealed(?s:.)*camfw: Applied(?s:.)*camfw: boot exited with code 0")
        # IPv6 says when a link is up: none before the box is closed.
        self.assertNotRegex(log.partition("camfw: Sealed")[0], r"\beth[012]: link becomes ready")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_status_holds(self) -> None:
        self.said("camfw status")
        # The control: it sees a rule that is not its own.
        self.said("iptables -I INPUT -p tcp --dport 9 -j ACCEPT")
        self.said("camfw status", 1)
        self.said("camfw apply")
        self.said("camfw status")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_static_binary_and_sizes(self) -> None:
        size = int(self.said("wc -c </usr/sbin/camfw"))
        self.assertLessEqual(size, BINARY_LIMIT)
        # A program's segments name their loader, if it needs one (ELF: PT_INTERP).
        self.said("grep -q ld-musl /usr/sbin/camfw", 1)
        self.said("grep -q ld-linux /usr/sbin/camfw", 1)
        maps = self.said("camfw watch >/dev/null 2>&1 & sleep 1; cat /proc/$!/maps; kill $!")
        self.assertIn("/usr/sbin/camfw", maps)
        self.assertNotRegex(maps, r"\.so\b")
        peak = re.search(r"peak memory (\d+) KiB", self.said(
            "camfw --verbose apply; sleep 1; grep 'peak memory' /var/log/messages | tail -n 1"))
        if peak is None:
            self.fail("camfw --verbose says nothing of its peak memory")
        self.assertLessEqual(int(peak[1]), MEMORY_LIMIT_KIB)

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_nothing_else_listens(self) -> None:
        # 0A: a TCP socket that listens; 07: a UDP socket. The port is in hexadecimal.
        tcp = self.said("cat /proc/net/tcp /proc/net/tcp6")
        listening = {int(port, 16) for port in re.findall(r":([0-9A-F]{4}) [0-9A-F:]+ 0A ", tcp)}
        self.assertEqual(listening, {21, 22})
        self.assertEqual(re.findall(r":[0-9A-F]{4} [0-9A-F:]+ 07 ", self.said("cat /proc/net/udp /proc/net/udp6")), [])

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_packets_from_the_other_cards_are_judged(self) -> None:
        for flow, reached in self.reached(40000, self.said).items():
            with self.subTest(flow=flow):
                self.assertEqual(reached, flow in example.ALLOWED)
        # The control: each of these packets passes where nothing stops it.
        self.said("camfw open")
        try:
            for flow, reached in self.reached(41000, self.said).items():
                with self.subTest(open=flow):
                    self.assertTrue(reached)
        finally:
            self.said("camfw apply")

    @OETestDepends(["camfw.CamfwTest.test_packets_from_the_other_cards_are_judged"])
    @OEHasPackage(["camfw"])
    def test_a_broken_configuration_boots_sealed(self) -> None:
        # As on the first boot: there is no last good policy to go on with.
        self.said("rm -f /var/lib/camfw/*")
        with self.broken():
            # SSH is closed with all else: the console is what is left.
            log = self.console("dmesg | grep camfw:")
            self.assertRegex(log, r"camfw: Sealed")
            self.assertRegex(log, r"camfw\.toml:\d+:\d+: ")
            self.assertIn("boot exited with code 2", log)
            self.assertNotIn("Applied", log)
            self.assertIn("0", self.console("cat /proc/sys/net/ipv4/ip_forward"))
            reached = self.reached(42000, self.console)
            self.assertEqual([flow for flow, through in reached.items() if through], [])

    @OETestDepends(["camfw.CamfwTest.test_packets_from_the_other_cards_are_judged"])
    @OEHasPackage(["camfw"])
    def test_a_broken_configuration_boots_the_last_good_policy(self) -> None:
        self.said("camfw apply")
        with self.broken():
            self.wait_for_ssh()
            log = self.kernel_log()
            self.assertRegex(log, r"camfw: Sealed")
            self.assertRegex(log, r"last good policy is used, and not the file: .*camfw\.toml:\d+:\d+: ")
            self.assertIn("boot exited with code 1", log)
            # The file is not what holds.
            self.said("camfw status", 1)
            for flow, reached in self.reached(43000, self.said).items():
                with self.subTest(flow=flow):
                    self.assertEqual(reached, flow in example.ALLOWED)

    @contextlib.contextmanager
    def broken(self):
        """The box, booted with a configuration that camfw refuses."""
        self.said("cp -p /etc/camfw/camfw.toml /etc/camfw/camfw.toml.good")
        self.said(f"printf '{BROKEN}' >>/etc/camfw/camfw.toml && sync")
        self.reboot()
        try:
            yield
        finally:
            self.console("mv /etc/camfw/camfw.toml.good /etc/camfw/camfw.toml && sync")
            self.reboot()
        self.wait_for_ssh()
        self.said("camfw status")

    def wait_for_ssh(self) -> None:
        """After a boot."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.target.run("true", timeout=10, ignore_ssh_fails=True)[0] != 0:
            self.assertLess(time.monotonic(), deadline, "SSH does not answer")
            time.sleep(1)

    def reboot(self) -> None:
        """By the console, and until it answers again."""
        runner = self.target.runner
        runner.run_serial("reboot\n", raw=True, timeout=20)
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            # At a login prompt this logs in; at a shell's it does no harm.
            runner.run_serial("root\n", raw=True, timeout=10)
            status, output = runner.run_serial("echo up''again")
            if status == 1 and "upagain" in output:
                return
        self.fail(f"the console does not answer {BOOT_SECONDS} s after a reboot")

    def console(self, command: str) -> str:
        """What a command at the serial console prints."""
        _, output = self.target.runner.run_serial(command)
        return str(output)
