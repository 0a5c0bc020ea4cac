"""Owns the base of tests of what dnsmasq on the router does by what `camfw show dnsmasq` prints."""

from __future__ import annotations

import shutil
import subprocess

from netns.case import RouterTest

DNSMASQ = str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"))


class DnsmasqTest(RouterTest):
    """A router whose dnsmasq reads what camfw prints."""

    dnsmasq: subprocess.Popen[bytes]

    def start_dnsmasq(self, *options: str) -> None:
        """Starts it with these options beside, which dnsmasq's own --test takes first."""
        config = self.scratch / "dnsmasq.conf"
        config.write_text(self.camfw("show", "dnsmasq").stdout)
        tried = self.router.run([DNSMASQ, "--test", f"--conf-file={config}"])
        self.assertEqual(tried.returncode, 0, tried.stdout + tried.stderr)
        self.dnsmasq = self.router.start([
            DNSMASQ, "--keep-in-foreground", f"--conf-file={config}", "--no-ping", "--no-hosts", *options,
            "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ])
        self.addCleanup(self.stop_dnsmasq)

    def stop_dnsmasq(self) -> None:
        """Ends it."""
        self.dnsmasq.kill()
        self.dnsmasq.wait()
