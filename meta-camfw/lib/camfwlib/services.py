"""Owns what camfw's configuration means for the servers on the router.

Asks camfw itself, whose native build is there while an image is made: who may
reach whom is the program's to say, and not read a second time here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

# Each server's port, its link in rc?.d, and its unit.
SERVERS = {"vsftpd": (21, "vsftpd.service"), "dropbear": (22, "dropbear.socket")}


# What the package camfw-ftp brings: it starts vsftpd for each connection, in place of one that listens itself.
FTP_STARTER = "usr/libexec/camfw-ftp"

# What the package camfw-vsftpd brings: uploads by cameras, in place of vsftpd's own defaults.
VSFTPD_TEMPLATE = "usr/share/camfw/vsftpd.conf"


class ServiceError(Exception):
    """The configuration and a server do not go together."""


def configure(root: Path) -> list[str]:
    """Sets the servers below `root` up by etc/camfw/camfw.toml; those that nobody may reach are turned off, and returned."""
    etc = root / "etc"
    config = etc / "camfw/camfw.toml"
    code, _, why = asked(config, "check")
    if code != 0:
        raise ServiceError(why)
    off = [server for server, (port, _) in SERVERS.items() if not reachable(config, port)]
    code, lines, why = asked(config, "show", "vsftpd")
    if code == 0:
        # On a port of its own, perhaps.
        off = [server for server in off if server != "vsftpd"]
        ours, conf = root / VSFTPD_TEMPLATE, etc / "vsftpd.conf"
        if conf.exists():
            conf.write_text(vsftpd((ours if ours.exists() else conf).read_text(), lines))
    elif "vsftpd" not in off:
        raise ServiceError(why)
    for server in {*off, *(["vsftpd"] if (root / FTP_STARTER).exists() else [])}:
        turn_off(etc, server)
    return off


def turn_off(etc: Path, server: str) -> None:
    """Takes a server out of the boot, of sysvinit and of systemd."""
    for started in etc.glob(f"rc?.d/S??{server}"):
        started.unlink()
    units = etc / "systemd/system"
    if units.is_dir():
        # Masked, since presets would enable it again.
        mask = units / SERVERS[server][1]
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")


def reachable(config: Path, port: int) -> bool:
    """May any other host open a connection to this TCP port of the router?"""
    for family in ([], ["--ipv6"]):
        code, matrix, why = asked(config, "show", "matrix", "--dport", str(port), "--proto", "tcp", "--json", *family)
        if code != 0:
            raise ServiceError(why)
        if any(pair["to"] == "router" != pair["from"] for pair in json.loads(matrix)["reaches"]):
            return True
    return False


def vsftpd(conf: str, lines: str) -> str:
    """vsftpd.conf with these options in place of its own."""
    for line in lines.splitlines():
        option, equals, _ = line.partition("=")
        if equals:
            conf = re.sub(rf"(?m)^{re.escape(option)}=.*\n?", "", conf).rstrip("\n") + f"\n{line}\n"
    return conf


def asked(config: Path, *command: str) -> tuple[int, str, str]:
    """camfw's exit code, and what it printed and complained of."""
    # Time zones and lists of addresses are those of the root file system, not of the machine that builds it.
    root = config.parent.parent.parent
    done = subprocess.run(
        ["camfw", "--config", str(config), *command], capture_output=True, text=True, check=False,
        env={**os.environ, "TZDIR": str(root / "usr/share/zoneinfo"), "CAMFW_ROOT": str(root)})
    return done.returncode, done.stdout, done.stderr.strip()
