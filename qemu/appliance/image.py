"""Owns what is booted: a kernel, a file system, and the files that one boot adds to it.

Never changes an image: what is added goes into an archive unpacked after it,
or into a copy of the disk.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import ROOT, cpio
from appliance.cpio import Entry

BUILD = ROOT / "build/appliance"
OVERLAY = ROOT / "qemu/overlay"
EXAMPLE = ROOT / "examples/camera-router.toml"

BACKENDS = {"legacy": "xtables-legacy-multi", "nft": "xtables-nft-multi"}


# All files of an archive are root's; and uploads have room of their own.
MAIL_SETTINGS = """#!/bin/sh
[ "$1" = start ] || exit 0
chown camfw-mail /etc/camfw-mail/*
# The root's own file system is full of the image.
mkdir -p /srv/ftp
mount -t tmpfs -o mode=755 tmpfs /srv/ftp
"""
# The image's, with what `camfw show vsftpd` adds; the last one holds.
VSFTPD_FOR_MAIL = """#!/bin/sh
[ "$1" = start ] || exit 0
camfw show vsftpd | cat /etc/vsftpd.conf - >/run/vsftpd.conf
vsftpd /run/vsftpd.conf &
"""


# As `camfw show vsftpd` says.
HOSTS_ALLOW = """\
vsftpd: /run/camfw-mail/addresses: setenv VSFTPD_LOAD_CONF /run/camfw-mail/vsftpd/%a
vsftpd: ALL: deny
"""


class ImageError(Exception):
    """There is nothing to boot."""


@dataclass(frozen=True)
class Image:
    """A kernel, its initramfs archives in order, and a disk image for the root."""

    kernel: Path
    archives: tuple[Path, ...] = ()
    disk: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The kernel's arguments that belong to the image."""
        return ("root=/dev/vda", "ro") if self.disk else ()

    def with_files(self, files: Mapping[str, Entry], scratch: Path) -> Image:
        """The image with files added or replaced; `scratch` is a folder of its own."""
        if not files:
            return self
        scratch.mkdir(parents=True)
        if self.disk is None:
            added = scratch / "added.cpio"
            added.write_bytes(cpio.archive(files))
            return replace(self, archives=(*self.archives, added))
        disk = scratch / "root.ext4"
        shutil.copyfile(self.disk, disk)
        _add_to_disk(disk, files, scratch)
        return replace(self, disk=disk)


def own(*, mail: bool = False) -> Image:
    """The image of qemu/image/build; with `mail`, with msmtp."""
    archives = (BUILD / "root.cpio", *([BUILD / "mail.cpio"] if mail else []))
    return Image(BUILD / "kernel/Image", archives)


def tunnels() -> Image:
    """The image on a kernel with PPP, with the programs of WireGuard and PPPoE (qemu/image/tunnels)."""
    return Image(BUILD / "tunnels/Image", (BUILD / "root.cpio", BUILD / "tunnels.cpio"))


def deployed(folder: Path) -> Image:
    """The image in a Yocto deploy folder: Image or Image-*.bin, and camfw-image
    as *.ext4 or *.cpio.gz.

    Beside a disk image, an *initramfs*.cpio.gz is for a kernel that has the
    disk's driver as a module.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder")
    kernel = _newest(folder, "Image", "Image-*.bin")
    # A deploy folder has its machine's name, and images of one's own beside camfw-image.
    own = f"camfw-image-{folder.resolve().name}*"
    disk = _newest(folder, f"{own}.ext4") or _newest(folder, "camfw-image*.ext4")
    archive = _newest(folder, f"{own}.cpio.gz") or _newest(folder, "camfw-image*.cpio.gz")
    if kernel is None:
        raise ImageError(f"{folder} has no Image and no Image-*.bin")
    if disk is not None:
        early = _newest(folder, "*initramfs*.cpio.gz")
        return Image(kernel, (early,) if early else (), disk)
    if archive is not None:
        return Image(kernel, (archive,))
    raise ImageError(f"{folder} has no camfw-image*.ext4 and no camfw-image*.cpio.gz")


def program(binary: Path) -> dict[str, Entry]:
    """camfw itself."""
    return {"usr/sbin/camfw": cpio.file(binary.read_bytes(), 0o755)}


def configuration(text: str, arguments: str = "") -> dict[str, Entry]:
    """camfw's configuration, and the arguments that the init script gives it."""
    return {
        "etc/camfw": cpio.folder(),
        "etc/camfw/camfw.toml": cpio.file(text),
        "etc/default": cpio.folder(),
        "etc/default/camfw": cpio.file(f'CAMFW_ARGS="{arguments}"\n'),
    }


def login(public_key: str) -> dict[str, Entry]:
    """Lets root in over ssh. root lives in /root, or in /home/root as Yocto has it."""
    entries = {"home": cpio.folder()}
    for home in ("root", "home/root"):
        entries |= {
            home: cpio.folder(0o700),
            f"{home}/.ssh": cpio.folder(0o700),
            f"{home}/.ssh/authorized_keys": cpio.file(public_key, 0o600),
        }
    return entries


def page() -> dict[str, Entry]:
    """What shows the page, as init starts it in the image: by its own server, in place of the listeners'."""
    script = ROOT / "meta-camfw/recipes-fw/camfw-page/files/camfw-page"
    listeners = (OVERLAY / "etc/init.d/listeners").read_text()
    without = re.sub(r"(?m)^httpd .*\n", "", listeners)
    assert without != listeners
    return {
        "usr/libexec": cpio.folder(),
        "usr/libexec/camfw-page": cpio.file(script.read_bytes(), 0o755),
        "etc/init.d/listeners": cpio.file(without, 0o755),
        "etc/inittab": cpio.file((OVERLAY / "etc/inittab").read_text() + "::respawn:/usr/libexec/camfw-page\n"),
    }


def relay(binary: Path, settings: Mapping[str, str]) -> dict[str, Entry]:
    """camfw-mail, as init starts it in the image, and a vsftpd that has a folder for each camera, by
    tcp_wrappers (docs/mail.md). `settings` are the files of /etc/camfw-mail."""
    init = ROOT / "mail/init"
    files = {
        "usr/libexec": cpio.folder(),
        "usr/libexec/camfw-mail-prepare": cpio.file((init / "camfw-mail-prepare").read_bytes(), 0o755),
        "usr/sbin/camfw-mail": cpio.file(binary.read_bytes(), 0o755),
        "etc/init.d/camfw-mail": cpio.file((init / "camfw-mail").read_bytes(), 0o755),
        "etc/init.d/mail-settings": cpio.file(MAIL_SETTINGS, 0o755),
        "etc/init.d/vsftpd": cpio.file(VSFTPD_FOR_MAIL, 0o755),
        "etc/rc5.d/S74mail-settings": cpio.link("../init.d/mail-settings"),
        "etc/rc5.d/S75camfw-mail": cpio.link("../init.d/camfw-mail"),
        "etc/hosts.allow": cpio.file(HOSTS_ALLOW),
        "etc/camfw-mail": cpio.folder(),
    }
    return files | {f"etc/camfw-mail/{name}": cpio.file(text, 0o400) for name, text in settings.items()}


def users(**numbers: int) -> dict[str, Entry]:
    """Users beside those of the image, each with a group of its own and that of the FTP server's user."""
    passwd, group = ((OVERLAY / "etc" / name).read_text() for name in ("passwd", "group"))
    for name, number in numbers.items():
        user = name.replace("_", "-")
        passwd += f"{user}:x:{number}:{number}:{user}:/:/bin/false\n"
        group = group.replace("ftp:x:100:", f"{user}:x:{number}:\nftp:x:100:{user},").replace(",\n", "\n")
    return {"etc/passwd": cpio.file(passwd), "etc/group": cpio.file(group)}


def backend(name: str) -> dict[str, Entry]:
    """All the iptables commands of one backend: legacy or nft."""
    return {
        f"usr/sbin/{family}{tool}": cpio.link(BACKENDS[name])
        for family in ("iptables", "ip6tables")
        for tool in ("", "-restore", "-save")
    }


def _newest(folder: Path, *patterns: str) -> Path | None:
    # Yocto leaves a link to the newest beside it: the same file twice.
    found = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _add_to_disk(disk: Path, files: Mapping[str, Entry], scratch: Path) -> None:
    """By debugfs of e2fsprogs, which needs no mount."""
    commands: list[str] = []
    for number, (path, entry) in enumerate(files.items()):
        if stat.S_ISDIR(entry.mode):
            # Says "already exists" where it does, and goes on.
            commands.append(f"mkdir /{path}")
        elif stat.S_ISLNK(entry.mode):
            commands += [f"rm /{path}", f"symlink /{path} {entry.content.decode()}"]
        else:
            content = scratch / f"file{number}"
            content.write_bytes(entry.content)
            commands += [f"rm /{path}", f"write {content} /{path}"]
        if not stat.S_ISLNK(entry.mode):
            commands += [f"sif /{path} {field} {value}" for field, value in (
                ("mode", f"0{entry.mode:o}"), ("uid", "0"), ("gid", "0"))]
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", str(disk)], input="\n".join(commands) + "\n",
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
    )
    if done.returncode != 0:
        raise ImageError(f"debugfs: {done.stderr.strip()}")
    checked = subprocess.run(
        ["debugfs", "-R", f"stat /{list(files)[-1]}", str(disk)],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
    )
    if "Inode:" not in checked.stdout:
        raise ImageError(f"debugfs wrote nothing: {done.stdout.strip()[-400:]}")
