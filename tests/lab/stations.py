"""Owns one set of every service that a table tries, on one host or router.

With these, an attempt that must fail fails because of the router and not because the
target has no server.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from lab.namespace import Namespace
from lab.probes import TCP_PORTS, UDP_PORTS, Target
from lab.services import FtpServer, HttpServer, Listener, SshServer


class Station:
    """FTP, SSH, HTTP, and a listener on the other ports. A context manager."""

    def __init__(
        self, namespace: Namespace, folder: Path, passive: range = range(50000, 50101)
    ) -> None:
        """`folder` is for this station only, and must not exist yet."""
        folder.mkdir()
        self.page = f"the page of {namespace.role}\n"
        with contextlib.ExitStack() as stack:
            self.ftp = stack.enter_context(FtpServer(namespace, folder / "ftpd", passive))
            self.ssh = stack.enter_context(SshServer(namespace, folder / "sshd"))
            stack.enter_context(HttpServer(namespace, folder / "www", self.page))
            self.listener = stack.enter_context(
                Listener(namespace, TCP_PORTS.values(), UDP_PORTS.values())
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, address: str) -> Target:
        """The station as the target of a probe, at one of its addresses."""
        return Target(
            address, page=self.page, ssh_key=self.ssh.key, udp_received=self.listener.received
        )
