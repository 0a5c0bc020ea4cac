"""Owns the exact number of packets of a TCP flow that were lost between two hosts.

Rules in the hosts' own namespaces count them where they leave and where they arrive.
The number of retransmissions would say less: on a busy machine, the sender's timers
mistake delay for loss.
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
    """The packets missing at the receiver. While a flow is active, this includes
    packets in transit. Packets that a wire of the lab dropped for want of room are
    excluded: they are not the router's fault."""

    # Packets from the client to the server, and in the other direction.
    there: int
    back: int
    # Segments that the client had to retransmit, without those that were only late.
    sent_again: int


NOTHING = Lost(0, 0, 0)


class Losses:
    """Counts TCP packets between a client and a port of a server, in both directions,
    from now on. Use one per pair of hosts."""

    def __init__(self, iptables: str, client: Host, server: Host, port: int, router: Namespace) -> None:
        """`iptables` is the multi-call program of either backend."""
        self._iptables = iptables
        self._client, self._server, self._router, self._port = client, server, router, port
        ways = (
            ("-s", client.address, "-d", server.address, "--dport", str(port)),
            ("-s", server.address, "--sport", str(port), "-d", client.address),
        )
        for host in (client, server):
            # Disable segmentation offload and merging, so that each segment is one
            # packet everywhere.
            host.namespace.ip("link", "set", INTERFACE, "gso_max_segs", "1")
            # The last hook on a packet's way out, and the first on its way in.
            for table, chain in (("mangle", "POSTROUTING"), ("raw", "PREROUTING")):
                for way in ways:
                    self._run(host, "-t", table, "-A", chain, "-p", "tcp", *way)
        # Packets sent before the far end of a wire was up.
        self._dropped_before = [self._dropped(way) for way in (THERE, BACK)]

    def arrived(self) -> int:
        """The number of packets from the client that reached the server."""
        return self._counted(self._server, "raw", "PREROUTING", THERE)

    def lost(self) -> Lost:
        """What has been lost so far."""
        dropped = [self._dropped(way) - self._dropped_before[way] for way in (THERE, BACK)]
        there, back = (
            # A wire's count includes what is not of this flow, such as ARP: with all of
            # the flow there, it must not become a surplus.
            max(0, self._counted(source, "mangle", "POSTROUTING", way)
                - self._counted(target, "raw", "PREROUTING", way) - dropped[way])
            for way, source, target in ((THERE, self._client, self._server), (BACK, self._server, self._client))
        )
        return Lost(there, back, max(0, self._needed_again() - sum(dropped)))

    def _needed_again(self) -> int:
        """The number of segments that the client retransmitted on open flows, without
        those that the server reports as duplicates. The server does not report all
        duplicates, because one acknowledgment may cover several (tcp_dsack_set in
        net/ipv4/tcp_input.c)."""
        flows = self._client.namespace.run(
            ["ss", "-tinHO", f"dst {self._server.address}:{self._port}"], check=True).stdout
        counters = ("TcpExtTCPDSACKOldSent", "TcpExtTCPDSACKOfoSent")
        had = self._server.namespace.run(["nstat", "-asjz", *counters], check=True).stdout
        again = sum(map(int, re.findall(r" retrans:\d+/(\d+)", flows)))
        return again - sum(json.loads(had)["kernel"].values())

    def _dropped(self, way: int) -> int:
        # The sender counts packets that found the backlog of its veth peer full
        # (veth_xmit in drivers/net/veth.c).
        source, target = (self._client, self._server) if way == THERE else (self._server, self._client)
        wires = ((source.namespace, INTERFACE), (self._router, target.wiring.interface))
        return sum(_transmit_drops(*wire) for wire in wires)

    def _counted(self, host: Host, table: str, chain: str, way: int) -> int:
        # Two lines of headings, then one line per rule, with the packet count first.
        lines = self._run(host, "-t", table, "-nvxL", chain).splitlines()
        return int(lines[2 + way].split()[0])

    def _run(self, host: Host, *arguments: str) -> str:
        return host.namespace.run([self._iptables, "iptables", *arguments], check=True).stdout


def _transmit_drops(namespace: Namespace, interface: str) -> int:
    shown = namespace.run(["ip", "-j", "-s", "link", "show", "dev", interface], check=True).stdout
    return int(json.loads(shown)[0]["stats64"]["tx"]["dropped"])
