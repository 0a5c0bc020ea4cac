"""Owns a router that is a namespace, wired to the hosts by veth pairs.

Configures nothing that the program under test should configure: the interfaces are
down, the tables empty, and ip_forward is 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from lab.hosts import Host, Wiring
from lab.namespace import LabError, Namespace, sweep
from lab.probes import wait_until


class Lab:
    """The hosts and a router namespace, wired. A context manager that cleans up
    completely."""

    def __init__(self, wirings: Iterable[Wiring]) -> None:
        sweep()
        with contextlib.ExitStack() as stack:
            self.router = stack.enter_context(Namespace("router"))
            self.hosts: dict[str, Host] = {}
            for wiring in wirings:
                host = stack.enter_context(Host(wiring))
                host.plug(self.router)
                self.hosts[wiring.name] = host
            self._stack = stack.pop_all()
        self._settled = False

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Deletes everything; may be called again."""
        self._stack.close()

    def address(self, source: str, target: str) -> str:
        """The address at which `source` reaches `target`, which may be "router"."""
        return self.hosts[source].wiring.router if target == "router" else self.hosts[target].address

    def settle(self) -> None:
        """Waits, once, until every link that has a carrier also sends; call it when the
        router's interfaces came up.

        The kernel attaches a queue some time after the carrier is there (link_watch.c),
        on a busy machine a good deal later, and drops in silence what is sent before.
        """
        if self._settled:
            return
        for namespace in (self.router, *(host.namespace for host in self.hosts.values())):
            if not wait_until(namespace.links_send):
                raise LabError(f"{namespace.name}: a link with a carrier does not come up")
        self._settled = True

    def configure_router(self, *, ipv6: bool = False) -> None:
        """Sets the interfaces up with their addresses and turns forwarding on, as the
        program does, for cases that need a router without the program."""
        lines: list[str] = []
        for host in self.hosts.values():
            wiring = host.wiring
            lines += [
                f"link set {wiring.interface} up",
                f"address replace {wiring.router}/{wiring.prefix} dev {wiring.interface}",
            ]
        self.router.ip(batch="\n".join(lines))
        self.settle()
        self.router.write_sysctl("net.ipv4.ip_forward", "1")
        if ipv6:
            self.configure_router6()

    def configure_router6(self) -> None:
        """Sets IPv6 addresses and forwarding, as a user may have done before."""
        self.router.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.router.ip(batch="\n".join(
            f"address replace {host.wiring.router6}/64 dev {host.wiring.interface} nodad"
            for host in self.hosts.values()
        ))
