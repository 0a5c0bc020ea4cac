"""Owns the routers that are not under test: by them the suite shows that it would see
what gets through."""

from __future__ import annotations

from attack.stage import Stage
from lab.probes import wait_until
from netns.tables import Tables


def open_to_all(stage: Stage) -> None:
    """A router without any rule, that believes every source."""
    batch = []
    for zone in stage.policy.zones.values():
        batch += [f"address add {address}/{network.prefixlen} dev {zone.interface}{' nodad' if address.version == 6 else ''}"
                  for address, network in zip(zone.addresses, zone.networks, strict=True)]
    stage.router.ip(batch="\n".join(f"link set {zone.interface} up" for zone in stage.policy.zones.values()))
    stage.router.ip(batch="\n".join(batch))
    external = stage.scenario.wires[0]
    for gateway in ("192.168.0.1", "fd00:0::1"):
        stage.router.ip("route", "add", "default", "via", gateway, "dev", external)
    for key, value in (("rp_filter", "0"), ("accept_local", "1"), ("accept_source_route", "1"), ("send_redirects", "0")):
        for interface in ("all", *stage.scenario.wires):
            stage.router.write_sysctl(f"net.ipv4.conf.{interface}.{key}", value)
    stage.router.write_sysctl("net.ipv4.ip_forward", "1")
    stage.router.write_sysctl("net.ipv6.conf.all.forwarding", "1")
    wait_until(lambda: " tentative" not in stage.router.run(["ip", "-6", "address"]).stdout)


# The way in which nearly everybody writes it, with all that the zones of `camera-router`
# and `same` let pass, sources checked: what comes in beyond that comes by RELATED.
_AS_EVERYBODY = """*raw
:PREROUTING ACCEPT [0:0]
{sources}
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
{discovery}
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{pings}
-A INPUT -i eth1 -p tcp --syn -m multiport --dports 21,50000:50100 -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -i eth2 -p tcp --syn --dport 22 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth2 -o eth1 -p tcp --syn --dport 80 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -i eth2 -o eth1 -p udp --dport 554 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -i eth2 -o eth0 -p tcp --syn --dport 80 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -i eth2 -o eth0 -p udp --dport 53 -m conntrack --ctstate NEW -j ACCEPT
COMMIT
"""


def as_everybody(stage: Stage) -> None:
    """A router with rules as most are: sources checked, allow lines by zone, and one rule
    for RELATED and ESTABLISHED."""
    open_to_all(stage)
    families = (("iptables-restore", 4, "icmp --icmp-type 8"), ("ip6tables-restore", 6, "ipv6-icmp --icmpv6-type 128"))
    for command, version, echo in families:
        sources, pings = [], []
        for zone in stage.policy.zones.values():
            own = [network for network in zone.networks if network.version == version]
            others = [network for other in stage.policy.zones.values() if other is not zone for network in other.networks]
            wanted = [f"-s {network} -j DROP" for network in others if network.version == version]
            if zone.role != "external" and own:
                wanted = [f"! -s {own[0]} -j DROP"]
            sources += [f"-A PREROUTING -i {zone.interface} {rule}" for rule in wanted]
            here = next(address for address in zone.addresses if address.version == version)
            pings.append(f"-A INPUT -i {zone.interface} -d {here} -p {echo} -m conntrack --ctstate NEW -j ACCEPT")
        discovery = "-A INPUT -p ipv6-icmp --icmpv6-type 135 -j ACCEPT\n-A INPUT -p ipv6-icmp --icmpv6-type 136 -j ACCEPT"
        if version == 6:
            sources = [rule.replace("-j DROP", "! -p ipv6-icmp -j DROP") if "! -s" not in rule else rule for rule in sources]
        text = _AS_EVERYBODY.format(
            sources="\n".join(sources), pings="\n".join(pings), discovery=discovery if version == 6 else "")
        tables = Tables(stage.router, stage.program.backend)
        stage.router.run([tables.multi, command], input=text, check=True)
