"""Owns the types for hosts, flows and service ports; needs no privileges and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Services that echo what was sent to them.
TCP_PORTS: Mapping[str, int] = {"telnet": 23, "https": 443, "rtsp": 554, "http-alt": 8080}
UDP_PORTS: Mapping[str, int] = {"dns": 53, "snmp": 161, "onvif": 3702}

# Protocol numbers (RFC 790).
ICMP = 1
TCP = 6
UDP = 17

# Of each service the protocol and the port that it begins at; of ping the type of the message.
BEGINS: Mapping[str, tuple[int, int]] = {
    "ping": (ICMP, 8), "ftp": (TCP, 21), "ssh": (TCP, 22), "http": (TCP, 80),
    **{name: (TCP, port) for name, port in TCP_PORTS.items()},
    **{name: (UDP, port) for name, port in UDP_PORTS.items()},
}


@dataclass(frozen=True)
class Wiring:
    """A host's address, and the router's interface and address on its network."""

    name: str
    interface: str
    address: str
    prefix: int
    router: str
    address6: str
    router6: str

    @property
    def mac(self) -> str:
        """A locally administered hardware address, the same in every run."""
        kind, number = self.interface.rstrip("0123456789"), self.interface.lstrip("abcdefghijklmnopqrstuvwxyz")
        return "02:00:00:00:00:%02x" % ((16 if kind == "eth" else 64) + int(number))


@dataclass(frozen=True)
class Flow:
    """A service, from a host to another host or to "router"."""

    source: str
    target: str
    service: str
