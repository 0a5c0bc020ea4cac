"""Owns a DHCP server, dnsmasq, on a host's network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab.hosts import INTERFACE
from lab.namespace import Namespace


def serve(namespace: Namespace, own: str, first: str, last: str, leases: Path, *more: str) -> subprocess.Popen[bytes]:
    """Starts a server that gives out addresses from `first` to `last`, and `own` as their router; `more` are
    arguments of dnsmasq's."""
    return namespace.start([
        str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--port=0", "--conf-file=/dev/null",
        f"--interface={INTERFACE}", "--no-ping", f"--dhcp-range={first},{last},255.255.255.0,2m",
        f"--dhcp-option=3,{own}", f"--dhcp-leasefile={leases}", "--pid-file=", "--user=root", *more,
    ])
