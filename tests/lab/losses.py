"""Owns the exact count of the packets of a TCP flow that were lost between two hosts.

They are counted where they leave and where they arrive, by rules in the hosts'
own namespaces. How often a sender sends again says less: on a busy machine its
timers take what is late for lost.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from lab.hosts import INTERFACE, Host
from lab.namespace import Namespace

# Directions of a flow.
THERE, BACK = 0, 1


class Lost(NamedTuple):
    """What is missing, which while the flow goes on is what is under way too; without
    what a wire of the lab had no room for, which is no fault of the router's."""

    # Packets from the client to the server, and back.
    there: int
    back: int
    # Segments that the client had to send again: not those that were only late.
    sent_again: int


NOTHING = Lost(0, 0, 0)


class Losses:
    """Counts what goes over TCP from a client to a port of a server, and back, from
    now on. One for each pair of hosts."""

    def __init__(self, iptables: str, client: Host, server: Host, port: int, router: Namespace) -> None:
        """`iptables` is the program, of either backend, that is all its commands."""
        self._iptables = iptables
        self._client, self._server, self._router, self._port = client, server, router, port
        ways = (
            ("-s", client.address, "-d", server.address, "--dport", str(port)),
            ("-s", server.address, "--sport", str(port), "-d", client.address),
        )
        for host in (client, server):
            # A segment is a packet of its own from where TCP makes it, and no two are made one.
            host.namespace.ip("link", "set", INTERFACE, "gso_max_segs", "1")
            # The last place on a packet's way out, and the first on its way in.
            for table, chain in (("mangle", "POSTROUTING"), ("raw", "PREROUTING")):
                for way in ways:
                    self._run(host, "-t", table, "-A", chain, "-p", "tcp", *way)
        # What was sent before the far end of a wire was up.
        self._dropped_before = [self._dropped(way) for way in (THERE, BACK)]

    def arrived(self) -> int:
        """How many packets of the client's came to the server."""
        return self._counted(self._server, "raw", "PREROUTING", THERE)

    def lost(self) -> Lost:
        """What was lost so far."""
        dropped = [self._dropped(way) - self._dropped_before[way] for way in (THERE, BACK)]
        there, back = (
            self._counted(source, "mangle", "POSTROUTING", way)
            - self._counted(target, "raw", "PREROUTING", way) - dropped[way]
            for way, source, target in ((THERE, self._client, self._server), (BACK, self._server, self._client))
        )
        return Lost(there, back, max(0, self._needed_again() - sum(dropped)))

    def _needed_again(self) -> int:
        """How many segments the client sent again, of the flows that are open, but for
        those that the server had already, by its own count: some it does not tell, where
        one acknowledgment is for several (tcp_dsack_set in net/ipv4/tcp_input.c)."""
        flows = self._client.namespace.run(
            ["ss", "-tinHO", f"dst {self._server.address}:{self._port}"], check=True).stdout
        counters = ("TcpExtTCPDSACKOldSent", "TcpExtTCPDSACKOfoSent")
        had = self._server.namespace.run(["nstat", "-asjz", *counters], check=True).stdout
        again = sum(map(int, re.findall(r" retrans:\d+/(\d+)", flows)))
        return again - sum(json.loads(had)["kernel"].values())

    def _dropped(self, way: int) -> int:
        # What finds the backlog of a veth's peer full is counted by its sender
        # (veth_xmit in drivers/net/veth.c).
        source, target = (self._client, self._server) if way == THERE else (self._server, self._client)
        wires = ((source.namespace, INTERFACE), (self._router, target.wiring.interface))
        return sum(_transmit_drops(*wire) for wire in wires)

    def _counted(self, host: Host, table: str, chain: str, way: int) -> int:
        # After two lines of headings a line for each rule, its packets first.
        lines = self._run(host, "-t", table, "-nvxL", chain).splitlines()
        return int(lines[2 + way].split()[0])

    def _run(self, host: Host, *arguments: str) -> str:
        return host.namespace.run([self._iptables, "iptables", *arguments], check=True).stdout


def _transmit_drops(namespace: Namespace, interface: str) -> int:
    shown = namespace.run(["ip", "-j", "-s", "link", "show", "dev", interface], check=True).stdout
    return int(json.loads(shown)[0]["stats64"]["tx"]["dropped"])
