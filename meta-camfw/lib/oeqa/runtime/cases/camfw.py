"""camfw in its image, under runqemu: `bitbake -c testimage camfw-image`.

The image has the example configuration, and is wired as that says: eth0 and
eth1 lead to hosts made here of frames, eth2 to runqemu's own network (slirp),
where this machine is the laptop.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import time

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage
from oeqa.utils.camfwlab import example, frames, record, upload, wire

# As camfw_wire in camfw-image.bb has them, from CAMFW_QB_PORT on.
WIRES = {"internet": 0, "camera": 1}

# With libstd as OE-Core builds it, for speed; qemu/build has it built for size.
BINARY_LIMIT = 3 * 1024 * 1024
MEMORY_LIMIT_KIB = 4 * 1024
BOOT_SECONDS = 180
LOG_SECONDS = 30
# What is recorded is in the file two seconds later; a watch that was started anew looks for the group each minute.
RECORD_SECONDS = 120
CONSOLE_SECONDS = 5
COMMAND_SECONDS = 60
# What the console ends with where somebody may log in, and where root is: OE-Core's own patterns.
LOGIN = " login:"
PROMPT = ":~#"
# How long policies change before the plug is pulled.
CHANGES_SECONDS = 3

# Who may run as root: busybox's part that asks for a password.
SETUID = {"/bin/busybox.suid"}

# One policy after another, for a power cut to come into the middle.
CHANGES = ("while :; do for rate in 10 20; do sed -i \"s,[0-9]*/minute,$rate/minute,\" /etc/camfw/camfw.toml; "
           "camfw apply; done; done")

UPLOAD_BYTES = 20_000

BROKEN = '\\n[[allow]]\\nfrom = "moon"\\n'


class CamfwTest(OERuntimeTestCase):
    """Each test leaves the box as it found it: applied."""

    # A number for each command at the console.
    commands = itertools.count()

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
    def test_few_programs_run_as_root_for_others(self) -> None:
        found = set(self.said("find / -xdev -type f -perm /6000").split())
        self.assertLessEqual(found, SETUID)

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_the_kernel_holds_what_is_proven(self) -> None:
        self.said("camfw prove --live")
        # The control: it sees a way around.
        self.said("iptables -I FORWARD -j ACCEPT")
        try:
            self.said("camfw prove --live", 1)
        finally:
            self.said("camfw apply")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_the_ftp_server_is_as_the_configuration_says(self) -> None:
        options = dict(line.split("=", 1) for line in self.said("grep = /etc/vsftpd.conf").splitlines()
                       if not line.startswith("#"))
        passive = (options["pasv_min_port"], options["pasv_max_port"])
        self.assertEqual(passive, (str(example.PASSIVE.start), str(example.PASSIVE.stop - 1)))
        self.assertEqual(options["local_enable"], "NO")
        self.assertRegex(self.said("ls -ld /srv/ftp/incoming"), r"^drwxr-xr-x +\d+ ftp ")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_a_forged_source_is_in_the_log(self) -> None:
        laptop, internet = example.LAPTOP.address, example.INTERNET.address
        with self.wires() as wires, wire.Stream(wires["camera"], [frames.udp(laptop, internet, 4000, 53)]):
            deadline = time.monotonic() + LOG_SECONDS
            while self.target.run(f"grep -q 'SPOOFED PKT camera.*SRC={laptop} ' /var/log/messages")[0] != 0:
                self.assertLess(time.monotonic(), deadline, "no line about it")

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
            self.close()

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw"])
    def test_an_upload_of_the_camera_arrives(self) -> None:
        content, name = os.urandom(UPLOAD_BYTES), "camfw-testimage.jpg"
        arrived = f"/srv/ftp/incoming/{name}"
        self.said(f"rm -f {arrived}")
        with self.wires() as wires:
            port = upload.upload(wires["camera"], example.CAMERA.router, "incoming", name, content, 44000)
        self.assertIn(port, example.PASSIVE)
        self.assertEqual(self.said(f"sha256sum <{arrived}").split()[0], hashlib.sha256(content).hexdigest())
        self.said(f"rm {arrived}")

    @OETestDepends(["camfw.CamfwTest.test_packets_from_the_other_cards_are_judged"])
    @OEHasPackage(["camfw"])
    def test_what_the_camera_tried_is_shown_and_outlives_a_reboot(self) -> None:
        tried = example.attempts()
        wanted = record.refused(tried)
        with self.wires() as wires:
            addresses = {wiring.name: wiring.address for wiring in example.WIRINGS}
            camera = [attempt for attempt in wire.attempts([flow for flow, _ in tried], wires, addresses, 45000)
                      if attempt.flow.source == "camera"]
            for attempt in camera:
                wires["camera"].send(attempt.packet())
            before = self.recorded(wanted)
        # And nothing that it may.
        self.assertEqual(set(before), wanted)
        # What init runs is what records, and runs again.
        first = self.said("pidof camfw").split()
        self.assertEqual(len(first), 1, first)
        self.said(f"kill -9 {first[0]}")
        self.recorded(wanted)
        self.assertNotEqual(self.said("pidof camfw").split(), first)
        self.reboot()
        self.wait_for_ssh()
        # Since when: nobody sent since the boot.
        self.assertEqual(self.recorded(wanted), before)

    def recorded(self, wanted: set) -> dict:
        """What `camfw blocked` has of the camera, once somebody records and each of `wanted` is in it."""
        deadline = time.monotonic() + RECORD_SECONDS
        while True:
            code, said = self.target.run("camfw blocked --json")
            named = record.named(said) if code == 0 else {}
            if wanted <= named.keys():
                return named
            self.assertLess(time.monotonic(), deadline, f"not in the record: {wanted - named.keys()}: {said}")
            time.sleep(1)

    @OETestDepends(["camfw.CamfwTest.test_packets_from_the_other_cards_are_judged"])
    @OEHasPackage(["camfw"])
    def test_nothing_of_the_camera_passes_while_it_boots(self) -> None:
        with self.wires() as wires:
            with self.camera_sends_out(wires):
                self.reboot()
                self.wait_for_ssh()
            self.assertEqual(self.arrived(wires), [])
            # The control: the same packets pass where nothing stops them.
            self.said("camfw open")
            try:
                with self.camera_sends_out(wires):
                    time.sleep(wire.WAIT_SECONDS)
                self.assertNotEqual(self.arrived(wires), [])
            finally:
                self.close()

    @OETestDepends(["camfw.CamfwTest.test_packets_from_the_other_cards_are_judged"])
    @OEHasPackage(["camfw"])
    def test_a_power_cut_boots_a_policy(self) -> None:
        self.said("cp -p /etc/camfw/camfw.toml /etc/camfw/camfw.toml.good && sync")
        with self.wires() as wires, self.camera_sends_out(wires):
            self.said(f"nohup sh -c '{CHANGES}' >/dev/null 2>&1 &")
            time.sleep(CHANGES_SECONDS)
            self.reboot("echo b >/proc/sysrq-trigger")
            self.wait_for_ssh()
            self.assertRegex(self.kernel_log(), r"boot exited with code [01]")
            self.assertEqual(self.arrived(wires), [])
        self.said("mv /etc/camfw/camfw.toml.good /etc/camfw/camfw.toml && camfw apply && sync")
        self.said("camfw status")

    def camera_sends_out(self, wires):
        """The camera sends to the internet, in its own name and in the laptop's."""
        camera, internet = example.CAMERA.address, example.INTERNET.address
        return wire.Stream(wires["camera"], [
            frames.echo_request(camera, internet, 1), frames.udp(camera, internet, 4000, 53),
            frames.tcp_syn(camera, internet, 4000, 80), frames.tcp_syn(example.LAPTOP.address, internet, 4000, 80)])

    def arrived(self, wires) -> list:
        """What the camera sent that is at the internet."""
        senders = {example.CAMERA.address, example.LAPTOP.address}
        return [packet for packet in wires["internet"].packets if packet.source in senders]

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
            self.assertEqual(self.console("cat /proc/sys/net/ipv4/ip_forward").strip(), "0")
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

    def close(self) -> None:
        """After `camfw open`, by the console: a connection that began while nothing was tracked is
        INVALID once the rules are back, and SSH's own would end before the command's answer."""
        self.console("camfw apply")
        self.wait_for_ssh()
        self.said("camfw status")

    def wait_for_ssh(self) -> None:
        """After a boot."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.target.run("true", timeout=10, ignore_ssh_fails=True)[0] != 0:
            self.assertLess(time.monotonic(), deadline, "SSH does not answer")
            time.sleep(1)

    def reboot(self, command: str = "reboot") -> None:
        """By the console, and until the next boot answers: `reboot` returns long before the box is down."""
        deadline = time.monotonic() + BOOT_SECONDS
        while (before := self.boot_id()) is None:
            self.assertLess(time.monotonic(), deadline, "the console does not answer")
        self.type(command, CONSOLE_SECONDS)
        deadline = time.monotonic() + BOOT_SECONDS
        while self.boot_id() in (None, before):
            self.assertLess(time.monotonic(), deadline, "the console does not answer after a reboot")
            time.sleep(1)

    def boot_id(self) -> str | None:
        """Which boot the console belongs to; None where it does not answer."""
        # Never a command at a login prompt: it would be a name, and the next line its password.
        # Nor where nothing answers: getty reads what was typed before it began.
        output = self.type("", CONSOLE_SECONDS)
        # The kernel's own lines may come after it.
        if LOGIN in output:
            output = self.type("root", CONSOLE_SECONDS)
        if PROMPT not in output:
            return None
        # By its name: at boot the kernel prints the root file system's UUID, which looks the same.
        output = self.type("echo boot_id=$(cat /proc/sys/kernel/random/boot_id)", CONSOLE_SECONDS)
        found = re.search(r"boot_id=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", output)
        return found[1] if found else None

    def console(self, command: str) -> str:
        """What a command at the serial console prints. It must answer."""
        # The typed line's echo has $((0)) in the zero's place. The kernel's lines stay out of it.
        number = next(self.commands)
        begin, end = f"0_begin_{number}\r", f"0_end_{number}\r"
        output = self.type(f"dmesg -n 1; echo $((0))_begin_{number}; {command}; echo $((0))_end_{number}")
        deadline = time.monotonic() + BOOT_SECONDS
        # run_serial ends at any prompt, and an older command's may be left.
        while end not in output:
            self.assertLess(time.monotonic(), deadline, f"the console does not answer {command}: {output}")
            output += self.type("", CONSOLE_SECONDS)
        return output.partition(begin)[2].partition(end)[0]

    def type(self, line: str, seconds: float = COMMAND_SECONDS) -> str:
        """What the serial console says to a line, echo and prompt included."""
        return str(self.target.runner.run_serial(f"{line}\n", raw=True, timeout=seconds)[1])
