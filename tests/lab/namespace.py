"""Owns network namespaces and the processes in them, from creation to deletion.

Never touches the machine's own namespace, and ends no process but those that
live in a namespace that it made.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
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
    """The laboratory itself failed: not a finding about the router."""


def ip(*arguments: str, batch: str | None = None) -> None:
    """Run `ip`; with `batch`, its commands come from that text, one a line."""
    done = subprocess.run(
        ["ip", *arguments, *(["-batch", "-"] if batch is not None else [])],
        input=batch, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Namespace:
    """A network namespace with a name of its own, `camfw-PID-N-ROLE`.

    A context manager: leaving it ends every process inside and deletes it.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.name = f"{PREFIX}-{os.getpid()}-{next(_serial)}-{role}"
        ip("netns", "add", self.name)
        self._fd = os.open(NAMESPACES / self.name, os.O_RDONLY | os.O_CLOEXEC)
        self.ip(batch="link set lo up\n")
        # Duplicate address detection would keep each IPv6 address from use for
        # a second or two; interfaces made later take this over.
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

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread in, and back out at the end.

        Sockets made and processes started inside stay there; so do reads and
        writes of /proc/sys/net, which shows the namespace of the reader.
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
        """A socket that lives in this namespace."""
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
        """Run to the end, with stdout and stderr as text. A timeout is an error."""
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
        """Start in the background. It ends with the namespace, and dies with this thread.

        setpriv replaces itself by the command, so the pid is the command's own.
        """
        with self.entered():
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                env=env, stdin=stdin, stdout=stdout, stderr=stderr,
                pass_fds=pass_fds, start_new_session=True,
            )

    def read_sysctl(self, key: str) -> str:
        """The value of net.*, e.g. `net.ipv4.ip_forward`."""
        with self.entered():
            return _sysctl_path(key).read_text().strip()

    def write_sysctl(self, key: str, value: str) -> None:
        """Set a net.* value in this namespace alone."""
        if not key.startswith("net."):
            raise LabError(f"{key} does not belong to a network namespace")
        with self.entered():
            _sysctl_path(key).write_text(value)

    def pids(self) -> list[int]:
        """The processes inside, by pid."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]

    def delete(self) -> None:
        """End the processes inside and delete the namespace; again is harmless."""
        if self._fd < 0:
            return
        _end(self.name)
        os.close(self._fd)
        self._fd = -1


def sweep() -> None:
    """Delete the namespaces of runs that were killed before they could clean up."""
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
    # sysctl(8): a slash stands for a dot inside a name, as in eth0.100.
    return Path("/proc/sys", *key.replace("/", "\0").replace(".", "/").replace("\0", ".").split("/"))
