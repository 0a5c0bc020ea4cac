"""Boots the variants of the image that tests/yocto builds, and asks of each what it is for.

    variants.py VARIANT DEPLOY_DIR SCRATCH      VARIANT: keys, own-distro, readonly

SCRATCH has the key pair that the image keys was built with. Needs no privilege.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console import COMMAND_SECONDS, ROUTER, SSH, Console, ConsoleError

IMAGES = {"keys": "camfw-image-keys", "own-distro": "router-image", "readonly": "camfw-image-readonly"}
DATA_BYTES = 64 * 1024 * 1024


class Variant:
    """One image, in its deploy folder."""

    def __init__(self, name: str, deploy: Path, scratch: Path) -> None:
        self._name = name
        self._image = deploy / f"{IMAGES[name]}-qemuarm64.rootfs"
        self.scratch = scratch
        self._boots = 0

    @contextmanager
    def booted(self, *parameters: str, root: Path | None = None) -> Iterator[Console]:
        """From its disk, or another one; with `snapshot` among the parameters nothing is written to it."""
        self._boots += 1
        environment = os.environ | {"ROOTFS": str(root or f"{self._image}.ext4")}
        command = ["runqemu", f"{self._image}.qemuboot.conf", "slirp", "nographic", *parameters]
        with Console(command, self.scratch / f"{self._name}{self._boots}.console", environment) as machine:
            machine.wait_for_boot()
            yield machine

    def newer_root(self) -> Path:
        """The same root with another /etc/version: what an update brings."""
        newer, version = self.scratch / "newer.ext4", self.scratch / "version"
        shutil.copyfile(f"{self._image}.ext4", newer)
        version.write_text("newer\n")
        for request in ("rm /etc/version", f"write {version} /etc/version"):
            subprocess.run(["/usr/sbin/debugfs", "-w", "-R", request, newer], check=True, capture_output=True)
        return newer


def keys(variant: Variant) -> None:
    """Who has the key gets in; a password, none and the console do not."""
    stranger = variant.scratch / "stranger"
    stranger.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    with variant.booted("snapshot") as machine:
        check("code 0" in over_ssh(variant.scratch / "id", "camfw status; echo code $?"), "with the key camfw status holds")
        for how in ("publickey", "password", "keyboard-interactive"):
            refused = subprocess.run([*SSH, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(stranger),
                                      "-o", f"PreferredAuthentications={how}", ROUTER, "true"],
                                     capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
            check(refused.returncode == 255 and "Permission denied (publickey)" in refused.stderr,
                  f"with another key, by {how}: {refused.stderr.strip()}")
        check(machine.is_refused(), "the console lets nobody in without a password")


def own_distro(variant: Variant) -> None:
    """camfw guards it, and nothing but what it asked for is there."""
    with variant.booted("snapshot") as machine:
        machine.log_in()
        check("code 0" in machine.run("camfw status; echo code $?"), "camfw status holds")
        check("integrator" in machine.run("cat /etc/issue"), "it is the integrator's distribution")
        check("no vsftpd" in machine.run("[ -e /usr/sbin/vsftpd ] || echo no vsftpd"), "it has no FTP server")
        check("S01camfw" == machine.run("ls /etc/rcS.d").split()[0], "camfw starts first")


def readonly(variant: Variant) -> None:
    """What is written is on a partition, and outlives the root file system, in both directions."""
    data = variant.scratch / "data.ext4"
    with data.open("wb") as file:
        file.truncate(0)
        file.truncate(DATA_BYTES)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", data], check=True)
    disk = f"qemuparams=-drive if=virtio,format=raw,file={data}"
    newer = variant.newer_root()
    with variant.booted(disk) as machine:
        machine.log_in()
        check("boot exited with code 0" in machine.run("dmesg | grep 'camfw:'"), "its first boot keeps all that it has to")
        check("Read-only" in machine.run("touch /etc/camera 2>&1"), "nothing writes to its root")
        mounts = machine.run("cat /proc/mounts")
        for place in ("/etc/camfw", "/var/lib", "/srv/ftp"):
            # The last mount of a place is the one that is seen.
            seen = [line for line in mounts.splitlines() if line.split()[1:2] == [place]][-1:]
            check(bool(seen) and seen[0].startswith("/dev/vdb "), f"{place} is on the partition: {seen}")
        machine.run("sed -i 's,10/minute,20/minute,' /etc/camfw/camfw.toml")
        check("code 0" in machine.run("camfw apply; echo code $?"), "another policy is applied")
        policy = in_force(machine)
        # One that nobody confirms, and a power cut.
        machine.run("sed -i 's,20/minute,30/minute,' /etc/camfw/camfw.toml")
        check("code 0" in machine.run("camfw apply --confirm 600; echo code $?"), "a third one is tried")
        machine.run("sync")
        machine.pull_the_plug()
    with variant.booted(disk) as machine:
        machine.log_in()
        check(in_force(machine) == policy, "after a power cut the last confirmed policy holds, and not the one on trial")
        check("code 0" in machine.run("sed -i 's,30/minute,20/minute,' /etc/camfw/camfw.toml; camfw apply; echo code $?"),
              "the file is put right")
        machine.power_off()
    for root, version in ((newer, "newer"), (None, "")):
        with variant.booted(disk, root=root) as machine:
            machine.log_in()
            what = f"the {version or 'older'} root file system"
            check(("newer" in machine.run("cat /etc/version")) == bool(version), f"{what} is what booted")
            check("code 0" in machine.run("camfw status; echo code $?"), f"{what}: camfw status, the health check, is 0")
            check(in_force(machine) == policy, f"{what}: the policy is the same")
            machine.power_off()
    with variant.booted("snapshot") as machine:
        machine.log_in()
        log = machine.run("dmesg | grep 'camfw:'")
        check("/data is not as it should be" in log and "camfw: Applied" in log and "exited with code 1" in log,
              "without the partition the image's own policy holds, and it is said")


def in_force(machine: Console) -> str:
    """The policy that the kernel holds, by its hash."""
    said = machine.run("camfw status")
    # Where it is not the file, what differs is said first.
    found = re.search(r"(?:holds|from) policy ([0-9a-f]{12})", said)
    return found[1] if found else said


def over_ssh(key: Path, command: str) -> str:
    return subprocess.run([*SSH, "-i", str(key), "-o", "IdentitiesOnly=yes", ROUTER, command],
                          capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS).stdout


def check(holds: bool, what: str) -> None:
    if not holds:
        raise ConsoleError(f"NOT: {what}")
    print(f"  {what}", flush=True)


def main() -> int:
    name, deploy, scratch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    try:
        {"keys": keys, "own-distro": own_distro, "readonly": readonly}[name](Variant(name, deploy, scratch))
    except (ConsoleError, subprocess.SubprocessError) as error:
        print(f"variants: {name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
