"""Owns packets that no ordinary client sends: forged ones, and a stream without pause."""

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
    """hping3 sends `count` packets, from the address `source` where it is given.

    Says nothing of what arrived: ask a Capture, a Listener or a rule's counter.
    """
    command = ["hping3", "-n", "-q", "-I", INTERFACE, "-c", str(count), "-i", "u10000", *kind]
    if source is not None:
        command += ["-a", source]
    if port is not None:
        command += ["-p", str(port)]
    if source_port is not None:
        # -k: the same source port for each packet.
        command += ["-s", str(source_port), "-k"]
    done = sender.run([*command, *more, target])
    # hping3 exits 1 where no answer came.
    if f"{count} packets transmitted" not in done.stderr + done.stdout:
        raise LabError(f"hping3: {done.stderr.strip() or done.stdout.strip()}")


class Stream:
    """Sends packets to a target without pause (one each millisecond or so), from
    now to `stop`. A context manager."""

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
        """End it; how many packets it sent. That it ended before is an error."""
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
