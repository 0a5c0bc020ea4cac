"""Owns what `camfw blocked --json` is to name: whatever a host tried and may not."""

from __future__ import annotations

import json
from collections.abc import Iterable

from . import example
from .facts import BEGINS, Flow

# A destination, the number of a protocol, and a port (or the type of an ICMP message).
Tried = tuple[str, int, int]


def refused(attempts: Iterable[tuple[Flow, bool]], source: str = "camera") -> set[Tried]:
    """What one host tried of these and may not."""
    addresses = {wiring.name: wiring.address for wiring in example.WIRINGS}
    routers = {wiring.name: wiring.router for wiring in example.WIRINGS}
    return {
        (routers[source] if flow.target == "router" else addresses[flow.target], *BEGINS[flow.service])
        for flow, allowed in attempts if flow.source == source and not allowed
    }


def named(text: str, address: str = example.CAMERA.address) -> dict[Tried, int]:
    """What the record says that the host of this address tried, each with when first, in seconds since 1970. The same
    may be there once for each reason for which it was refused."""
    first: dict[Tried, int] = {}
    for host in json.loads(text)["hosts"]:
        for tried in host["tried"] if host["address"] == address else ():
            key = (tried["to"], tried["protocol"], tried["port"])
            first[key] = min(tried["first"], first.get(key, tried["first"]))
    return first
