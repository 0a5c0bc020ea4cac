"""Owns packets that no ordinary client sends: spoofed ones, and continuous streams."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from lab.hosts import INTERFACE
from lab.namespace import LabError, Namespace

# hping3: `--udp`, `--icmp`, `-S` (TCP SYN), `-A` (TCP ACK) ...
SYN = ("-S",)
ACK = ("-A",)
UDP = ("--udp",)
ICMP = ("--icmp",)


def send(
    sender: Namespace,
    target: str,
    *,
    kind: Sequence[str] = SYN,
    port: int | None = None,
    source: str | None = None,
    source_port: int | None = None,
    count: int = 5,
    more: Sequence[str] = (),
) -> None:
    """Sends `count` packets with hping3, from the address `source` if given.

    Does not report what arrived: for that, use a Capture, a Listener or a rule's
    counter.
    """
    command = ["hping3", "-n", "-q", "-I", INTERFACE, "-c", str(count), "-i", "u10000", *kind]
    if source is not None:
        command += ["-a", source]
    if port is not None:
        command += ["-p", str(port)]
    if source_port is not None:
        # -k: keep the same source port for all packets.
        command += ["-s", str(source_port), "-k"]
    done = sender.run([*command, *more, target])
    # hping3 exits with 1 if no answer came.
    if f"{count} packets transmitted" not in done.stderr + done.stdout:
        raise LabError(f"hping3: {done.stderr.strip() or done.stdout.strip()}")


class Stream:
    """Sends packets to a target continuously, about one per millisecond, until `stop`.
    A context manager."""

    def __init__(
        self, sender: Namespace, target: str, *, kind: Sequence[str] = UDP, port: int = 9,
        microseconds: int = 1000, source: str | None = None,
    ) -> None:
        command = ["hping3", "-n", "-q", "-I", INTERFACE, "-i", f"u{microseconds}", *kind, "-p", str(port)]
        if source is not None:
            command += ["-a", source]
        self._process = sender.start([*command, target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Stops the stream and returns the number of packets sent. It is an error if it
        has already ended."""
        ended = not self.running
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGINT)
        output, _ = self._process.communicate()
        said = output.decode(errors="replace")
        if ended:
            raise LabError(f"hping3 ended on its own: {said.strip()}")
        for line in said.splitlines():
            if "packets transmitted" in line:
                return int(line.split()[0])
        raise LabError(f"hping3: {said.strip()}")
