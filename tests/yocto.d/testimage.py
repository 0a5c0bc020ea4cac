"""Runs the layer's cases for testimage on the emulated appliance, with OE-Core's own framework.

    testimage.py OE_CORE BINARY SCRATCH

In place of the image that takes a day to build: the appliance of qemu/ with the
binary that the recipe made, and the network cards that camfw-image has for
runqemu. Needs no privilege. Its root is in memory; what outlives a reboot, as it
does on the image's disk, is /etc/camfw and /var/lib/camfw.
"""

from __future__ import annotations

import logging
import queue
import shlex
import subprocess
import sys
import threading
import time
from enum import Enum, auto
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "meta-camfw"
OE_CORE, BINARY, SCRATCH = map(Path, sys.argv[1:])
sys.path += [str(path) for path in (
    ROOT / "tests", ROOT / "qemu", LAYER / "lib", OE_CORE / "meta/lib", OE_CORE.parent / "bitbake/lib", OE_CORE / "bitbake/lib")]

from appliance import cpio, image  # noqa: E402
from appliance.machine import Machine, MachineError  # noqa: E402
from layer.bitbake import recipe  # noqa: E402
from oeqa.core.target.ssh import OESSHTarget  # noqa: E402
from oeqa.runtime.context import OERuntimeTestContext  # noqa: E402

PORT = "2222"
BOOT_SECONDS = 180
# How long a box that was told to reboot goes on answering, as a real one does.
DYING_SECONDS = 3.0
DISK_BYTES = 16 * 1024 * 1024

LOGIN = "qemuarm64 login: "
PROMPT = "root@qemuarm64:~# "
# What a console says while the box boots: a UUID among it that is no boot's.
BOOTING = "[    1.150985] EXT4-fs (vda): mounted filesystem 1886bfb4-96d9-4b35-a337-9aa5f9b1cc3f r/w with ordered data mode.\r\n"


class Where(Enum):
    """Who reads what is typed at the console."""

    SHELL = auto()
    LOGIN = auto()
    PASSWORD = auto()

# In the first program, so that the boot scripts are the image's.
MOUNT = """
modprobe virtio_blk
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -b /dev/vda ] || break
    sleep 0.2
done
mkdir -p /var/lib/camfw /mnt
mount -t ext4 /dev/vda /mnt
[ -e /mnt/etc ] || cp -a /etc/camfw /mnt/etc
mkdir -p /mnt/lib
mount -o bind /mnt/etc /etc/camfw
mount -o bind /mnt/lib /var/lib/camfw
"""
MOUNT_AFTER = "modprobe -a virtio_pci virtio_net\n"


class Router(OESSHTarget):  # type: ignore[misc]
    """The appliance as the framework's target: SSH through the third card, and the console."""

    def __init__(self, logger: logging.Logger, network: list[str]) -> None:
        super().__init__(logger, "127.0.0.1", "192.168.5.10", port=PORT)
        self._network = network
        self._key = SCRATCH / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)
        self.ssh[1:1] = ["-i", str(self._key), "-o", "IdentitiesOnly=yes"]
        self.runner = SimpleNamespace(run_serial=self._run_serial)
        self._disk = SCRATCH / "disk"
        with self._disk.open("wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", self._disk], check=True)
        self._boots = 0
        self._console = threading.Lock()
        self._rebooted = threading.Event()
        self._reboots: queue.Queue[float] = queue.Queue()
        # OE-Core's runner has logged in before the first case.
        self._at = Where.SHELL
        self.machine = self._boot()
        self._rebooted.set()
        threading.Thread(target=self._carry_out_reboots, daemon=True).start()

    def _boot(self) -> Machine:
        self._boots += 1
        init = (ROOT / "qemu/overlay/init").read_text()
        assert MOUNT_AFTER in init
        files = image.configuration(image.EXAMPLE.read_text()) | {
            "init": cpio.file(init.replace(MOUNT_AFTER, MOUNT_AFTER + MOUNT), 0o755)}
        public = self._key.with_name("key.pub").read_text()
        # What listens on purpose, for the other tests of the appliance.
        silent = {"etc/init.d/listeners": cpio.file("#!/bin/sh\n", 0o755),
                  "etc/init.d/ready": cpio.file("#!/bin/sh\n", 0o755)}
        booted = image.own().with_files(
            {**image.program(BINARY), **image.login(public), **silent, **files}, SCRATCH / f"boot{self._boots}")
        machine = Machine(booted, log=SCRATCH / f"console{self._boots}", data=self._disk, more=self._network)
        machine.wait_for("camfw: boot exited", BOOT_SECONDS)
        return machine

    def _reboot(self, seconds: float) -> None:
        """As late as a real one: returns at once, the old boot answers for those seconds, then nobody does."""
        if seconds:
            # As init does; the power cut does not.
            self.machine.command("kill -TERM $(pidof camfw)")
        self._rebooted.clear()
        self._reboots.put(seconds)

    def _carry_out_reboots(self) -> None:
        # One thread for all of them: a machine dies with the thread that started it (Machine, --pdeathsig).
        while True:
            time.sleep(self._reboots.get())
            with self._console:
                self.machine.kill()
            booted = self._boot()
            with self._console:
                self.machine = booted
                self._at = Where.LOGIN
            self._rebooted.set()

    def _run_serial(self, command: str, raw: bool = False, timeout: float = 60) -> tuple[int, str]:
        """As OE-Core's own: the output, echo and prompt included, or what there is where nobody answers in time."""
        assert raw, "the cases read the console as it is"
        line = command.rstrip("\n")
        if line == "reboot":
            self._reboot(DYING_SECONDS)
            return 1, f"{line}\r\n{PROMPT}"
        if "sysrq-trigger" in line:
            self._reboot(0)
            return 1, ""
        with self._console:
            if self.machine.running:
                return 1, self._said_to(line, timeout)
        self._rebooted.wait(timeout)
        return 1, BOOTING

    def _said_to(self, line: str, timeout: float) -> str:
        """A login prompt after each boot, that takes every line for a name, and the next for its password."""
        where, self._at = self._at, Where.SHELL
        if where is Where.PASSWORD:
            self._at = Where.LOGIN
            return f"\r\nLogin incorrect\r\n{LOGIN}"
        if where is Where.LOGIN and line != "root":
            self._at = Where.PASSWORD if line else Where.LOGIN
            return f"{line}\r\n{'Password: ' if line else LOGIN}"
        if where is Where.LOGIN or not line:
            return f"{line}\r\n{PROMPT}"
        try:
            _, printed = self.machine.command(line, timeout)
        except MachineError:
            return f"{line}\r\n"
        return "\r\n".join([line, *printed.split("\n"), PROMPT])

    def end(self) -> None:
        """Once no reboot is under way."""
        self._rebooted.wait()
        self.machine.kill()


def network() -> list[str]:
    """The cards of camfw-image, in QEMU's arguments."""
    data = recipe(LAYER / "recipes-core/images/camfw-image.bb", ROOT_HOME="/root")
    arguments = shlex.split(data.getVar("QB_NETWORK_DEVICE").replace("@MAC@", "52:54:00:12:35:02"))
    # No boot ROM: Debian's QEMU has none.
    arguments = [one + ",romfile=" if one.startswith("virtio-net-pci") else one for one in arguments]
    return arguments + shlex.split(data.getVar("QB_SLIRP_OPT"))


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logger = logging.getLogger("testimage")
    router = Router(logger, network())
    try:
        deadline = time.monotonic() + 60
        while router.run("true", timeout=10, ignore_ssh_fails=True)[0] != 0:
            if time.monotonic() > deadline:
                print("the router's SSH does not answer", file=sys.stderr)
                return 1
            time.sleep(1)
        context = OERuntimeTestContext({"MLPREFIX": ""}, logger, router, {"camfw", "dropbear"}, str(SCRATCH / "extracted"))
        context.loadTests(
            [str(LAYER / "lib/oeqa/runtime/cases"), str(OE_CORE / "meta/lib/oeqa/runtime/cases")],
            modules=["ping", "ssh", "camfw"])
        result = context.runTests()
        for kind in ("failures", "errors"):
            for test, said in getattr(result, kind):
                print(f"{kind}: {test}\n{said}")
        print(f"Ran {result.testsRun} tests")
        # A test that was skipped was not run.
        return 0 if result.wasSuccessful() and not result.skipped else 1
    finally:
        router.end()


if __name__ == "__main__":
    sys.exit(main())
