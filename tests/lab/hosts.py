"""Owns the hosts around the router: one namespace each, with one interface.

Independent of what the router is: a host is wired to another namespace with `plug`, or
to an emulated machine with `tap`.
"""

from __future__ import annotations

import fcntl
import os
import struct

from lab.facts import Wiring
from lab.namespace import Namespace, ip

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

# The host's end of the wire.
INTERFACE = "eth0"


class Host:
    """A host in a namespace of its own; it reaches all other networks through the
    router.

    Wire it exactly once, with `plug` or `tap`.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.name = wiring.name
        self.address = wiring.address
        self.namespace = Namespace(wiring.name)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.namespace.delete()

    def plug(self, router: Namespace) -> None:
        """Connects the host to the router's namespace with a veth pair. The router's
        end is left down and without an address, for the router to configure."""
        ip(
            "-n", router.name, "link", "add", self.wiring.interface, "type", "veth",
            "peer", "name", INTERFACE, "address", self.wiring.mac, "netns", self.namespace.name,
        )
        self._configure()

    def tap(self) -> int:
        """Creates a tap device as the host's interface. Returns a file descriptor for
        the other end, for `-netdev tap,fd=N` of qemu-system; pass it on with pass_fds.
        The device exists until it is closed."""
        with self.namespace.entered():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", INTERFACE.encode(), IFF_TAP | IFF_NO_PI))
        self.namespace.ip("link", "set", INTERFACE, "address", self.wiring.mac)
        self._configure()
        return fd

    def _configure(self) -> None:
        wiring = self.wiring
        # nodad: addresses are usable at once, not a second later. Offloads stay on:
        # checksums are left to the veth peer, which passes them on.
        self.namespace.ip(batch=f"""
            link set {INTERFACE} up
            address add {wiring.address}/{wiring.prefix} dev {INTERFACE}
            route add default via {wiring.router}
            address add {wiring.address6}/64 dev {INTERFACE} nodad
            route add default via {wiring.router6} dev {INTERFACE}
        """)
