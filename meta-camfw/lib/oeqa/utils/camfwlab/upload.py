"""Owns an FTP upload made of frames: a TCP client for one segment at a time, and the few
commands that a camera sends."""

from __future__ import annotations

import random
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import frames
from .wire import Wire

FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16

# How long an answer may take in all, and until a segment is sent again.
PATIENCE_SECONDS = 60.0
AGAIN_SECONDS = 2.0
# What every host takes (RFC 1122).
SEGMENT_BYTES = 536


class UploadError(Exception):
    """The server did not do as it should."""


class Connection:
    """A TCP connection from the host of a wire. Data is acknowledged before more is sent."""

    def __init__(self, wire: Wire, server: str, port: int, own_port: int) -> None:
        self._wire = wire
        self._server = server
        self._ports = (own_port, port)
        self._next = 1000
        self._acknowledged = 0
        self._expected: int | None = None
        self._received = b""
        self._ended = False
        self._looked = len(wire.segments(0))
        self._send(SYN)

    def say(self, data: bytes) -> None:
        """Sends data, until it is acknowledged."""
        for first in range(0, len(data), SEGMENT_BYTES):
            self._send(PUSH | ACK, data[first:first + SEGMENT_BYTES])

    def line(self) -> str:
        """The next line of the server's."""
        self._wait(lambda: b"\n" in self._received, "a line")
        line, _, self._received = self._received.partition(b"\n")
        return line.decode().rstrip("\r")

    def close(self) -> None:
        """Ends this side, and takes what the server still says until it ends its own."""
        self._send(FIN | ACK)
        self._wait(lambda: self._ended, "its end")

    def _send(self, flags: int, data: bytes = b"") -> None:
        sequence = self._next
        self._next += len(data) + bool(flags & (SYN | FIN))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._acknowledged != self._next:
            if time.monotonic() > deadline:
                raise UploadError(f"{self._server} port {self._ports[1]} does not answer")
            self._put(flags, sequence, data)
            self._look(lambda: self._acknowledged == self._next, AGAIN_SECONDS)

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        if not self._look(holds, PATIENCE_SECONDS):
            raise UploadError(f"{self._server} port {self._ports[1]}: no {what} after {self._received!r}")

    def _look(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Takes what arrives, until it holds or the time is over."""
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                return False
            segments = self._wire.segments(self._looked)
            self._looked += len(segments)
            for segment in segments:
                if (segment.source, segment.ports) == (self._server, self._ports[::-1]):
                    self._take(segment)
            if not segments:
                time.sleep(0.01)
        return True

    def _take(self, segment: frames.Segment) -> None:
        if segment.flags & RST:
            raise UploadError(f"{self._server} port {self._ports[1]} refuses")
        self._acknowledged = max(self._acknowledged, segment.acknowledged)
        if segment.flags & SYN:
            self._expected = segment.sequence + 1
        elif not segment.data and not segment.flags & FIN:
            return
        elif segment.sequence == self._expected:
            self._received += segment.data
            self._ended = bool(segment.flags & FIN)
            self._expected = segment.sequence + len(segment.data) + self._ended
        self._put(ACK, self._next, b"")

    def _put(self, flags: int, sequence: int, data: bytes) -> None:
        self._wire.send(frames.tcp(
            self._wire.wiring.address, self._server, self._ports, flags, sequence, self._expected or 0, data=data))


@contextmanager
def _logged_in(wire: Wire, server: str, own_port: int) -> Iterator[Connection]:
    control = Connection(wire, server, 21, own_port)
    answer(control, "220")
    # A server may want no password.
    if command(control, "USER anonymous", "230", "331").startswith("331"):
        command(control, "PASS camera@lab", "230")
    yield control
    command(control, "QUIT", "221")
    control.close()


def upload(wire: Wire, server: str, folder: str, name: str, content: bytes, own_port: int) -> int:
    """Stores a file, in passive mode; returns the port that the server chose for the data."""
    with _logged_in(wire, server, own_port) as control:
        command(control, f"CWD {folder}", "250")
        command(control, "TYPE I", "200")
        said = command(control, "PASV", "227")
        chosen = re.search(r"\((?:\d+,){4}(\d+),(\d+)\)", said)
        if chosen is None:
            raise UploadError(f"no port in {said}")
        port = int(chosen[1]) * 256 + int(chosen[2])
        data = Connection(wire, server, port, own_port + 1)
        command(control, f"STOR {name}", "150")
        data.say(content)
        data.close()
        answer(control, "226")
    return port


def picture(seed: int, size: int = 20_000) -> bytes:
    """A whole PNG of about that size, of random data."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))
    head = struct.pack("!IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", random.Random(seed).randbytes(size))
            + chunk(b"IEND", b""))


def command(control: Connection, line: str, *codes: str) -> str:
    """Sends a command, and reads the answer, which must have one of these codes."""
    control.say(f"{line}\r\n".encode())
    return answer(control, *codes)


def answer(control: Connection, *codes: str) -> str:
    """Reads an answer (RFC 959: a line that begins with the code and a space ends it)."""
    while not re.match(r"\d{3} ", said := control.line()):
        pass
    if not said.startswith(codes):
        raise UploadError(f"not {' or '.join(codes)}: {said}")
    return said
