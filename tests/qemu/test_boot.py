"""The appliance under QEMU: closed before it is anything else, then just the policy.

Real kernel, real boot scripts, real packets. Builds the binary and the image
where they are not there yet.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path

from qemu import ROOT

from appliance import cpio, image, policy
from appliance.cpio import Entry
from appliance.machine import Machine
from appliance.scene import Scene
from appliance.watch import LET_THE_CAMERA_OUT, Arrived, Watch
from lab import example, probes, record, table
from lab.facts import Wiring

BINARY_LIMIT = 2 * 1024 * 1024
MEMORY_LIMIT_KIB = 4 * 1024
WATCH_LIMIT_KIB = 6 * 1024
BOOT_SECONDS = 600
SERVICES = "appliance: services are up"

CONFIGURATION = image.EXAMPLE.read_text()

# Ports of the router that something listens on, whatever the policy says of
# them (qemu/overlay/etc/init.d), and the range in which they are sought.
LISTENING = frozenset({21, 22, 23, 80, 443, 554, 8080})
SCANNED = "1-1024,8080,49999-50101"

# What an image's own network scripts would do, with no regard for camfw.
NETWORKING = """#!/bin/sh
[ "$1" = start ] || exit 0
ip address add 192.168.0.2/24 dev eth0
ip address add 192.168.8.1/24 dev eth1
ip address add 192.168.5.200/24 dev eth2
for card in eth0 eth1 eth2; do ip link set "$card" up; done
ip route add default via 192.168.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
"""

binary: Path
scene: Scene
_stack = contextlib.ExitStack()


def setUpModule() -> None:
    set_up(example.WIRINGS)


def set_up(wirings: Sequence[Wiring]) -> None:
    """Make what is booted, and the hosts around it."""
    global binary, scene
    built = subprocess.run([ROOT / "qemu/build"], stdout=subprocess.PIPE, text=True, check=True)
    binary = Path(built.stdout.rsplit(" ", 1)[0])
    subprocess.run([ROOT / "qemu/image/build"], check=True)
    scratch = Path(_stack.enter_context(tempfile.TemporaryDirectory(prefix="camfw-appliance-")))
    # vsftpd's user is not root, and works below here.
    scratch.chmod(0o711)
    scene = _stack.enter_context(Scene(scratch, wirings))


def tearDownModule() -> None:
    _stack.close()


def wait_for_exit(machine: Machine, code: int) -> None:
    """Wait until the boot script's camfw has ended, by that exit code: another one is told at once."""
    exited = machine.wait_for_kernel(r"camfw: boot exited with code \d", BOOT_SECONDS)
    if not exited.text.endswith(f"code {code}"):
        raise AssertionError(f"not with code {code}:\n{machine.console[-3000:]}")


def files(configuration: str = CONFIGURATION) -> dict[str, Entry]:
    """What the appliance's own image lacks: camfw, which is to log all it can, and a configuration."""
    return image.program(binary) | image.configuration(configuration, "--verbose")


class Booted(unittest.TestCase):
    """One boot, with the camera sending all the time; `setUpClass` calls `boot`."""

    # How camfw ends in it.
    CODE = 0
    machine: Machine
    arrived: Arrived

    @classmethod
    def boot(cls, added: dict[str, Entry], last: str | None = SERVICES, packets: int = 0) -> None:
        """Boot until camfw has ended, the line `last` is there, and `packets` have arrived."""
        with Watch(scene) as watch:
            cls.machine = scene.boot(image.own(), added)
            cls.addClassCleanup(cls.machine.kill)
            wait_for_exit(cls.machine, cls.CODE)
            if last:
                cls.machine.wait_for_kernel(last, BOOT_SECONDS)
            watch.wait(packets)
            cls.arrived = watch.stop()

    def assert_sent_and_stopped(self) -> None:
        """The camera sent, and nothing arrived at the internet."""
        self.assertGreater(self.arrived.sent, 200)
        self.assertEqual(self.arrived.packets, ())

    def assert_table(self, attempts: list[tuple[table.Flow, bool]]) -> None:
        """Who reaches whom is as it is said."""
        rows = scene.try_all(attempts)
        self.assertEqual(table.deviations(rows), [], "\n" + table.render(rows))

    def assert_all_gets_through_once_open(self) -> None:
        """The control: it is camfw that stops, and not a client or a server that is not there."""
        code, said = self.machine.command("camfw open")
        self.assertEqual(code, 0, said)
        self.assert_table([(flow, True) for flow, _ in example.attempts()])


class Binary(unittest.TestCase):
    """What goes into the image."""

    def test_is_static(self) -> None:
        kind = subprocess.run(["file", "--brief", binary], capture_output=True, text=True, check=True).stdout
        self.assertRegex(kind, r"^ELF 64-bit LSB executable, ARM aarch64.*statically linked")
        headers = subprocess.run(
            ["readelf", "--program-headers", "--dynamic", "--wide", binary],
            capture_output=True, text=True, check=True).stdout
        self.assertIn("There is no dynamic section", headers)
        self.assertNotIn("INTERP", headers)

    def test_is_small(self) -> None:
        self.assertLessEqual(binary.stat().st_size, BINARY_LIMIT)


class Example(Booted):
    """The example's policy, from the kernel's start on."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(files())

    def setUp(self) -> None:
        code, said = self.machine.command("camfw apply")
        self.assertEqual(code, 0, said)

    def test_is_sealed_first_then_applied_then_the_services_start(self) -> None:
        own = [line for line in self.machine.lines if line.kernel is not None
               and re.search(r"\] (camfw|appliance): ", line.text)]
        said = [line.text.split("] ", 1)[1] for line in own[:4]]
        for text, begins in zip(said, (
                "camfw: Sealed", "camfw: Applied", "camfw: boot exited with code 0",
                SERVICES), strict=True):
            self.assertTrue(text.startswith(begins), said)

    def test_the_console_says_it_once(self) -> None:
        until = self.machine.console.partition("camfw: boot exited")[0]
        self.assertEqual(until.count("camfw: Applied"), 1, until)

    def test_not_one_packet_of_the_camera_reaches_the_internet_during_the_boot(self) -> None:
        self.assert_sent_and_stopped()

    def test_who_reaches_whom_is_the_policy(self) -> None:
        # What is tried before camfw watch is up is not recorded.
        self.assertTrue(probes.wait_until(lambda: self.machine.command("camfw blocked --json")[0] == 0))
        self.assert_table(example.attempts())
        self.assertTrue(probes.wait_until(self.has_recorded_all), self.machine.command("camfw blocked --json"))
        self.assert_all_gets_through_once_open()

    def test_a_scan_finds_the_open_ports_of_the_policy(self) -> None:
        for name, host in scene.hosts.items():
            expected = LISTENING & example.OPEN_PORTS[name]
            with self.subTest(scan_from=name):
                self.assertEqual(
                    probes.scan(host.namespace, host.wiring.router, SCANNED, expected), expected)
        code, said = self.machine.command("camfw open")
        self.assertEqual(code, 0, said)
        camera = scene.hosts["camera"]
        self.assertEqual(
            probes.scan(camera.namespace, camera.wiring.router, SCANNED, LISTENING), LISTENING,
            "control: without a firewall the scan finds every listener")

    def test_forged_sources_are_in_the_kernels_log(self) -> None:
        _, log = self.machine.command("dmesg")
        self.assertRegex(log, r"SPOOFED PKT camera .*IN=eth1 .*SRC=192\.168\.5\.10 DST=192\.168\.0\.1 ")

    def test_a_second_look_agrees(self) -> None:
        code, said = self.machine.command("camfw status")
        self.assertEqual(code, 0, said)

    def test_boot_takes_little_memory(self) -> None:
        _, log = self.machine.command("dmesg")
        peak = re.search(r"camfw: peak memory (\d+) KiB", log)
        self.assertIsNotNone(peak, log)
        assert peak
        self.assertLessEqual(int(peak[1]), MEMORY_LIMIT_KIB)

    def watch(self) -> str:
        """The process of camfw that stays; empty if there is none."""
        return self.machine.command("pidof camfw")[1].strip()

    def records(self) -> bool:
        """Whether what the camera tries all the time is recorded at this moment."""
        code, said = self.machine.command("camfw blocked")
        return code == 0 and "192.168.8.110" in said

    def has_recorded_all(self) -> bool:
        """Whether each thing that the camera tried and may not is in the record."""
        code, said = self.machine.command("camfw blocked --json")
        return code == 0 and record.refused(example.attempts()) <= record.named(said).keys()

    def test_watch_records_what_the_camera_tries_and_is_started_again(self) -> None:
        self.assertTrue(probes.wait_until(self.records), self.machine.command("camfw blocked"))
        first = self.watch()
        self.assertRegex(first, r"^\d+$")
        _, status = self.machine.command(f"cat /proc/{first}/status")
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak, status
        self.assertLessEqual(int(peak[1]), WATCH_LIMIT_KIB)
        self.machine.command(f"kill -9 {first}")
        self.assertTrue(probes.wait_until(lambda: self.watch() not in ("", first)), "init starts it again")
        self.assertTrue(probes.wait_until(self.records), self.machine.command("camfw blocked"))


class LetOut(Booted):
    """The control of the count: the same packets, where the policy allows them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(files(CONFIGURATION + LET_THE_CAMERA_OUT), last=None, packets=100)

    def test_the_cameras_packets_arrive(self) -> None:
        self.assertEqual(self.arrived.kinds(), {"icmp", "udp", "tcp"})

    def test_none_arrives_before_the_rules_are_in_force(self) -> None:
        """Forged ones are sent all the time, and none of them passes; TooLate is the control."""
        self.assertEqual(self.arrived.forged, 0)


class TooLate(Booted):
    """Another control of the count: an image that brings the network up before
    it starts camfw leaks, and the count sees it."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(files() | {
            "etc/init.d/networking": cpio.file(NETWORKING, 0o755),
            "etc/rcS.d/S00networking": cpio.link("../init.d/networking"),
        }, last=None)

    def test_the_count_sees_what_passes_before_the_seal(self) -> None:
        self.assertGreater(self.arrived.count, 0)
        # Without rules they pass in the laptop's name too.
        self.assertGreater(self.arrived.forged, 0)


class Broken(Booted):
    """A configuration that is refused, on an image whose own scripts bring the network up."""

    CODE = 2

    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(files(CONFIGURATION + "\n[[allow]]\nfrom = \"moon\"\n") | {
            "etc/init.d/networking": cpio.file(NETWORKING, 0o755),
            "etc/rcS.d/S40networking": cpio.link("../init.d/networking"),
        })

    def test_says_why_and_how_it_ended(self) -> None:
        log = "\n".join(line.text for line in self.machine.lines if line.kernel is not None)
        self.assertRegex(log, r"camfw: Sealed: ")
        self.assertRegex(log, r"camfw: \S*camfw\.toml:\d+:\d+: ")
        self.assertIn("camfw: boot exited with code 2", log)
        self.assertNotIn("camfw: Applied", log)

    def test_nothing_reaches_anything(self) -> None:
        self.assert_sent_and_stopped()
        code, said = self.machine.command("cat /proc/sys/net/ipv4/ip_forward; ip address show eth1")
        self.assertEqual(code, 0, said)
        self.assertTrue(said.startswith("1\n") and "192.168.8.1/24" in said, said)
        self.assert_table([(flow, False) for flow, _ in example.attempts()])
        self.assert_all_gets_through_once_open()


class Nft(Booted):
    """The same policy with the other iptables."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(files() | image.backend("nft"))

    def test_not_one_packet_of_the_camera_reaches_the_internet_during_the_boot(self) -> None:
        self.assert_sent_and_stopped()

    def test_who_reaches_whom_is_the_policy(self) -> None:
        _, version = self.machine.command("iptables --version")
        self.assertIn("nf_tables", version)
        self.assert_table(example.attempts())


class Deployed(unittest.TestCase):
    """Images from a deploy folder: an archive, and a disk whose root is read-only at first."""

    def boot(self, kind: str, code: int, said: str, files: dict[str, Entry], data: Path | None = None) -> None:
        """It boots, ends by that exit code and says so, and the policy holds."""
        with tempfile.TemporaryDirectory(prefix="camfw-deploy-") as folder:
            subprocess.run(
                [ROOT / "qemu/image/deploy", folder, kind, binary, image.EXAMPLE],
                stdout=subprocess.DEVNULL, check=True)
            with Watch(scene) as watch, scene.boot(image.deployed(Path(folder)), files, data=data) as machine:
                wait_for_exit(machine, code)
                machine.wait_for_kernel(rf"camfw: Applied: \d+ {said}", 0)
                machine.wait_for_kernel(SERVICES, BOOT_SECONDS)
                self.assertEqual(watch.stop().packets, ())
                rows = scene.try_all([attempt for attempt in example.attempts() if attempt[1]])
                self.assertEqual(table.deviations(rows), [])

    def test_an_archive(self) -> None:
        self.boot("cpio.gz", 0, "changes made$", {})

    def test_a_disk(self) -> None:
        # What is to be kept cannot be written: the root is read-only until the boot scripts after camfw's.
        self.boot("ext4", 1, "changes made; but cannot keep the last good policy in /var/lib/camfw: Read-only file system", {})

    def test_a_disk_with_a_partition_for_what_is_written(self) -> None:
        files = {
            "data": cpio.folder(), "var/lib": cpio.folder(), "etc/default": cpio.folder(),
            "etc/default/camfw": cpio.file("CAMFW_DATA=/data\n"),
            "etc/fstab": cpio.file("/dev/vdb /data ext4 noauto,nodev,noexec,nosuid 0 0\n"),
        }
        with tempfile.TemporaryDirectory(prefix="camfw-data-") as folder:
            data = Path(folder) / "data.ext4"
            with data.open("wb") as file:
                file.truncate(16 << 20)
            subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", data], check=True)
            # The first boot copies what the root has; the second finds it.
            for _ in range(2):
                self.boot("ext4", 0, "changes made$", files, data)
            kept = subprocess.run(["debugfs", "-R", "ls -p /var/lib/camfw", data], capture_output=True, text=True, check=True,
                                  env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}).stdout
            self.assertIn("/last-good/", kept)


class Policy(unittest.TestCase):
    """The demonstration's reading of a configuration."""

    def test_agrees_with_what_was_written_by_hand(self) -> None:
        self.assertEqual(policy.attempts(CONFIGURATION), example.attempts())


if __name__ == "__main__":
    unittest.main()
