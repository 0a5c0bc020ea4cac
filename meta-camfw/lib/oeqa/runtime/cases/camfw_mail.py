"""Uploads become mail, in an image with CAMFW_MAIL = "1", under runqemu: `bitbake -c testimage`.

The camera is made of frames, as in camfw.py; the mail server is on this machine, which is
the laptop of runqemu's own network (slirp).
"""

from __future__ import annotations

import email
import email.policy
import re
import tempfile
from pathlib import Path

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.decorator.package import OEHasPackage
from oeqa.utils.camfwlab import example, router, smtp, upload

FILE = "/etc/camfw/camfw.d/mail.toml"
CERTIFICATE = "/etc/camfw-mail/ca.pem"
USER, PASSWORD = "router@example.org", "swordfish"
# vsftpd, the relay and msmtp: what it takes at rest and in a mail.
MAIL_SECONDS = 120
START_SECONDS = 60
MEMORY_LIMIT_KIB = 4 * 1024

SETTINGS = f"""
[[cameras]]
name = "porch"
address = "{example.CAMERA.address}"

[mail]
to = "owner@example.org"
from = "{USER}"
user = "{USER}"
server = "smtp.example.org"
port = PORT
tls = "implicit"
ca-file = "{CERTIFICATE}"
"""


class CamfwMailTest(router.RouterTest):
    """Leaves the box as it found it: without mail."""

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["camfw-mail"])
    def test_an_upload_of_the_camera_becomes_mail(self) -> None:
        with tempfile.TemporaryDirectory() as scratch, smtp.SmtpServer(self.certificate(Path(scratch)), USER, PASSWORD) as server:
            self.said("sed -i '/smtp.example.org/d' /etc/hosts; "
                      f"echo '{example.LAPTOP.address} smtp.example.org' >>/etc/hosts")
            self.said(f"umask 077; echo {PASSWORD} >/etc/camfw-mail/password; chown camfw-mail /etc/camfw-mail/password")
            settings = SETTINGS.replace("PORT", str(server.port))
            self.said(f"mkdir -p /etc/camfw/camfw.d && cat >{FILE} <<'END'\n{settings}\nEND")
            try:
                self.said("camfw apply && sync")
                # What a boot starts, in its order.
                self.reboot()
                self.wait_for_ssh()
                self.wait_until(lambda: self.target.run("grep -q ':0015 ' /proc/net/tcp && [ -e /run/camfw-mail/state ]")[0] == 0,
                                "no FTP server, or no relay", START_SECONDS)
                self.becomes_mail(server)
            finally:
                self.said(f"rm {FILE}; camfw apply; /etc/init.d/camfw-mail stop; rm -rf /srv/ftp/porch")
                self.said("sed -i '/smtp.example.org/d' /etc/hosts; rm /etc/camfw-mail/*")
        self.said("camfw status")

    def becomes_mail(self, server: smtp.SmtpServer) -> None:
        content = upload.picture(1)
        with self.wires() as wires:
            port = upload.upload(wires["camera"], example.CAMERA.router, "incoming", "door.png", content, 47000)
            self.assertIn(port, example.PASSIVE)
        self.wait_until(lambda: bool(server.mails), f"no mail; {server.faults}; {self.relay()}", MAIL_SECONDS)
        mail = email.message_from_bytes(server.mails[0], policy=email.policy.default)
        self.assertEqual(mail["subject"], "porch: 1 file")
        self.assertEqual([part.get_content() for part in mail.iter_attachments()], [content])
        # It is gone once the server has it, and comes once.
        self.wait_until(lambda: self.said("ls /srv/ftp/porch/incoming") == "", "it is still there", MAIL_SECONDS)
        self.wait_until(lambda: "0 files to send" in self.relay(), "the relay does not say so", MAIL_SECONDS)
        self.assertEqual(len(server.mails), 1)
        self.assertIn("mail: 0 files to send", self.said("camfw status"))
        # Never root, and small.
        status = self.said("cat /proc/$(pidof camfw-mail)/status")
        self.assertRegex(status, r"(?m)^CapPrm:\s0+$")
        self.assertNotRegex(status, r"(?m)^Uid:\s0\s")
        peak = re.search(r"(?m)^VmHWM:\s+(\d+) kB$", status)
        assert peak
        self.logger.info("camfw-mail: peak memory %s KiB", peak[1])
        self.assertLessEqual(int(peak[1]), MEMORY_LIMIT_KIB)
        # Who is not listed is told goodbye, as the router itself is; the camera was the control.
        self.assertEqual(self.said("nc 127.0.0.1 21 </dev/null; true"), "")

    def relay(self) -> str:
        """What the relay says of itself."""
        return str(self.target.run("cat /run/camfw-mail/state; grep camfw-mail /var/log/messages | tail -n 5")[1])

    def certificate(self, folder: Path) -> Path:
        """One of its own, with its key, made on the router, which has OpenSSL."""
        self.said("mkdir -p /tmp/ca && cd /tmp/ca && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                  "-subj /CN=smtp.example.org -addext subjectAltName=DNS:smtp.example.org -keyout key.pem -out ca.pem 2>/tmp/ca/said "
                  f"&& cp ca.pem {CERTIFICATE} && chmod 644 {CERTIFICATE}")
        both = folder / "both.pem"
        both.write_text(self.said("cat /tmp/ca/ca.pem /tmp/ca/key.pem; rm -r /tmp/ca"))
        return both
