"""The plug pulled at random moments while policies are applied, confirmed and kept:
the appliance comes up sealed or with a policy, never open, never with a torn file."""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

from qemu import test_boot as boot

from appliance import cpio, image
from appliance.cpio import Entry
from appliance.machine import Machine
from lab import example
from lab.capture import Capture
from lab.traffic import UDP, Stream

setUpModule = boot.setUpModule
tearDownModule = boot.tearDownModule

# tests/nightly pulls it 50 times.
CUTS = int(os.environ.get("CAMFW_POWER_CUTS", "5"))
# From the end of boot on; an apply takes about a tenth of a second there, and is
# followed by the next.
LONGEST_SECONDS = 3.0
PORT = 7007

# /var/lib is on a disk of its own, with the configuration that is changed there.
DATA = """#!/bin/sh
modprobe virtio_blk
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.2; done
mkdir -p /var/lib
mount -t ext4 /dev/vda /var/lib || echo "<27>data: cannot mount" >/dev/kmsg
mkdir -p /var/lib/conf
[ -e /var/lib/conf/camfw.toml ] || cp /etc/camfw/a.toml /var/lib/conf/camfw.toml
"""
CONFIG = "/var/lib/conf/camfw.toml"
CHANGE = f"""#!/bin/sh
change() {{
    cp "/etc/camfw/$1.toml" /var/lib/conf/new
    sync
    mv /var/lib/conf/new {CONFIG}
}}
{{
    echo "<29>changes: begin" >/dev/kmsg
    while :; do
        change b; camfw --config {CONFIG} apply
        change a; camfw --config {CONFIG} apply --confirm 60 && camfw --config {CONFIG} confirm
    done
}} >/dev/null 2>&1 &
"""


class Power(unittest.TestCase):
    """One disk, through every cut."""

    def files(self, *, change: bool) -> dict[str, Entry]:
        first = boot.CONFIGURATION
        second = first.replace('service = "ssh"', 'service = ["ssh", "https"]')
        second = second.replace('rate = "10/minute"', 'rate = "20/minute"')
        assert first != second
        files = image.program(boot.binary) | image.configuration(first, f"--config {CONFIG} --verbose") | {
            "etc/camfw/a.toml": cpio.file(first),
            "etc/camfw/b.toml": cpio.file(second),
            "etc/rcS.d": cpio.folder(),
            "etc/rcS.d/S00data": cpio.file(DATA, 0o755),
        }
        if change:
            files |= {"etc/rc5.d": cpio.folder(), "etc/rc5.d/S98change": cpio.file(CHANGE, 0o755)}
        return files

    def boot(self, disk: Path, *, change: bool) -> tuple[Machine, int]:
        machine = boot.scene.boot(image.own(), self.files(change=change), data=disk)
        self.addCleanup(machine.kill)
        line = machine.wait_for(r"camfw: boot exited with code \d", boot.BOOT_SECONDS)
        self.assertNotIn("cannot mount", machine.console)
        code = re.search(r"code (\d)", line.text)
        assert code
        return machine, int(code[1])

    def test_the_plug_is_pulled_at_random_moments(self) -> None:
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        camera = boot.scene.hosts["camera"].namespace
        internet = boot.scene.hosts["internet"].namespace
        codes: Counter[int] = Counter()
        with tempfile.TemporaryDirectory(prefix="camfw-power-") as folder:
            disk = Path(folder) / "data.ext4"
            with disk.open("wb") as file:
                file.truncate(16 << 20)
            subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", disk], check=True)
            with Capture(internet, f"udp dst port {PORT}") as arrived, \
                    Stream(camera, example.INTERNET.address, kind=UDP, port=PORT, microseconds=2000):
                for number in range(CUTS):
                    machine, code = self.boot(disk, change=True)
                    codes[code] += 1
                    when = f"seed {seed}, boot {number + 1}: exit code {code}\n{machine.console[-3000:]}"
                    # Nothing that was kept whole is unreadable now.
                    self.assertIn(code, (0, 1), when)
                    machine.wait_for("changes: begin", boot.BOOT_SECONDS)
                    time.sleep(chance.uniform(0, LONGEST_SECONDS))
                    machine.kill()
                    self.assertEqual(arrived.count(), 0, when)
                machine, code = self.boot(disk, change=False)
                codes[code] += 1
                self.assertIn(code, (0, 1), machine.console[-3000:])
                self.assertEqual(arrived.count(), 0)
                # The last good policy is whole.
                machine.wait_for("ready|appliance", boot.BOOT_SECONDS)
                code, said = machine.command(
                    "echo nonsense >/tmp/bad.toml; chmod 644 /tmp/bad.toml; camfw --config /tmp/bad.toml boot")
                self.assertEqual(code, 1, said)
                self.assertIn("last good policy", said)
                self.assertEqual(arrived.count(), 0)
                # The control: what keeps the camera in is the policy.
                machine.command("camfw open")
                self.assertGreater(arrived.count(expected=1), 0)
        print(f"\npower cut {CUTS} times, seed {seed}: exit codes of the boots {dict(codes)}", flush=True)
