"""Owns what else in an image would configure interfaces or netfilter's tables.

camfw is the only writer of both. What is looked for is what starts by itself:
sysvinit's links and systemd's, whichever package they came in.
"""

from __future__ import annotations

import re
from pathlib import Path

# By the name of the init script or unit, without its ending.
INTERFACES = {
    "networking": "ifupdown", "ifup": "ifupdown", "connman": "ConnMan", "NetworkManager": "NetworkManager",
    "network-manager": "NetworkManager", "systemd-networkd": "systemd-networkd", "dhcpcd": "dhcpcd",
    "dhclient": "ISC's DHCP client", "netplan": "netplan", "wicked": "wicked", "busybox-udhcpc": "udhcpc",
}
TABLES = {
    "iptables": "iptables' own rules file", "ip6tables": "iptables' own rules file",
    "netfilter-persistent": "netfilter-persistent", "nftables": "nftables' own rules file", "ufw": "ufw",
    "firewalld": "firewalld", "shorewall": "Shorewall", "shorewall6": "Shorewall", "docker": "Docker",
    "fail2ban": "fail2ban", "ebtables": "ebtables' own rules file", "arptables": "arptables' own rules file",
    "arno-iptables-firewall": "Arno's firewall", "miniupnpd": "MiniUPnPd",
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
    """The links that start a service: sysvinit's by its number, systemd's by what wants it or requires it, an instance
    of it (`dhcpcd@eth0`) as well."""
    etc = root / "etc"
    units = [place for folder in ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
             for asks in ("wants", "requires", "upholds")
             for place in (root / folder).glob(f"*.{asks}/{name}*.service")
             if place.name in (f"{name}.service", f"{name}@.service") or place.name.startswith(f"{name}@")]
    return [*etc.glob(f"rc[S2345].d/S??{name}"), *(unit for unit in units if not masked(etc, unit.name))]


def masked(etc: Path, unit: str) -> bool:
    """Whether the unit, or the template that it is an instance of, is masked."""
    template = re.sub("@.*", "@.service", unit)
    places = (etc / "systemd/system" / name for name in (unit, template))
    return any(place.is_symlink() and place.readlink() == Path("/dev/null") for place in places)
