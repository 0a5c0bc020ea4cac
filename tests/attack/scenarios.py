"""Owns the scenarios: a policy, who is around the router, and what is open between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from attack.forge import ICMP, ICMPV6, TCP, UDP
from attack.policy import ROUTER
from netns.program import ROOT


@dataclass(frozen=True)
class Host:
    """Somebody on a wire. Its hardware address is the wire's, unless it has its own."""

    name: str
    wire: str
    address: str
    address6: str | None = None
    mac: str | None = None


@dataclass(frozen=True)
class Flow:
    """A connection that is open while the frames come, by the names of its hosts or
    "router". With `at` it is opened to that address and port, which lead there."""

    source: str
    target: str
    protocol: int
    port: int = 0
    at: tuple[str, int] | None = None


@dataclass(frozen=True)
class Scenario:
    """`flows` and `flows6`: for each wire the first that has an end there is its
    control, and the first host of a wire the hostile one."""

    name: str
    policy: str
    hosts: tuple[Host, ...]
    flows: tuple[Flow, ...]
    flows6: tuple[Flow, ...] = ()
    # What the router's own programs listen on.
    tcp: tuple[int, ...] = (21, 22, 50000)
    udp: tuple[int, ...] = (67, 123)
    gateways: dict[str, str] = field(default_factory=dict)

    @property
    def wires(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host.wire for host in self.hosts))


def _example(name: str) -> str:
    return (ROOT / f"examples/{name}.toml").read_text()


def _static(text: str, address: str, gateway: str) -> str:
    """With an address of its own in the place of one by DHCP, which nobody here gives."""
    lines = []
    for line in text.splitlines():
        if "dhcp" in line and line.startswith("address"):
            lines += [f'address   = "{address}"', f'gateway   = "{gateway}"']
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _zone(name: str, role: str, interface: str, address: str, gateway: str = "", more: str = "") -> str:
    led = f"gateway = {gateway}\n" if gateway else ""
    return f"[zones.{name}]\ninterface = {interface}\naddress = {address}\nrole = \"{role}\"\n{led}{more}\n"


def _allow(source: str, target: str, service: str, more: str = "") -> str:
    return f'[[allow]]\nfrom = "{source}"\nto = "{target}"\nservice = {service}\n{more}\n'


INTERNET = Host("internet", "eth0", "192.168.0.1", "fd00:0::1")
# Beyond the gateway, where addresses are public.
FAR = Host("far", "eth0", "9.9.9.9", "2620:fe::fe")
CAMERA = Host("camera", "eth1", "192.168.8.110", "fd00:8::110")
CAMERA2 = Host("camera2", "eth1", "192.168.8.111", "fd00:8::111")
LAPTOP = Host("laptop", "eth2", "192.168.5.10", "fd00:5::10")
LAPTOP2 = Host("laptop2", "eth2", "192.168.5.11", "fd00:5::11")

_PINGS = (Flow("internet", ROUTER, ICMP), Flow("camera", ROUTER, ICMP), Flow("laptop", ROUTER, ICMP))
_PINGS6 = tuple(Flow(flow.source, flow.target, ICMPV6) for flow in _PINGS)
_HOSTS = (INTERNET, CAMERA, LAPTOP, FAR, CAMERA2, LAPTOP2)

CAMERA_ROUTER = Scenario(
    "camera-router", _example("camera-router"), _HOSTS,
    (*_PINGS, Flow("laptop", "camera", TCP, 80), Flow("laptop", "far", TCP, 80),
     Flow("camera", ROUTER, TCP, 21), Flow("laptop", ROUTER, TCP, 22), Flow(ROUTER, "far", TCP, 443),
     Flow(ROUTER, "camera", UDP, 161)),
)

_V6 = '[ipv6]\nmode = "same"\n'
_ADDRESSES = {
    "external": '["192.168.0.2/24", "fd00:0::2/64"]', "camera": '["192.168.8.1/24", "fd00:8::1/64"]',
    "private": '["192.168.5.200/24", "fd00:5::200/64"]',
}
_GATEWAYS = '["192.168.0.1", "fd00:0::1"]'

SAME = Scenario(
    "same",
    _V6 + _zone("external", "external", '"eth0"', _ADDRESSES["external"], _GATEWAYS)
    + _zone("camera", "camera", '"eth1"', _ADDRESSES["camera"]) + _zone("private", "private", '"eth2"', _ADDRESSES["private"])
    + _allow("any", "router", '"ping"') + _allow("camera", "router", '"ftp"') + _allow("private", "router", '"ssh"')
    + _allow("private", "camera", "{ tcp = [80], udp = [554] }") + _allow("private", "external", '["http", "dns"]'),
    _HOSTS,
    (*_PINGS, Flow("laptop", "camera", TCP, 80), Flow("laptop", "far", UDP, 53)),
    (*_PINGS6, Flow("laptop", "camera", TCP, 80), Flow("laptop", "camera", UDP, 554), Flow("laptop", "far", TCP, 80),
     Flow("laptop", "far", UDP, 53), Flow("camera", ROUTER, TCP, 21), Flow(ROUTER, "far", TCP, 443)),
)

RECORDER = Scenario(
    "recorder", _static(_example("recorder"), "192.168.0.2/24", "192.168.0.1"),
    (
        Host("phone", "eth0", "9.9.9.9"), Host("porch", "eth1", "192.168.8.110", mac="00:11:22:33:44:55"),
        Host("recorder", "eth2", "192.168.9.20"), Host("laptop", "eth3", "192.168.5.10"), INTERNET,
        Host("garage", "eth1", "192.168.8.111", mac="00:11:22:33:44:56"), Host("stranger", "eth1", "192.168.8.66"),
    ),
    (Flow("recorder", "porch", UDP, 554), Flow("phone", "recorder", TCP, 443, at=("192.168.0.2", 8443)),
     Flow("laptop", ROUTER, ICMP), Flow("recorder", "garage", TCP, 554), Flow("laptop", "recorder", TCP, 443),
     Flow("laptop", "phone", TCP, 443), Flow("laptop", "phone", UDP, 53), Flow("laptop", ROUTER, TCP, 22),
     Flow(ROUTER, "porch", UDP, 161), Flow(ROUTER, "phone", TCP, 443)),
    gateways={"eth0": "192.168.0.1"},
)

LISTED = Scenario(
    "listed-egress", _static(_example("listed-egress"), "198.18.4.2/24", "198.18.4.1"),
    (Host("admin", "eth0", "198.18.4.10"), Host("gateway", "eth0", "198.18.4.1"), Host("stranger", "eth0", "9.9.9.9")),
    (Flow("admin", ROUTER, TCP, 22),),
)

BRIDGE = Scenario(
    "bridge",
    _zone("external", "external", '"eth0"', '"192.168.0.2/24"', '"192.168.0.1"')
    + _zone("camera", "camera", '{ bridge = ["eth1", "eth3"], name = "br-cam" }', '"192.168.8.1/24"')
    + _zone("private", "private", '"eth2"', '"192.168.5.200/24"')
    + _allow("any", "router", '"ping"') + _allow("private", "camera", '["http", "rtsp"]')
    + _allow("private", "external", '"http"'),
    (INTERNET, CAMERA, LAPTOP, Host("other-port", "eth3", "192.168.8.150"), FAR, LAPTOP2),
    (*_PINGS, Flow("other-port", ROUTER, ICMP), Flow("laptop", "camera", UDP, 554), Flow("laptop", "other-port", TCP, 80),
     Flow("laptop", "far", TCP, 80)),
)

NAT = Scenario(
    "nat",
    _zone("external", "external", '"eth0"', '["192.168.0.2/24", "192.168.0.7/24"]', '"192.168.0.1"')
    + _zone("camera", "camera", '"eth1"', '"192.168.8.1/24"') + _zone("private", "private", '"eth2"', '"192.168.5.200/24"')
    + _allow("any", "router", '"ping"') + _allow("private", "external", '["http", "dns", "ping"]')
    + _allow("private", "camera", '["http", "rtsp"]')
    + _allow("external", "camera", "{ tcp = [443], udp = [5004] }", 'address = "192.168.8.110"\n')
    + _allow("camera", "external", '"ntp"') + '[[exceptions]]\nfrom = "camera"\nto = "external"\nservice = "ntp"\n'
    + '[[masquerade]]\nfrom = "private"\nto = "external"\n[[snat]]\nfrom = "camera"\nto = "external"\naddress = "192.168.0.7"\n'
    + '[[forwards]]\nfrom = "external"\ntcp = 8443\nto = "camera"\naddress = "192.168.8.110"\nto-port = 443\n'
    + '[[forwards]]\nfrom = "external"\nudp = 5004\nto = "camera"\naddress = "192.168.8.110"\n'
    + '[[routes]]\nto = "10.20.0.0/16"\nvia = "192.168.5.1"\n',
    (*_HOSTS, Host("branch", "eth2", "10.20.0.9")),
    (*_PINGS, Flow("laptop", "far", TCP, 80), Flow("laptop", "far", UDP, 53), Flow("laptop", "far", ICMP),
     Flow("laptop", "camera", UDP, 554), Flow("branch", "camera", TCP, 80), Flow("far", "camera", TCP, 443, at=("192.168.0.2", 8443)),
     Flow("far", "camera", UDP, 5004, at=("192.168.0.2", 5004)), Flow("camera", "far", UDP, 123)),
)

PUBLIC = Scenario(
    "public",
    _zone("external", "external", '"eth0"', '["192.168.0.2/24", "192.168.0.6/24", "192.168.0.7/24", "192.168.0.8/24"]', '"192.168.0.1"')
    + _zone("camera", "camera", '"eth1"', '"192.168.8.1/24"') + _zone("private", "private", '"eth2"', '"192.168.5.200/24"')
    + _allow("any", "router", '"ping"') + _allow("private", "external", '["http", "dns"]')
    + _allow("external", "camera", "{ tcp = [443] }", 'address = ["192.168.8.110", "192.168.8.111"]\nsource = "9.9.9.9"\n')
    + _allow("external", "private", '["http", "ping"]', 'address = "192.168.5.11"\n')
    + '[[masquerade]]\nfrom = "private"\nto = "external"\n'
    + '[[forwards]]\nfrom = "external"\nat = "192.168.0.6"\ntcp = 443\nto = "camera"\naddress = "192.168.8.110"\nloopback = ["private"]\n'
    + '[[forwards]]\nfrom = "external"\nat = "192.168.0.7"\ntcp = 443\nto = "camera"\naddress = "192.168.8.111"\n'
    + '[[forwards]]\nfrom = "external"\nat = "192.168.0.8"\nto = "private"\naddress = "192.168.5.11"\nloopback = ["private"]\n',
    _HOSTS,
    (*_PINGS, Flow("laptop", "far", TCP, 80), Flow("laptop2", "far", UDP, 53), Flow("far", "camera", TCP, 443, at=("192.168.0.6", 443)),
     Flow("far", "camera2", TCP, 443, at=("192.168.0.7", 443)), Flow("far", "laptop2", TCP, 80, at=("192.168.0.8", 80)),
     Flow("laptop", "camera", TCP, 443, at=("192.168.0.6", 443))),
)

HELPER = Scenario(
    "helper",
    _zone("external", "external", '"eth0"', '"192.168.0.2/24"', '"192.168.0.1"')
    + _zone("camera", "camera", '"eth1"', '"192.168.8.1/24"') + _zone("private", "private", '"eth2"', '"192.168.5.200/24"')
    + _allow("any", "router", '"ping"') + _allow("private", "external", "{ tcp = [21], helper = true }")
    + _allow("camera", "router", "{ tcp = [21], helper = true }")
    + '[[masquerade]]\nfrom = "private"\nto = "external"\n',
    _HOSTS,
    (*_PINGS, Flow("laptop", "far", TCP, 21), Flow("camera", ROUTER, TCP, 21)),
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (CAMERA_ROUTER, RECORDER, LISTED, SAME, BRIDGE, NAT, PUBLIC, HELPER)}


def named(names: Iterable[str]) -> list[Scenario]:
    """Those scenarios, or all of them."""
    return [SCENARIOS[name] for name in names] or list(SCENARIOS.values())
