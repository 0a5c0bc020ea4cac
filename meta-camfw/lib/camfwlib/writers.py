"""Owns what else in an image would configure interfaces or netfilter's tables.

camfw is the only writer of both. What is looked for is what starts by itself:
sysvinit's links and systemd's, whichever package they came in.
"""

from __future__ import annotations

from pathlib import Path

# By the name of the init script or unit, without its ending.
INTERFACES = {
    "networking": "ifupdown", "ifup@": "ifupdown", "connman": "ConnMan", "NetworkManager": "NetworkManager",
    "network-manager": "NetworkManager", "systemd-networkd": "systemd-networkd", "dhcpcd": "dhcpcd",
    "dhclient": "ISC's DHCP client", "netplan": "netplan", "wicked": "wicked", "busybox-udhcpc": "udhcpc",
}
TABLES = {
    "iptables": "iptables' own rules file", "ip6tables": "iptables' own rules file",
    "netfilter-persistent": "netfilter-persistent", "nftables": "nftables' own rules file", "ufw": "ufw",
    "firewalld": "firewalld", "shorewall": "Shorewall", "docker": "Docker", "fail2ban": "fail2ban",
}


def found(root: Path, allowed: frozenset[str] = frozenset()) -> list[str]:
    """What else starts below `root` and writes what is camfw's, a line each; `allowed` are names that may."""
    lines = []
    for writers, what in ((INTERFACES, "interfaces"), (TABLES, "netfilter's tables")):
        for name, program in writers.items():
            if name not in allowed:
                lines += [f"{place.relative_to(root)}: {program} would configure {what}, which is camfw's alone; leave "
                          f"its package out (PACKAGE_EXCLUDE), or allow it with CAMFW_OTHER_WRITERS = \"{name}\""
                          for place in started(root, name)]
    return sorted(lines)


def started(root: Path, name: str) -> list[Path]:
    """The links that start a service: sysvinit's by its number, systemd's by what wants it."""
    etc = root / "etc"
    if (etc / f"systemd/system/{name}.service").is_symlink() and (
            etc / f"systemd/system/{name}.service").readlink() == Path("/dev/null"):
        units: list[Path] = []
    else:
        units = [place for folder in ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
                 for place in (root / folder).glob(f"*.wants/{name}*.service")
                 if place.name == f"{name}.service" or name.endswith("@")]
    return [*etc.glob(f"rc[S2345].d/S??{name}"), *units]
