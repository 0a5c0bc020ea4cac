"""Owns the facts about examples/camera-router.toml that tests compare with.

Written by hand and used only by tests. Never derived from the configuration or from the
program under test, which would make it agree with both.
"""

from __future__ import annotations

from .facts import Flow, Wiring

INTERNET = Wiring("internet", "eth0", "192.168.0.1", 24, router="192.168.0.2",
                  address6="fd00:0::1", router6="fd00:0::2")
CAMERA = Wiring("camera", "eth1", "192.168.8.110", 24, router="192.168.8.1",
                address6="fd00:8::110", router6="fd00:8::1")
LAPTOP = Wiring("laptop", "eth2", "192.168.5.10", 24, router="192.168.5.200",
                address6="fd00:5::10", router6="fd00:5::200")
WIRINGS = (INTERNET, CAMERA, LAPTOP)

PASSIVE = range(50000, 50101)


# What the example allows; nothing else is allowed.
ALLOWED = frozenset({
    Flow("internet", "router", "ping"),
    Flow("camera", "router", "ping"),
    Flow("laptop", "router", "ping"),
    Flow("camera", "router", "ftp"),
    Flow("laptop", "router", "ssh"),
    Flow("laptop", "camera", "http"),
    Flow("laptop", "internet", "http"),
})

# The TCP ports of the router that a scan from each host must find open, given a
# listener on every port.
OPEN_PORTS: dict[str, frozenset[int]] = {
    "internet": frozenset(),
    "camera": frozenset({21, *PASSIVE}),
    "laptop": frozenset({22}),
}

# The services tried between each pair of hosts, by their names in lab.probes.PROBES.
SERVICES = (
    "ping", "ftp", "ssh", "http", "telnet", "https", "rtsp", "http-alt", "dns", "snmp", "onvif",
)


def attempts(services: tuple[str, ...] = SERVICES) -> list[tuple[Flow, bool]]:
    """Every service from each host to the router and to each other host, with whether
    the example allows it."""
    names = [wiring.name for wiring in WIRINGS]
    flows = (
        Flow(source, target, service)
        for source in names
        for target in ["router", *names]
        if source != target
        for service in services
    )
    return [(flow, flow in ALLOWED) for flow in flows]
