"""Owns a point-to-point line between two namespaces, as pppd makes one of PPPoE: an interface
at each end that is there while the line is, without hardware addresses, and whose addresses
another program than the one under test sets, changes and removes.

The kernels on which the tests run need not have PPP. What the line carries goes through this
process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import threading

from lab.hosts import IFF_NO_PI, TUNSETIFF
from lab.namespace import Namespace

# linux/if_tun.h
IFF_TUN = 0x0001
# What PPPoE leaves of an Ethernet frame (RFC 2516, 7).
MTU = 1492


class Line:
    """A line that is up until it is hung up. A context manager."""

    def __init__(self, near: Namespace, far: Namespace, interface: str = "ppp0") -> None:
        self.near, self.far, self.interface = near, far, interface
        self._ends = [_tun(near, interface), _tun(far, interface)]
        self._wake, self._stop = os.pipe()
        self._pump = threading.Thread(target=self._carry, daemon=True)
        self._pump.start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def address(self, near: str, far: str) -> None:
        """Gives both ends their addresses in place of those before, and sets them up."""
        for namespace, own, peer in ((self.near, near, far), (self.far, far, near)):
            namespace.ip(batch=f"""
                address flush dev {self.interface}
                address add {own} peer {peer}/32 dev {self.interface}
                link set {self.interface} mtu {MTU} up
            """)

    def hang_up(self) -> None:
        """Both interfaces are gone; may be called again."""
        if not self._ends:
            return
        os.close(self._stop)
        self._pump.join()
        for fd in (*self._ends, self._wake):
            os.close(fd)
        self._ends = []

    def _carry(self) -> None:
        first, second = self._ends
        others = {first: second, second: first}
        while True:
            ready, _, _ = select.select([first, second, self._wake], [], [])
            if self._wake in ready:
                return
            for fd in ready:
                # An end that is down takes and gives nothing.
                with contextlib.suppress(OSError):
                    os.write(others[fd], os.read(fd, 65536))


def _tun(namespace: Namespace, interface: str) -> int:
    with namespace.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TUN | IFF_NO_PI))
    return fd
