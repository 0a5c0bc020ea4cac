"""Owns questions for names, and a name server that says what it was asked."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from lab import probes
from lab.namespace import Namespace

A, AAAA = 1, 28
# RFC 1035, 4.1.1.
NO_ERROR, NO_SUCH_NAME, REFUSED = 0, 3, 5


@dataclass(frozen=True)
class Answer:
    """What a server says: its response code, and the first address."""

    code: int
    address: str = ""


def ask(source: Namespace, target: str, name: str, *, tcp: bool = False, kind: int = A,
        wait: float = probes.PATIENCE) -> Answer | None:
    """The answer of `target`, which may have the interface of a link-local address behind it
    (`fe80::1%eth0`); None if there is none."""
    found: list[Answer | None] = [None]

    def answered() -> bool:
        found.append(_ask(source, target, name, tcp, kind, min(wait, probes.AGAIN_SECONDS)))
        return found[-1] is not None

    probes.wait_until(answered, wait)
    return found[-1]


def _ask(source: Namespace, target: str, name: str, tcp: bool, kind: int, wait: float) -> Answer | None:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack("!2H", kind, 1)
    text = secrets.token_bytes(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + question
    with source.entered():
        place = socket.getaddrinfo(target, 53, family)[0][4]
    with source.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(wait)
        try:
            # What comes from another address is not taken.
            client.connect(place)
            client.sendall(struct.pack("!H", len(text)) + text if tcp else text)
            said = client.recv(2048)
            while tcp and len(said) < 2 + struct.unpack("!H", said[:2])[0]:
                said += client.recv(2048)
        except OSError:
            return None
    said = said[2 if tcp else 0:]
    # Name as a pointer, type, class, time to live, length, address (RFC 1035, 4.1.3 and 4.1.4).
    record = said[12 + len(question):]
    is_address = struct.unpack("!H", said[6:8])[0] > 0 and record[2:4] == struct.pack("!H", A)
    return Answer(said[3] & 15, socket.inet_ntoa(record[12:16]) if is_address else "")


class NameServer:
    """dnsmasq, which answers every question with one address."""

    def __init__(self, namespace: Namespace, own: str, address: str, log: Path) -> None:
        self.log = log
        log.touch(mode=0o666)
        self._process = namespace.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--no-resolv", "--no-hosts",
            "--bind-interfaces", f"--listen-address={own}", "--conf-file=/dev/null", "--pid-file=", "--user=root",
            f"--address=/#/{address}", "--log-queries", f"--log-facility={log}",
        ])
        if not probes.wait_until(lambda: ask(namespace, own, "ready.example", wait=1) is not None):
            raise AssertionError("the name server does not answer")

    def asked(self) -> list[str]:
        """The names that it was asked for."""
        return re.findall(r"query\[\w+\] (\S+) ", self.log.read_text())

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
