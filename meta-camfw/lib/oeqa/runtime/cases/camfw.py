"""camfw in its image, under runqemu: `bitbake -c testimage camfw-image`.

The image has the example configuration, and is wired as that says: eth0 and
eth1 lead to hosts made here of frames, eth2 to runqemu's own network (slirp),
where this machine is the laptop.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.decorator.package import OEHasPackage
from oeqa.utils.camfwlab import example, frames, record, router, upload, wire
from oeqa.utils.camfwlab.facts import Flow

# With libstd as OE-Core builds it, for speed; qemu/build has it built for size.
BINARY_LIMIT = 3 * 1024 * 1024
MEMORY_LIMIT_KIB = 4 * 1024
LOG_SECONDS = 30
# What is recorded is in the file two seconds later; a watch that was started anew looks for the group each minute.
RECORD_SECONDS = 120
# How long policies change before the plug is pulled.
CHANGES_SECONDS = 3

# Who may run as root: busybox's part that asks for a password.
SETUID = {"/bin/busybox.suid"}

# One policy after another, for a power cut to come into the middle.
CHANGES = ("while :; do for rate in 10 20; do sed -i \"s,[0-9]*/minute,$rate/minute,\" /etc/camfw/camfw.toml; "
           "camfw apply; done; done")

UPLOAD_BYTES = 20_000

# The page is written by the watch that init starts, and shown a few seconds later.
PAGE_SECONDS = 120
PAGE_FILE = "/etc/camfw/camfw.d/page.toml"
METRICS_FILE = "/run/camfw-metrics/camfw.prom"
PAGE = (f'[page]\\n[watch]\\nmetrics = "{METRICS_FILE}"\\n'
        '[[allow]]\\nfrom = "private"\\nto = "router"\\nservice = "http"\\n')

BROKEN = '\\n[[allow]]\\nfrom = "moon"\\n'


class CamfwTest(router.RouterTest):
    """Each test leaves the box as it found it: applied."""

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
        # The one that init started: a second one ends at once.
        maps = self.said("cat /proc/$(pidof camfw)/maps")
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
    @OEHasPackage(["camfw-page"])
    def test_the_page_is_shown_to_the_laptop_alone(self) -> None:
        address = example.LAPTOP.router
        self.assertEqual(self.shown_at(), [])
        self.said(f"mkdir -p /etc/camfw/camfw.d && printf '{PAGE}' >{PAGE_FILE}")
        try:
            self.said("camfw apply")
            # The next look is a minute away; init starts it again, and it looks at once.
            self.said("kill $(pidof camfw)")
            self.wait_until(lambda: self.target.run(f"wget -q -O /tmp/page http://{address}/")[0] == 0,
                            "no page", PAGE_SECONDS)
            page = self.said("cat /tmp/page; rm /tmp/page")
            self.assertIn("<html", page)
            self.assertIn(example.CAMERA.interface, page)
            # Nowhere else, and by a user who is nothing else.
            self.assertEqual(self.shown_at(), [address])
            server = self.said("grep -ls '[/]run/camfw-page' /proc/[0-9]*/cmdline; true").split()
            self.assertEqual(len(server), 1, server)
            self.assertEqual(self.said(f"stat -c %U {server[0].removesuffix('/cmdline')}").strip(), "camfw-page")
            # What each of the others gets: the camera's own service is the control.
            flows = [Flow("camera", "router", "ftp"), Flow("camera", "router", "http"), Flow("internet", "router", "http")]
            with self.wires() as wires:
                addresses = {wiring.name: wiring.address for wiring in example.WIRINGS}
                tried = wire.attempts(flows, wires, addresses, 46000)
                self.assertEqual(wire.try_all(tried, wires, lambda: ""), dict(zip(flows, (True, False, False))))
            self.said(f"grep -q '^camfw_state{{state=\"applied\"}} 1$' {METRICS_FILE}")
            self.assertRegex(self.said("camfw metrics"), r'(?m)^camfw_state\{state="applied"\} 1$(?s:.)*^# EOF$')
        finally:
            self.said(f"rm {PAGE_FILE} && camfw apply")
        self.said("kill $(pidof camfw)")
        self.wait_until(lambda: self.shown_at() == [], "it is still shown", PAGE_SECONDS)
        self.said("camfw status")

    def shown_at(self) -> list[str]:
        """The router's addresses of IPv4 at which port 80 is listened to, and each of IPv6 as it is."""
        found = re.findall(r": ([0-9A-F]+):0050 [0-9A-F:]+ 0A ", self.said("cat /proc/net/tcp /proc/net/tcp6"))
        return [".".join(str(byte) for byte in reversed(bytes.fromhex(one))) if len(one) == 8 else one for one in found]

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
