"""Owns a DHCP server on the internet host, and a router that boots as its client."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from lab import dhcp, example, probes
from netns.case import RouterTest
from netns.program import Result


class DhcpTest(RouterTest):
    """A router whose external zone gets its address by DHCP."""

    @contextlib.contextmanager
    def dhcp_server(self, own: str, first: str, last: str, *more: str) -> Iterator[Path]:
        """Runs dnsmasq on the internet host, giving out leases."""
        leases = self.scratch / "leases"
        leases.touch(mode=0o666)
        self.scratch.chmod(0o755)
        self.internet.ip("-4", "address", "flush", "dev", "eth0")
        self.internet.ip("address", "add", f"{own}/24", "dev", "eth0")
        process = dhcp.serve(self.internet, own, first, last, leases, *more)
        try:
            yield leases
        finally:
            process.kill()
            process.wait()

    def boot_with_dhcp(self, expect: int = 0, client: str = "udhcpc") -> Result:
        program = shutil.which({"udhcpc": "busybox"}.get(client, client), path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert program is not None, f"tests/lab/install installs {client}"
        (self.program.tools / client).symlink_to(program)
        text = self.program.config.read_text()
        text = text.replace('address   = "192.168.0.2/24"\ngateway   = "192.168.0.1"', 'address   = "dhcp"')
        self.program.configure(text)
        self.addCleanup(self.end_dhcp)
        return self.camfw("boot", expect=expect)

    def boot_with_a_lease(self) -> None:
        """Boots with a DHCP server that runs until the test ends, once the router has its
        lease; what the internet host knows no way to goes to the router."""
        server = self.dhcp_server(example.INTERNET.address, "192.168.0.50", "192.168.0.60")
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        self.boot_with_dhcp()
        self.assertTrue(probes.wait_until(lambda: self.leased() != ""), "a lease")
        self.internet.ip("route", "replace", "default", "via", self.leased())

    def leased(self) -> str:
        """The router's address on the internet; empty if it has none."""
        shown = self.router.run(["ip", "-4", "-br", "address", "show", "dev", "eth0"], check=True).stdout
        found = re.search(r"(192\.168\.0\.\d+)/24", shown)
        return found[1] if found else ""

    def end_dhcp(self) -> None:
        run = self.scratch / "run"
        for file in (*run.glob("camfw-udhcpc-*.pid"), *run.glob("dhcpcd/*.pid")):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
