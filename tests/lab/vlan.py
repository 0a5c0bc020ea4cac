"""Owns a switch that tags a port with a VLAN, made of frames, for machines whose own kernel knows no VLAN.

Its trunk is an interface of a namespace, and its port one that it makes in another namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import socket
import struct
import threading

from lab.hosts import IFF_NO_PI, IFF_TAP, TUNSETIFF
from lab.namespace import Namespace

# linux/if_packet.h
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
ETH_P_ALL = 3
TAG = 0x8100
LARGEST = 2048


class Trunk:
    """An interface by which frames come and go with their tags. A context manager."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        with namespace.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.settimeout(0.2)

    def __enter__(self) -> Trunk:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, frame: bytes, vlan: int | None) -> None:
        tag = b"" if vlan is None else struct.pack("!HH", TAG, vlan)
        self.socket.send(frame[:12] + tag + frame[12:])

    def receive(self) -> tuple[bytes, int | None] | None:
        """The next frame, without its tag, and its VLAN; None of one that was sent here, and if none comes for a
        while."""
        try:
            data, ancillary, _, sender = self.socket.recvmsg(LARGEST, 256)
        except TimeoutError:
            return None
        if sender[2] == PACKET_OUTGOING:
            return None
        # The kernel takes the tag out of the frame and tells it beside (tpacket_auxdata).
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                tag, protocol = struct.unpack_from("HH", value, 16)
                if protocol == TAG:
                    return data, tag & 0xFFF
        return data, None


class Switch:
    """Passes frames between a trunk, where they have its tag, and a port, where they have none. A context manager."""

    def __init__(self, trunk: Trunk, vlan: int, port: Namespace, interface: str, mac: str) -> None:
        self._trunk, self._vlan = trunk, vlan
        with port.entered():
            self._port = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(self._port, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
        port.ip("link", "set", interface, "address", mac)
        self._running = True
        self._thread = threading.Thread(target=self._pass, daemon=True)
        self._thread.start()

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()
        os.close(self._port)

    def _pass(self) -> None:
        with selectors.DefaultSelector() as selector:
            for source in (self._port, self._trunk.socket):
                selector.register(source, selectors.EVENT_READ)
            while self._running:
                for key, _ in selector.select(0.2):
                    # A frame that finds no room is lost, as in a switch.
                    with contextlib.suppress(OSError):
                        self._take(key.fileobj is self._trunk.socket)

    def _take(self, from_the_trunk: bool) -> None:
        if not from_the_trunk:
            self._trunk.send(os.read(self._port, LARGEST), self._vlan)
            return
        came = self._trunk.receive()
        if came is not None and came[1] == self._vlan:
            os.write(self._port, came[0])
