"""Owns network namespaces and the processes in them, from creation to deletion.

Never touches the machine's own namespace, and ends only processes inside namespaces
that it created.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
PREFIX = "camfw"

_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count(1)


class LabError(Exception):
    """A failure of the laboratory itself, as opposed to a finding about the router."""


def ip(*arguments: str, batch: str | None = None) -> None:
    """Runs `ip`; with `batch`, reads its commands from that text, one per line."""
    done = subprocess.run(
        ["ip", *arguments, *(["-batch", "-"] if batch is not None else [])],
        input=batch, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Namespace:
    """A network namespace with a unique name, `camfw-PID-N-ROLE`.

    A context manager: leaving it ends every process inside and deletes the namespace.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.name = f"{PREFIX}-{os.getpid()}-{next(_serial)}-{role}"
        ip("netns", "add", self.name)
        self._fd = os.open(NAMESPACES / self.name, os.O_RDONLY | os.O_CLOEXEC)
        self.ip(batch="link set lo up\n")
        # Duplicate address detection would make each IPv6 address unusable for a second
        # or two; interfaces that are created later inherit this setting.
        self.write_sysctl("net.ipv6.conf.default.accept_dad", "0")

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"<Namespace {self.name}>"

    def ip(self, *arguments: str, batch: str | None = None) -> None:
        """`ip -n NAME ...`"""
        ip("-n", self.name, *arguments, batch=batch)

    def links_send(self) -> bool:
        """Whether no link has a carrier and yet no queue to send from: its state then
        is not what its flag LOWER_UP says."""
        links = json.loads(self.run(["ip", "-json", "link", "show"], check=True).stdout)
        return all(
            "LOWER_UP" not in link["flags"] or link["operstate"] in ("UP", "UNKNOWN") for link in links
        )

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Moves this thread into the namespace, and back out at the end.

        Sockets created and processes started inside stay there. Reads and writes of
        /proc/sys/net also refer to it, because that shows the namespace of the reader.
        """
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._fd)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket in this namespace."""
        with self.entered():
            return socket.socket(family, kind)

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, with stdout and stderr as text. A timeout is an
        error."""
        with self.entered():
            done = subprocess.run(
                command, timeout=timeout, env=env, input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True, text=True, errors="replace", check=False,
            )
        if check and done.returncode != 0:
            raise LabError(f"{command}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def start(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = subprocess.DEVNULL,
        stderr: int | None = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Starts a command in the background. It ends with the namespace or with this
        thread.

        setpriv execs the command, so the pid is the command's own.
        """
        with self.entered():
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                env=env, stdin=stdin, stdout=stdout, stderr=stderr,
                pass_fds=pass_fds, start_new_session=True,
            )

    def read_sysctl(self, key: str) -> str:
        """The value of a net.* setting, such as `net.ipv4.ip_forward`."""
        with self.entered():
            return _sysctl_path(key).read_text().strip()

    def write_sysctl(self, key: str, value: str) -> None:
        """Writes a net.* setting in this namespace only."""
        if not key.startswith("net."):
            raise LabError(f"{key} does not belong to a network namespace")
        with self.entered():
            _sysctl_path(key).write_text(value)

    def pids(self) -> list[int]:
        """The pids of the processes inside."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]

    def delete(self) -> None:
        """Ends the processes inside and deletes the namespace; may be called again."""
        if self._fd < 0:
            return
        _end(self.name)
        os.close(self._fd)
        self._fd = -1


def sweep() -> None:
    """Deletes namespaces left by runs that were killed before they could clean up."""
    for entry in NAMESPACES.glob(f"{PREFIX}-*-*-*"):
        owner = entry.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            with contextlib.suppress(LabError):
                _end(entry.name)


def _end(name: str) -> None:
    for attempt in range(20):
        listed = subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
        ).stdout.split()
        inside = [int(pid) for pid in listed if int(pid) != os.getpid()]
        if not inside:
            break
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01 * (attempt + 1))
    ip("netns", "del", name)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise LabError(f"setns: {os.strerror(number)} (the laboratory runs as root)")


def _sysctl_path(key: str) -> Path:
    # sysctl(8) writes a slash for a dot within a name such as eth0.100.
    return Path("/proc/sys", *key.replace("/", "\0").replace(".", "/").replace("\0", ".").split("/"))
