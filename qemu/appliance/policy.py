"""Owns what a configuration allows of the flows that the hosts try.

A second, small reading of the file, apart from the program under test: only
zones, services and allow lines, and only for good files.
"""

from __future__ import annotations

import tomllib
from typing import Any

from lab import example
from lab.probes import TCP_PORTS, UDP_PORTS
from lab.table import Flow

# What each probe of the table needs open.
NEEDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "ping": ("icmp", ()),
    # The data port is the server's choice of the range.
    "ftp": ("tcp", (21, example.PASSIVE.start, example.PASSIVE.stop - 1)),
    "ssh": ("tcp", (22,)),
    "http": ("tcp", (80,)),
    **{name: ("tcp", (port,)) for name, port in TCP_PORTS.items()},
    **{name: ("udp", (port,)) for name, port in UDP_PORTS.items()},
}

# The built-in services that the probes can tell of.
CATALOGUE: dict[str, dict[str, Any]] = {
    "ping": {"icmp": ["echo-request"]},
    "ftp": {"tcp": [21], "passive": "50000-50100"},
    "ssh": {"tcp": [22]},
    "http": {"tcp": [80]},
    "https": {"tcp": [443]},
    "rtsp": {"tcp": [554], "udp": [554]},
    "dns": {"tcp": [53], "udp": [53]},
    "snmp": {"udp": [161]},
    "onvif-discovery": {"udp": [3702]},
}


class PolicyError(Exception):
    """The hosts cannot tell whether this configuration holds."""


def attempts(text: str) -> list[tuple[Flow, bool]]:
    """Everything that the hosts try, and whether this configuration allows it."""
    try:
        return _attempts(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            f"cannot tell what this configuration allows ({error}); `camfw check` says what is "
            "wrong with it, and --shell boots with it all the same") from error


def _attempts(config: dict[str, Any]) -> list[tuple[Flow, bool]]:
    zones = {zone["interface"]: (name, zone["address"]) for name, zone in config["zones"].items()
             if isinstance(zone["interface"], str)}
    names = {"router": "router"}
    for wiring in example.WIRINGS:
        zone, address = zones.get(wiring.interface, ("", ""))
        if address != f"{wiring.router}/{wiring.prefix}":
            raise PolicyError(
                f"the {wiring.name} is wired to a router with {wiring.interface} "
                f"{wiring.router}/{wiring.prefix}, and the configuration has no such zone")
        names[wiring.name] = zone
    services = CATALOGUE | config.get("services", {})
    allowed = [
        (line["from"], line["to"], service)
        for line in config.get("allow", [])
        for service in _services(line["service"], services)
    ]

    def passes(flow: Flow) -> bool:
        here = [
            service for source, target, service in allowed
            if source in (names[flow.source], "any") and target in (names[flow.target], "any")
        ]
        return _opens(here, *NEEDS[flow.service])

    return [(flow, passes(flow)) for flow, _ in example.attempts()]


def _services(written: Any, services: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(written, dict):
        return [written]
    names = [written] if isinstance(written, str) else written
    return [services.get(name, {}) for name in names]


def _opens(services: list[dict[str, Any]], protocol: str, ports: tuple[int, ...]) -> bool:
    if protocol == "icmp":
        return any("echo-request" in service.get("icmp", ()) for service in services)
    ranges = [
        _range(written) for service in services
        for written in (*service.get(protocol, ()), *([service["passive"]]
                        if protocol == "tcp" and "passive" in service else ()))
    ]
    return all(any(port in one for one in ranges) for port in ports)


def _range(written: int | str) -> range:
    if isinstance(written, int):
        return range(written, written + 1)
    first, _, last = written.partition("-")
    return range(int(first), int(last or first) + 1)
