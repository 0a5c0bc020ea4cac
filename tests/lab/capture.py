"""Owns tcpdump on an interface: counts and keeps the packets that arrive there."""

from __future__ import annotations

import signal
import subprocess
import threading
import time

from lab.hosts import INTERFACE
from lab.namespace import LabError, Namespace
from lab.probes import PATIENCE, wait_until

DRAIN_SECONDS = 0.2


class Capture:
    """Captures the packets that arrive at `interface` and match the filter, until
    `stop`.

    A context manager. It sees packets before any firewall of that namespace does.
    """

    def __init__(self, namespace: Namespace, matching: str = "", interface: str = INTERFACE) -> None:
        """`matching` is a pcap filter, such as `icmp and src 192.168.8.110`."""
        # -l and --immediate-mode: tcpdump prints a line for each packet as it arrives,
        # so that a count is current whenever it is asked for.
        self._process = namespace.start(
            ["tcpdump", "-i", interface, "-Q", "in", "-n", "-l", "--immediate-mode", "-p", matching],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self._lines: list[str] = []
        assert self._process.stdout is not None and self._process.stderr is not None
        self._readers = [threading.Thread(target=self._read, daemon=True)]
        self._said: list[str] = []
        self._readers.append(threading.Thread(target=self._read_errors, daemon=True))
        for reader in self._readers:
            reader.start()
        listening = wait_until(
            lambda: self._process.poll() is not None or any("listening on" in line for line in self._said))
        if not listening or self._process.poll() is not None:
            self.stop()
            raise LabError(f"tcpdump: {' '.join(self._said).strip()}")

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def packets(self) -> list[str]:
        """The packets so far, as lines of tcpdump."""
        return list(self._lines)

    def count(self, expected: int = 0, seconds: float = PATIENCE) -> int:
        """The number of packets so far; waits up to `seconds` until there are
        `expected`."""
        if expected:
            wait_until(lambda: len(self._lines) >= expected, seconds)
        else:
            time.sleep(DRAIN_SECONDS)
        return len(self._lines)

    def stop(self) -> list[str]:
        """Stops tcpdump after it has printed all packets, and returns them."""
        if self._process.poll() is None:
            time.sleep(DRAIN_SECONDS)
            self._process.send_signal(signal.SIGINT)
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return self.packets

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # An indented line belongs to the packet above it; tcpdump prints an empty
            # line when it is interrupted.
            if line.strip() and not line.startswith((b" ", b"\t")):
                self._lines.append(line.decode(errors="replace").rstrip())

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").rstrip())
