"""Debian 12 with systemd: the package is installed, the machine boots again, and is closed
before its network, applied, watched, and reached as the file says."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debian import ROOT

from appliance import image
from appliance.image import Image
from appliance.machine import Machine
from appliance.scene import Scene
from lab import example, probes
from lab.hosts import INTERFACE

DEBIAN = ROOT / "build/debian/root.ext4"
CARDS = {"eth0": "enp0s1", "eth1": "enp0s2", "eth2": "enp0s3"}
STATIC = 'address   = "192.168.0.2/24"\ngateway   = "192.168.0.1"'
BOOT_SECONDS = 1800
UNITS = ("camfw.service", "camfw-watch.service", "camfw-refresh.timer")


@dataclass(frozen=True)
class OnDisk(Image):
    """A root that keeps what is written to it, on a disk that `more` of a Machine gives."""

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("root=/dev/vda", "rw")


def configuration() -> str:
    """The example, with Debian's names of the cards, and the internet's address by DHCP."""
    text = image.EXAMPLE.read_text()
    assert text.count(STATIC) == 1
    text = text.replace(STATIC, 'address   = "dhcp"')
    for ours, debians in CARDS.items():
        text = text.replace(f'"{ours}"', f'"{debians}"')
    return text


class Debian(unittest.TestCase):
    def setUp(self) -> None:
        packages = sorted((ROOT / "build/release").glob("camfw_*_arm64.deb"))
        self.assertTrue(packages and DEBIAN.exists(), "tests/debian/run builds them")
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="camfw-debian-")))
        scratch.chmod(0o711)
        self.scene = stack.enter_context(Scene(scratch))
        self.scratch = scratch
        self.disk = scratch / "root.ext4"
        shutil.copyfile(DEBIAN, self.disk)
        (scratch / "camfw.toml").write_text(configuration())
        for source, name in ((packages[-1], "camfw.deb"), (scratch / "camfw.toml", "camfw.toml")):
            subprocess.run(["debugfs", "-w", "-R", f"write {source} /root/{name}", self.disk],
                           check=True, capture_output=True)

    @contextlib.contextmanager
    def booted(self, log: str) -> Iterator[Machine]:
        """The machine, with a root's shell at its console."""
        more = ("-drive", f"if=none,id=root,format=raw,cache=unsafe,file={self.disk}",
                "-device", "virtio-blk-pci,drive=root,addr=8", "-m", "512")
        kernel = OnDisk(image.BUILD / "kernel/Image", (image.BUILD / "early.cpio",))
        with Machine(kernel, self.scene.cards, log=ROOT / "build/debian" / log, more=more) as machine:
            # systemd's own words at the console.
            machine.wait_for(r"Started.*shell\.service", BOOT_SECONDS)
            machine.command("systemctl is-system-running --wait", BOOT_SECONDS)
            yield machine

    @contextlib.contextmanager
    def dhcp_server(self) -> Iterator[None]:
        leases = self.scratch / "leases"
        leases.touch(mode=0o666)
        server = self.scene.hosts["internet"].namespace.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--port=0",
            "--conf-file=/dev/null", f"--interface={INTERFACE}", "--no-ping", "--pid-file=", "--user=root",
            "--dhcp-range=192.168.0.50,192.168.0.59,255.255.255.0,1h", f"--dhcp-option=3,{example.INTERNET.address}",
            f"--dhcp-leasefile={leases}"])
        try:
            yield
        finally:
            server.kill()
            server.wait()

    def run_in(self, machine: Machine, command: str, expect: int | None = 0) -> str:
        code, output = machine.command(command, 600)
        if expect is not None:
            self.assertEqual(code, expect, f"{command}: {output}")
        return output

    def shut_down(self, machine: Machine) -> None:
        """By systemd, as a reboot; QEMU ends where a board would start again."""
        machine.type(b"systemctl reboot\n")
        self.assertTrue(probes.wait_until(lambda: not machine.running, seconds=600), machine.console[-2000:])

    def test_installed_booted_again_and_removed(self) -> None:
        with self.booted("install.log") as machine:
            before = self.run_in(machine, "iptables-save; sysctl net.ipv4.ip_forward; ls /etc/systemd/system/*.wants")
            said = self.run_in(machine, "dpkg -i /root/camfw.deb")
            self.assertIn("nothing is changed", said)
            after = self.run_in(machine, "iptables-save; sysctl net.ipv4.ip_forward; ls /etc/systemd/system/*.wants")
            without_time = [re.sub(r"(?m)^#.*\n", "", text) for text in (before, after)]
            self.assertEqual(*without_time)
            self.run_in(machine, "install -m 644 /root/camfw.toml /etc/camfw/camfw.toml && camfw check")
            self.run_in(machine, f"systemctl enable {' '.join(UNITS)}")
            self.run_in(machine, "systemd-analyze verify --man=no " + " ".join(UNITS))
            self.shut_down(machine)

        with self.dhcp_server(), self.booted("boot.log") as machine:
            for unit in UNITS:
                self.assertEqual(self.run_in(machine, f"systemctl is-active {unit}"), "active", unit)
            # Closed and applied before anything else may touch the network.
            show = "systemctl show --property=ActiveEnterTimestampMonotonic --value "
            applied = int(self.run_in(machine, show + "camfw.service"))
            network = int(self.run_in(machine, show + "network-pre.target"))
            self.assertGreater(applied, 0)
            self.assertLess(applied, network)
            journal = self.run_in(machine, "journalctl --no-pager -b -u camfw.service -o cat")
            self.assertRegex(journal, r"(?s)Sealed: nothing passes.*Applied")
            # What Debian has as a client got the lease.
            leased = "ip -4 -br address show dev enp0s1 | grep -o '192[.]168[.]0[.]5[0-9]'"
            self.run_in(machine, f"for _ in $(seq 60); do {leased} && break; sleep 1; done; {leased}")
            self.assertIn("APPLIED", self.run_in(machine, "camfw status"))
            self.run_in(machine, "systemctl start camfw-refresh.service")
            self.assertEqual(self.run_in(machine, "systemctl --failed --plain --no-legend"), "")
            # Real packets: what the file says, and nothing else.
            laptop, camera = (self.scene.hosts[name].namespace for name in ("laptop", "camera"))
            self.assertTrue(probes.ping(laptop, example.LAPTOP.router), "who may")
            self.assertTrue(probes.ping(camera, example.CAMERA.router), "control: the camera is there")
            self.assertFalse(probes.ping(camera, example.LAPTOP.address, 2), "who may not")
            # The DHCP client outlives the service that started it.
            client = self.run_in(machine, "pidof udhcpc")
            self.run_in(machine, "systemctl restart camfw-watch && systemctl is-active camfw-watch")
            self.assertEqual(self.run_in(machine, "pidof udhcpc"), client)
            # Removed: the rules stay.
            rules = "iptables-save | grep -c -- '-j DROP'"
            loaded = self.run_in(machine, rules)
            self.assertIn("stay in force until the next boot", self.run_in(machine, "dpkg -r camfw"))
            self.assertEqual(self.run_in(machine, rules), loaded)
            self.assertFalse(probes.ping(camera, example.LAPTOP.address, 2), "still closed")


