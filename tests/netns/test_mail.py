"""Cameras upload by FTP, and camfw-mail sends what they upload: a real vsftpd, the
relay with its own user, msmtp, and a mail server with TLS on the internet."""

from __future__ import annotations

import contextlib
import email
import email.policy
import fcntl
import ftplib
import grp
import hashlib
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from lab.probes import PATIENCE, wait_until
from lab.services import SmtpServer
from netns.case import RouterTest
from netns import schema
from netns.program import BINARY, ROOT

RELAY = Path(os.environ.get("CAMFW_MAIL", BINARY.with_name("camfw-mail")))
PREPARE = ROOT / "mail/init/camfw-mail-prepare"
CAMERAS = {f"cam{number}": f"192.168.8.{110 + number}" for number in range(1, 7)}

# How many uploads, restarts of the mail server and kills of the relay; tests/nightly has more.
UPLOADS = int(os.environ.get("CAMFW_UPLOADS", "60"))
RESTARTS = int(os.environ.get("CAMFW_MAIL_RESTARTS", "2"))
KILLS = int(os.environ.get("CAMFW_MAIL_KILLS", "5"))

# Of no user of this machine.
USER = 64217

# As `camfw show vsftpd` says.
HOSTS_ALLOW = """\
vsftpd: /run/camfw-mail/addresses: setenv VSFTPD_LOAD_CONF /run/camfw-mail/vsftpd/%a
vsftpd: ALL: deny
"""
MAIL = """
[mail]
to = "owner@example.org"
from = "router@example.org"
server = "smtp.example.org"
user = "router@example.org"
password-file = "/run/mail-test/password"
ca-file = "/run/mail-test/certificate.pem"
folder = "/run/mail-test/ftp"
per-hour = 1000
"""


def picture(seed: int, size: int = 2000) -> bytes:
    """A whole PNG of about that size, of random data."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))
    head = struct.pack("!IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    data = random.Random(seed).randbytes(size)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def photograph(lost: int | None = None) -> bytes:
    """A whole JPEG of five pages as a file system has them, one of which may be lost: nothing but zeros."""
    data = bytearray(random.Random(77).randbytes(20000).replace(b"\xff", b"\x01"))
    if lost is not None:
        data[lost * PAGE:(lost + 1) * PAGE] = bytes(PAGE)
    data[:12] = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02"
    return bytes(data) + b"\xff\xd9"


PAGE = 4096


class MailTest(RouterTest):
    """A router with six listed cameras, all on one host; a base class without tests."""

    backend = "legacy"
    mail = MAIL

    def setUp(self) -> None:
        super().setUp()
        self.complaints: list[str] = []
        self.read: list[EmailMessage] = []
        self.camera.ip(batch="\n".join(
            f"address add {address}/24 dev eth0" for address in CAMERAS.values()))
        self.folder = self.program.run_folder / "mail-test"
        self.folder.mkdir()
        # The FTP server's user has to come by.
        for parent in (self.folder, *self.folder.parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        self.smtp_folder = self.scratch / "smtp"
        self.smtp = SmtpServer(self.internet, self.smtp_folder)
        self.addCleanup(lambda: self.smtp.stop())
        shutil.copy(self.smtp.certificate, self.folder / "certificate.pem")
        password = self.folder / "password"
        password.write_text("swordfish\n")
        password.chmod(0o400)
        os.chown(password, USER, USER)
        self.hosts = self.scratch / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n192.168.0.1 smtp.example.org\n")
        self.allowed = self.scratch / "hosts.allow"
        self.allowed.write_text(HOSTS_ALLOW)
        cameras = "".join(f'[[cameras]]\nname = "{name}"\naddress = "{address}"\n'
                          for name, address in CAMERAS.items())
        text = self.program.config.read_text()
        self.program.configure(
            text + cameras + "[router]\negress = \"listed\"\n[[allow]]\nfrom = \"router\"\nto = \"external\"\n"
            "service = { tcp = 587 }\n" + self.mail)
        (self.program.tools / "camfw").symlink_to(BINARY)
        self.camfw("boot")
        self.prepare()
        self.start_ftp()
        self.relay = self.start_relay()
        self.addCleanup(self.stop_relay)

    # -- the programs --

    def inside(
        self, *command: str | Path, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Starts a command where camfw runs: in the router's namespace, with its /run and /dev."""
        binds = {self.program.run_folder: "/run", self.hosts: "/etc/hosts", self.allowed: "/etc/hosts.allow",
                 self.program.var: "/var/lib"}
        script = "".join(f"mount --rbind {ours} {theirs} && " for ours, theirs in binds.items()) + 'exec "$@"'
        return self.router.start(
            ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh",
             *map(str, command)], stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
            env={"PATH": f"{self.program.tools}:/usr/sbin:/usr/bin:/sbin:/bin",
                 "CAMFW_ARGS": f"--config {self.program.config}", "CAMFW_MAIL_USER": str(USER)})

    def as_the_relay(self, *command: str | Path) -> list[str]:
        group = grp.getgrnam("ftp").gr_gid
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={group}", "--", *map(str, command)]

    def prepare(self) -> None:
        done = self.inside(PREPARE)
        said = b"".join(done.communicate(timeout=PATIENCE * 5))
        self.assertEqual(done.returncode, 0, said)

    def start_ftp(self) -> None:
        config = self.scratch / "vsftpd.conf"
        empty = self.scratch / "empty"
        empty.mkdir(exist_ok=True)
        lines = self.camfw("show", "vsftpd").stdout
        # What a server allows otherwise: the last line holds.
        before = "anon_mkdir_write_enable=YES\nanon_other_write_enable=YES\nmdtm_write=YES\n"
        # As in Debian's own file.
        before += "listen=NO\nlisten_ipv6=YES\n"
        config.write_text(before + lines + "\n".join((
            "background=NO", "no_anon_password=YES", "local_enable=NO",
            f"secure_chroot_dir={empty}", f"xferlog_file={self.scratch / 'xfer.log'}",
            "isolate=NO", "isolate_network=NO", "seccomp_sandbox=NO", "")))
        process = self.inside("vsftpd", config, stderr=subprocess.STDOUT)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        # Who is not listed is told goodbye, and so is the loopback: that is an answer.
        def answers() -> bool:
            self.assertIsNone(process.poll(), "vsftpd runs")
            with self.router.socket() as attempt:
                return attempt.connect_ex(("127.0.0.1", 21)) == 0
        self.assertTrue(wait_until(answers))

    def start_relay(self, *before: str) -> subprocess.Popen[bytes]:
        log = os.open(self.scratch / "relay.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            return self.inside(*self.as_the_relay(*before, RELAY), stderr=log)
        finally:
            os.close(log)

    def stop_relay(self) -> None:
        self.relay.kill()
        self.relay.wait()
        if self.relay.stdout is not None:
            self.relay.stdout.close()

    def hang(self) -> socket.socket:
        """In place of the mail server one that takes connections and never says a word, until it is closed."""
        self.smtp.stop()
        server = self.internet.socket()
        self.addCleanup(server.close)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("192.168.0.1", 587))
        server.listen(64)
        return server

    def restart_smtp(self) -> None:
        self.smtp.stop()
        self.smtp = SmtpServer(self.internet, self.smtp_folder)

    # -- what is done and seen --

    def upload(self, camera: str, name: str, content: bytes, *options: str) -> int:
        """curl's exit code."""
        path = self.scratch / f"upload-{threading.get_ident()}"
        path.write_bytes(content)
        done = self.camera.run(
            ["curl", "-q", "-sS", "--noproxy", "*", "--interface", CAMERAS[camera], "--ftp-pasv",
             "--ftp-method", "singlecwd", "--max-time", "600", *options, "-T", str(path),
             f"ftp://anonymous:x@192.168.8.1/incoming/{name}"], timeout=700)
        if done.returncode:
            self.complaints.append(done.stderr.strip())
        return done.returncode

    def attached(self) -> list[tuple[str, bytes]]:
        """Each attachment of each mail, with its name."""
        return [(part.get_filename() or "", part.get_content())
                for mail in self.parsed() for part in mail.iter_attachments()]

    def parsed(self) -> list[EmailMessage]:
        # Each once: they are asked for all the time.
        self.read += [email.message_from_bytes(mail, policy=email.policy.default)  # type: ignore[misc]
                      for mail in self.smtp.mails[len(self.read):]]
        return self.read

    def has_arrived(self, content: bytes) -> bool:
        # A server that was down is tried again after minutes, if that took minutes.
        return wait_until(lambda: any(content == got for _, got in self.attached()), PATIENCE * 8)

    def said(self) -> str:
        return (self.program.run_folder / "camfw-mail/state").read_text()

    def says(self, words: str) -> bool:
        return wait_until(lambda: words in self.said(), PATIENCE * 8)

    def log(self) -> str:
        return (self.scratch / "relay.log").read_text()


class MailLegacy(MailTest):
    def test_uploads_become_mail(self) -> None:
        self.a_whole_upload_is_one_mail()
        self.half_an_upload_is_never_sent()
        self.each_camera_has_its_own_folder()
        self.the_relay_reaches_nothing_of_the_firewall()
        self.what_cannot_be_put_away_is_not_sent_again()
        self.what_the_server_never_takes_holds_up_nothing()
        self.a_server_that_is_down_is_told_and_tried_again()
        self.a_clock_that_nobody_set_is_waited_for()

    def a_whole_upload_is_one_mail(self) -> None:
        content = picture(1, 300_000)
        # Nothing ends a line of FTP but the end of a command.
        name = "%24%28reboot%29;Bcc:all@example.org%22%ff.png"
        self.assertEqual(self.upload("cam1", name, content), 0)
        self.assertTrue(self.has_arrived(content), self.log())
        mail = self.parsed()[0]
        self.assertEqual(mail["to"], "owner@example.org")
        self.assertEqual(mail["from"], "router@example.org")
        self.assertEqual(mail["subject"], "cam1: 1 file")
        self.assertEqual(mail["x-envelope"], "router@example.org owner@example.org")
        self.assertIsNone(mail["bcc"])
        self.assertRegex(self.attached()[0][0], r"\Acam1-[A-Za-z0-9_-]+\.png\Z")
        # It is gone once the server has it, and came once: the second mail is another's.
        incoming = self.folder / "ftp/cam1/incoming"
        self.assertTrue(wait_until(lambda: not list(incoming.iterdir())))
        second = picture(2)
        self.assertEqual(self.upload("cam2", "a.png", second), 0)
        self.assertTrue(self.has_arrived(second))
        self.assertEqual([got for _, got in self.attached()], [content, second])
        self.assertTrue(self.says("0 files to send; 2 of 1000 mails"), self.said())
        self.assertIn("mail: 0 files to send", self.camfw("status").stdout)

    def half_an_upload_is_never_sent(self) -> None:
        incoming = self.folder / "ftp/cam1/incoming"
        slow = picture(3, 3_000_000)
        # Broken off by a reset: vsftpd removes it. While it is under way it has a lock.
        with self.camera.entered():
            session = ftplib.FTP(source_address=(CAMERAS["cam1"], 0))
            session.connect("192.168.8.1", timeout=PATIENCE)
            session.login("anonymous", "x")
            # A whole picture by its content, of which more may come.
            stream = session.transfercmd("STOR incoming/reset.png")
        stream.sendall(picture(7))
        self.assertTrue(wait_until(lambda: any(it.stat().st_size > 2000 for it in incoming.iterdir())))
        time.sleep(5)
        self.assertEqual(len(self.smtp.mails), 2)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()
        self.assertTrue(wait_until(lambda: not list(incoming.iterdir())))
        session.close()
        # Ended early, which TCP tells as the end, as that of a sender that dies: only the content says so.
        self.assertEqual(self.upload("cam1", "short.png", slow[:200_000]), 0)
        self.assertEqual(self.upload("cam1", "page.png", b"<html>no picture</html>"), 0)
        self.assertTrue(self.says("2 files not sent: no whole picture or clip"), self.said())
        whole = picture(4)
        self.assertEqual(self.upload("cam1", "after.png", whole), 0)
        self.assertTrue(self.has_arrived(whole))
        self.assertEqual([got for _, got in self.attached()][2:], [whole])
        text = self.parsed()[2].get_body(("plain",)).get_content()  # type: ignore[union-attr]
        self.assertIn("no whole picture or clip: cam1 short.png, 200000 bytes", text)
        self.assertTrue(wait_until(lambda: sorted(it.name for it in incoming.iterdir()) == ["page.png", "short.png"]))

    def each_camera_has_its_own_folder(self) -> None:
        self.assertEqual(self.upload("cam3", "../../cam4/incoming/x.png", picture(5), "--path-as-is"), 9)
        # It makes files, and nothing else: no folder that no quota would see, no other file of a name, no time before the others'.
        incoming = self.folder / "ftp/cam3/incoming"
        with self.camera.entered():
            session = ftplib.FTP(source_address=(CAMERAS["cam3"], 0))
            session.connect("192.168.8.1", timeout=PATIENCE)
            session.login("anonymous", "x")
            stream = session.transfercmd("STOR incoming/x.png")
            stream.sendall(b"no picture")
            stream.close()
            session.voidresp()
            for command in ("MKD incoming/more", "DELE incoming/x.png", "RNFR incoming/x.png", "STOR incoming/x.png",
                            "APPE incoming/x.png"):
                if command[4] == " " and command[:4] in ("STOR", "APPE"):
                    session.makepasv()
                with self.assertRaises(ftplib.error_perm, msg=command):
                    session.voidcmd(command)
            session.sendcmd("MDTM incoming/x.png")
            with self.assertRaises(ftplib.error_perm):
                session.sendcmd("MDTM 19700101000000 incoming/x.png")
            session.quit()
        self.assertEqual([it.name for it in incoming.iterdir()], ["x.png"])
        (incoming / "x.png").unlink()
        listed = self.camera.run(
            ["curl", "-q", "-sS", "--interface", CAMERAS["cam2"], "ftp://anonymous:x@192.168.8.1/"])
        self.assertEqual(listed.stdout.split()[-1:], ["incoming"], listed)
        self.assertEqual(len(listed.stdout.splitlines()), 1)
        stranger = self.camera.run(
            ["curl", "-q", "-sS", "--interface", "192.168.8.110", "ftp://anonymous:x@192.168.8.1/"])
        self.assertNotEqual(stranger.returncode, 0, stranger)
        # A camera that has another name by now: what is left of it is told.
        left = self.folder / "ftp/old/incoming"
        left.mkdir(parents=True)
        os.chown(left, USER, grp.getgrnam("ftp").gr_gid)
        (left / "x.png").write_bytes(picture(5))
        self.assertTrue(self.says("ftp/old has 1 file of no camera whose uploads are sent"), self.said())
        shutil.rmtree(left.parent)
        self.assertTrue(wait_until(lambda: "ftp/old" not in self.said()))
        # Told goodbye, and nothing of the router.
        with self.camera.socket() as call:
            call.bind(("192.168.8.110", 0))
            call.settimeout(PATIENCE)
            call.connect(("192.168.8.1", 21))
            self.assertRegex(call.makefile("rb").read().decode(), r"\A421 [A-Za-z ]+\.\r\n\Z")
        said = self.camfw("show", "vsftpd").stdout
        for line in HOSTS_ALLOW.splitlines():
            self.assertIn(f"# {line}\n", said)

    def the_relay_reaches_nothing_of_the_firewall(self) -> None:
        (self.program.var / "camfw").mkdir(mode=0o700, exist_ok=True)
        before = self.tables.snapshot()
        for command in (
            ["cat", "/run/camfw/state"], ["ls", "/run/camfw"], ["ls", "/var/lib/camfw"],
            ["sh", "-c", f"echo >>{self.program.config}"], ["touch", "/run/camfw-mail/x"],
            ["sh", "-c", "echo >>/run/camfw-mail/settings"], ["touch", "/run/mail-test/ftp/x"],
            ["iptables", "-F"], ["sh", "-c", r"printf '*filter\n-F\nCOMMIT\n' | iptables-restore --noflush"], ["camfw", "seal"],
            ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"],
        ):
            done = self.inside(*self.as_the_relay(*command))
            said = b"".join(done.communicate(timeout=PATIENCE))
            self.assertNotEqual(done.returncode, 0, f"{command}: {said!r}")
        self.assertEqual(self.tables.snapshot(), before)
        # The control: its own file it can write.
        done = self.inside(*self.as_the_relay("sh", "-c", ": >>/run/camfw-mail/state"))
        done.communicate(timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)
        root = self.inside(RELAY)
        said = b"".join(root.communicate(timeout=PATIENCE))
        self.assertEqual((root.returncode, b"never runs as root" in said), (2, True), said)
        status = Path(f"/proc/{self.relay.pid}/status").read_text()
        self.assertRegex(status, r"CapPrm:\s0+\n")
        self.assertRegex(status, r"NoNewPrivs:\s1\n")

    def what_cannot_be_put_away_is_not_sent_again(self) -> None:
        incoming = self.folder / "ftp/cam4/incoming"
        # Files can be made in it, and none removed.
        subprocess.run(["chattr", "+a", incoming], check=True)
        try:
            content, control = picture(9), picture(10)
            self.assertEqual(self.upload("cam4", "stays.png", content), 0)
            self.assertTrue(self.has_arrived(content), self.log())
            self.assertEqual(self.upload("cam5", "other.png", control), 0)
            self.assertTrue(self.has_arrived(control))
            time.sleep(2)
            self.assertEqual([got for _, got in self.attached()].count(content), 1)
            self.assertEqual([it.name for it in incoming.iterdir()], ["stays.png"])
        finally:
            subprocess.run(["chattr", "-a", incoming], check=True)
        self.assertTrue(wait_until(lambda: not list(incoming.iterdir())))

    def what_the_server_never_takes_holds_up_nothing(self) -> None:
        """The server refuses a mail that has this name in it, each time."""
        self.assertEqual(self.upload("cam2", "TAKE-THIS-LATER.png", picture(60)), 0)
        self.assertTrue(self.says("msmtp: the server did not accept the mail"), self.said())
        for number in range(2):
            content = picture(61 + number)
            self.assertEqual(self.upload(f"cam{2 + number}", "other.png", content), 0)
            self.assertTrue(self.has_arrived(content), self.log())
        self.assertTrue(self.says("the server REFUSES 1 file again and again"), self.said())
        self.assertTrue(self.says("1 file to send"), self.said())
        (self.folder / "ftp/cam2/incoming/TAKE-THIS-LATER.png").unlink()
        self.assertTrue(self.says("0 files to send"), self.said())
        # What is gone is no reason to look any more.
        self.assertTrue(wait_until(lambda: "NOT TAKEN" not in self.said()), self.said())

    def a_server_that_is_down_is_told_and_tried_again(self) -> None:
        before = self.numbers()
        self.assertGreater(before["last_sent_timestamp_seconds"], 0)
        self.assertEqual((before["running"], before["files"], before["not_taken_since_timestamp_seconds"]), (1, 0, 0))
        self.assertNotIn("mail: ", "\n".join(self.status()["needs"]))
        # One that hangs is told while it does, and one that is gone after it.
        server = self.hang()
        content = picture(6)
        self.assertEqual(self.upload("cam5", "down.png", content), 0)
        self.assertTrue(self.says("the mail server has not answered for "), self.said())
        server.close()
        self.assertTrue(self.says("NOT TAKEN since"), self.said())
        self.assertIn("NOT TAKEN since", self.camfw("status").stdout)
        self.assertIn("1 file to send", self.said())
        self.assertRegex("\n".join(self.status()["needs"]), "mail: 1 file to send; .*NOT TAKEN since")
        self.assertIn("NOT TAKEN since", self.camfw("report", "--html", "-").stdout)
        down = self.numbers()
        self.assertEqual((down["running"], down["files"]), (1, 1))
        self.assertGreaterEqual(down["not_taken_since_timestamp_seconds"], before["last_sent_timestamp_seconds"])
        # Since when outlives the relay, and so does its being told.
        self.stop_relay()
        # A time that somebody set is not when it was uploaded.
        os.utime(self.folder / "ftp/cam5/incoming/down.png", (0, 0))
        state = self.program.run_folder / "camfw-mail/state"
        before_it = state.stat().st_mtime_ns
        self.relay = self.start_relay()
        self.assertTrue(wait_until(lambda: state.stat().st_mtime_ns != before_it and self.numbers().get("files") == 1), self.said())
        self.assertEqual(self.numbers()["not_taken_since_timestamp_seconds"], down["not_taken_since_timestamp_seconds"])
        self.restart_smtp()
        self.assertTrue(self.has_arrived(content), self.log())
        text = self.parsed()[-1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
        self.assertRegex(text, r"cam5-down.png: cam5, \w+, \d+ \w+ 20")
        self.assertTrue(self.says("0 files to send"))
        self.assertNotIn("NOT TAKEN", self.said())
        self.assertRegex(self.camfw("report", "--html", "-").stdout,
                         "uploads wait to be mailed, the last mail (just now|[0-9]+ min ago)")
        after = self.numbers()
        self.assertEqual((after["files"], after["not_taken_since_timestamp_seconds"]), (0, 0))
        self.assertGreaterEqual(after["last_sent_timestamp_seconds"], down["not_taken_since_timestamp_seconds"])
        self.stop_relay()
        self.assertIn("camfw-mail does not run", self.camfw("status").stdout)
        self.assertEqual(self.numbers(), {"running": 0})

    def status(self) -> dict[str, Any]:
        """As a program sees it, and as its schema has it."""
        status = dict(json.loads(self.program.run("status", "--json").stdout))
        told = json.loads((ROOT / "docs/status.schema.json").read_text())
        self.assertEqual(schema.differences(status, told), [])
        return status

    def numbers(self) -> dict[str, int]:
        """The metrics of mail."""
        text = self.program.run("metrics").stdout
        return {name: int(value) for name, value in re.findall(r"(?m)^camfw_mail_(\w+) (\d+)$", text)}

    def a_clock_that_nobody_set_is_waited_for(self) -> None:
        # Not by its wrapper, which stays beside the program.
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        self.relay = self.start_relay(
            "env", f"LD_PRELOAD={library}", "NO_FAKE_STAT=1", "FAKETIME=@2020-01-01 00:00:00")
        content = picture(8)
        self.assertEqual(self.upload("cam6", "early.png", content), 0)
        self.assertTrue(self.says("1 file to send"), self.said())
        self.assertIn("WAITS for the clock to be set", self.said())
        count = len(self.smtp.mails)
        self.stop_relay()
        self.assertEqual(len(self.smtp.mails), count)
        # A clock that jumps by hours makes no hour of mails anew: what counts is the time since the kernel started.
        counted = re.findall(r"(\d+) of 1000 mails", self.said())[0]
        self.assertGreater(int(counted), 5)
        self.relay = self.start_relay("env", f"LD_PRELOAD={library}", "NO_FAKE_STAT=1", "FAKETIME=+3h")
        self.assertTrue(self.has_arrived(content), self.log())
        self.assertTrue(self.says(f"{int(counted) + 1} of 1000 mails"), self.said())


class MailInitLegacy(MailTest):
    """The init script, with the program and the user where it looks for them."""

    def test_init_starts_it_as_its_user_and_ends_it(self) -> None:
        self.stop_relay()
        passwd = self.scratch / "passwd"
        passwd.write_text(Path("/etc/passwd").read_text() + f"camfw-mail:x:{USER}:{USER}::/:/bin/false\n")
        group = self.scratch / "group"
        group.write_text(re.sub(r"(?m)^(ftp:.*:)$", r"\1camfw-mail", Path("/etc/group").read_text()))
        defaults = self.scratch / "default"
        defaults.mkdir()
        (defaults / "camfw").write_text(f"CAMFW_ARGS='--config {self.program.config}'\n")
        script = (
            f"mount --bind {passwd} /etc/passwd; mount --bind {group} /etc/group; mount --bind {defaults} /etc/default\n"
            "mkdir -p /run/sbin.up /run/sbin.work /run/libexec.up /run/libexec.work\n"
            "for of in sbin libexec; do mount -t overlay -o "
            "lowerdir=/usr/$of,upperdir=/run/$of.up,workdir=/run/$of.work overlay /usr/$of; done\n"
            f"cp {RELAY} /usr/sbin/; cp {PREPARE} /usr/libexec/; cp {BINARY} /usr/sbin/camfw\n"
            f"{ROOT}/mail/init/camfw-mail start; echo started; read -r _\n"
            f"{ROOT}/mail/init/camfw-mail restart; echo started; read -r _\n"
            f"{ROOT}/mail/init/camfw-mail stop; echo ended; read -r _\n"
            f"touch /run/kmsg; mount --bind /run/kmsg /dev/kmsg\n"
            f"{ROOT}/mail/init/camfw-mail start 2>&1; echo \"none: $?\"; read -r _\n"
            f"{ROOT}/mail/init/camfw-mail start >/dev/null 2>&1 || echo \"wrong: $?\"")
        shell = self.inside("sh", "-euc", script, stdin=subprocess.PIPE)
        assert shell.stdin is not None and shell.stdout is not None
        self.addCleanup(shell.communicate)
        self.addCleanup(shell.kill)
        pids = set()
        for number in range(2):
            self.assertEqual(shell.stdout.readline(), b"started\n")
            content = picture(40 + number)
            self.assertEqual(self.upload("cam1", f"{number}.png", content), 0)
            self.assertTrue(self.has_arrived(content), self.said())
            relays = self.relays()
            self.assertEqual(len(relays), 1)
            pids |= relays
            for pid in relays:
                status = Path(f"/proc/{pid}/status").read_text()
                self.assertRegex(status, rf"Uid:\s{USER}\s{USER}\s{USER}\s")
                self.assertRegex(status, r"CapPrm:\s0+\n")
                print(f"the relay takes {re.search(r'VmHWM:.*', status)[0]}", flush=True)  # type: ignore[index]
            shell.stdin.write(b"\n")
            shell.stdin.flush()
        self.assertEqual(shell.stdout.readline(), b"ended\n")
        self.assertTrue(wait_until(lambda: not self.relays()))
        self.assertEqual(len(pids), 2)
        # Nobody asked for mail: nothing is started, and only a log of debugging tells. A wrong [mail] is told.
        text = self.program.config.read_text()
        log = self.program.run_folder / "kmsg"
        for config, answer, said in (
            (text.replace(self.mail, ""), b"none: 0\n", "<31>camfw-mail: no [mail] in the file\n"),
            (text.replace('"owner@example.org"', '"owner"'), b"wrong: 1\n", "is not a mail address"),
        ):
            self.program.configure(config)
            shell.stdin.write(b"\n")
            shell.stdin.flush()
            self.assertEqual(shell.stdout.readline(), answer)
            self.assertIn(said, log.read_text())
            log.write_text("")
            self.assertEqual(self.relays(), set())

    def relays(self) -> set[int]:
        found = set()
        for pid in self.router.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "camfw-mail\n" and os.readlink(
                        f"/proc/{pid}/exe").endswith("/usr/sbin/camfw-mail"):
                    found.add(pid)
        return found


class MailPowerLegacy(MailTest):
    """The power goes: a real file system, whose journal nobody writes but who asks for it, ends as it is, and
    with it all processes and /run."""

    mail = MAIL + "keep-days = 365\n"

    # Of linux/ext4.h: nothing that is not on the disk gets there any more.
    EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2

    def setUp(self) -> None:
        self.disk: Path | None = None
        super().setUp()

    def prepare(self) -> None:
        if self.disk is None:
            self.disk = self.scratch / "disk"
            with self.disk.open("wb") as file:
                file.truncate(32 << 20)
            subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", self.disk], check=True)
            (self.folder / "ftp").mkdir()
            self.mount()
            self.addCleanup(subprocess.run, ["umount", "--lazy", self.folder / "ftp"], check=True)
        super().prepare()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,commit=3600", str(self.disk), self.folder / "ftp"], check=True)

    def power_cut(self) -> None:
        ftp = self.folder / "ftp"
        handle = os.open(ftp, os.O_RDONLY)
        fcntl.ioctl(handle, self.EXT4_IOC_SHUTDOWN, struct.pack("I", self.NOLOGFLUSH))
        os.close(handle)
        names = {"vsftpd", "camfw-mail", "msmtp"}

        def alive() -> list[int]:
            found = []
            for pid in self.router.pids():
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    if status.split()[1] in names and "State:\tZ" not in status:
                        found.append(pid)
            return found

        def dead() -> bool:
            for pid in alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not alive()

        self.assertTrue(wait_until(dead))
        self.stop_relay()
        # A copy: another namespace of this machine may have the old mount yet, and its file the same device.
        subprocess.run(["umount", "--lazy", ftp], check=True)
        assert self.disk is not None
        self.disk = Path(shutil.copy(self.disk, self.scratch / "after"))
        self.mount()
        shutil.rmtree(self.program.run_folder / "camfw-mail")

    def is_on_disk(self, content: bytes) -> bool:
        assert self.disk is not None
        return content[5000:5500] in self.disk.read_bytes()

    def test_nothing_half_is_sent_and_nothing_whole_is_lost(self) -> None:
        # A mail is under way, and so is an upload.
        server = self.hang()
        half = picture(80, 3_000_000)
        with self.camera.entered():
            session = ftplib.FTP(source_address=(CAMERAS["cam3"], 0))
            session.connect("192.168.8.1", timeout=PATIENCE)
            session.login("anonymous", "x")
            stream = session.transfercmd("STOR incoming/half.png")
        self.addCleanup(session.close)
        self.addCleanup(stream.close)
        stream.sendall(half[:1_000_000])
        whole = [picture(81, 100_000), photograph(), picture(82, 30_000)]
        for number, content in enumerate(whole):
            self.assertEqual(self.upload(f"cam{1 + number % 2}", f"{number}.bin", content), 0)
        # What waits for some seconds is on the disk, and then the relay has looked twice more.
        self.assertTrue(wait_until(lambda: all(map(self.is_on_disk, whole)), PATIENCE * 4))
        state = self.program.run_folder / "camfw-mail/state"
        for _ in range(2):
            before = state.stat().st_mtime_ns
            self.assertTrue(wait_until(lambda before=before: state.stat().st_mtime_ns != before))  # type: ignore[misc]
        self.power_cut()
        server.close()
        kept = {it.name: it.read_bytes() for it in self.folder.glob("ftp/cam*/incoming/*")}
        print(f"after the power cut: {({name: len(content) for name, content in kept.items()})}", flush=True)
        self.assertEqual([kept.get(f"{number}.bin") for number in range(len(whole))], whole)
        self.assertNotEqual(kept.get("half.png"), half)
        # What other file systems leave: files of no bytes, the end or a page in between of zeros, a beginning.
        torn = {"empty.png": b"", "end.png": half[:8 * PAGE] + bytes(len(half) - 8 * PAGE), "cut.png": half[:5 * PAGE],
                "page.png": half[:8 * PAGE] + bytes(PAGE) + half[9 * PAGE:], "page.jpg": photograph(lost=2)}
        owner, group = pwd.getpwnam("ftp").pw_uid, grp.getgrnam("ftp").gr_gid
        folder = self.folder / "ftp/cam5/incoming"
        for name, content in torn.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o640)
            os.chown(folder / name, owner, group)
        self.restart_smtp()
        self.prepare()
        self.start_ftp()
        # All of that is from before the boot: the clock is on by as long as this machine runs, and a minute.
        seconds = int(float(Path("/proc/uptime").read_text().split()[0])) + 60
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        self.relay = self.start_relay("env", f"LD_PRELOAD={library}", "NO_FAKE_STAT=1", f"FAKETIME=+{seconds}")
        for content in whole:
            self.assertTrue(self.has_arrived(content), self.log() + self.said())
        left = len(torn) + ("half.png" in kept)
        self.assertTrue(self.says(f"{left} files not sent: no whole picture or clip"), self.said())
        after = picture(83)
        self.assertEqual(self.upload("cam5", "after.png", after), 0)
        self.assertTrue(self.has_arrived(after), self.log())
        self.assertEqual({_sum(got) for _, got in self.attached()}, {_sum(content) for content in (*whole, after)})
        self.assertTrue(wait_until(lambda: sorted(it.name for it in folder.iterdir()) == sorted(torn)))


class MailQuotaLegacy(MailTest):
    """A MiB for each camera."""

    mail = MAIL + "quota = 6\nafter = \"keep\"\n"

    def test_at_the_quota_uploads_are_refused_and_nothing_that_waits_is_removed(self) -> None:
        sent = picture(1, 500_000)
        self.assertEqual(self.upload("cam1", "sent.png", sent), 0)
        self.assertTrue(self.has_arrived(sent), self.log())
        kept = self.folder / "ftp/sent/cam1"
        self.assertTrue(wait_until(lambda: [it.read_bytes() for it in kept.glob("*.png")] == [sent]))
        # The quota is kept while a server hangs, too.
        server = self.hang()
        waiting = []
        for number in range(8):
            content = picture(10 + number, 300_000)
            if self.upload("cam1", f"{number}.png", content) != 0:
                break
            waiting.append(content)
            time.sleep(1.5)
        self.assertTrue(self.says("REFUSES uploads of cam1"), self.said())
        self.assertGreaterEqual(len(waiting), 3)
        self.assertEqual(self.upload("cam1", "more.png", picture(30)), 25)
        # What was sent went first; the other camera is not touched by it.
        self.assertEqual(list(kept.iterdir()), [])
        self.assertEqual(len(list((self.folder / "ftp/cam1/incoming").iterdir())), len(waiting))
        self.assertEqual(self.upload("cam2", "other.png", picture(31)), 0)
        server.close()
        self.restart_smtp()
        for content in waiting:
            self.assertTrue(self.has_arrived(content), self.log())
        self.assertTrue(wait_until(lambda: "REFUSES" not in self.said()), self.said())
        self.assertEqual(self.upload("cam1", "again.png", picture(32)), 0)
        self.assertTrue(self.has_arrived(picture(32)))


class MailFullLegacy(MailTest):
    """An upload folder and a /run with little room."""

    mail = MAIL + "after = \"keep\"\n"

    def setUp(self) -> None:
        self.mounted = False
        super().setUp()

    def prepare(self) -> None:
        if not self.mounted:
            for folder, size in (("mail-test/ftp", "600k"), ("camfw-mail", "256k")):
                path = self.program.run_folder / folder
                path.mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path], check=True)
                self.addCleanup(subprocess.run, ["umount", "--lazy", path], check=True)
            self.mounted = True
        super().prepare()

    def test_a_full_disk_loses_nothing_and_is_told(self) -> None:
        # What was sent and kept goes before uploads have no room, whatever the quota: twice what there is room for.
        contents = [picture(50 + number, 25_000) for number in range(32)]
        for part in (contents[:16], contents[16:]):
            for content in part:
                self.assertTrue(wait_until(lambda content=content: self.upload("cam1", f"{_sum(content)}.png", content) == 0),  # type: ignore[misc]
                                self.complaints)
            for content in part:
                self.assertTrue(self.has_arrived(content), self.log())
        self.smtp.stop()
        waiting: list[bytes] = []
        # Full only if it stays so while there is something to remove.
        refused = 0
        while refused < 5 and len(waiting) < 40:
            content = picture(100 + len(waiting), 25_000)
            if self.upload("cam2", f"{len(waiting)}.png", content) == 0:
                waiting.append(content)
                refused = 0
            else:
                refused += 1
                time.sleep(2)
        incoming = self.folder / "ftp/cam2/incoming"
        self.assertGreaterEqual(len(waiting), 16)
        self.assertEqual(refused, 5)
        self.assertTrue(self.says("the upload folder's disk is FULL"), self.said())
        self.assertTrue(wait_until(lambda: len(list(incoming.iterdir())) == len(waiting)), list(incoming.iterdir()))
        # Killed, and started with a /run that has no room for what it says of itself.
        self.stop_relay()
        state = self.program.run_folder / "camfw-mail/state"
        os.truncate(state, 0)
        filler = state.with_name("filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        self.relay = self.start_relay()
        self.assertTrue(wait_until(lambda: "cannot say how it does: No space left on device" in self.log()), self.log())
        self.assertIn("camfw-mail runs and cannot write how it does", self.status())
        self.restart_smtp()
        for content in waiting:
            self.assertTrue(self.has_arrived(content), self.log())
        filler.unlink()
        self.assertTrue(self.says("0 files to send"), self.said())
        self.assertNotIn("cannot write", self.status())
        again = picture(99, 25_000)
        self.assertTrue(wait_until(lambda: self.upload("cam2", "again.png", again) == 0), self.complaints)
        self.assertTrue(self.has_arrived(again))
        self.assertEqual(set(map(_sum, contents + waiting + [again])), {_sum(got) for _, got in self.attached()})

    def status(self) -> str:
        """With the file systems of this /run."""
        done = self.inside(BINARY, "--config", self.program.config, "status")
        return b"".join(done.communicate(timeout=PATIENCE)).decode()


class MailFloodLegacy(MailTest):
    # Room for what is sent twice, so that nothing waits for another hour.
    mail = MAIL.replace("per-hour = 1000", "per-hour = 3600")

    def test_nothing_is_lost_over_kills_and_restarts(self) -> None:
        contents = [picture(1000 + number, 500 + number % 50 * 1000) for number in range(UPLOADS)]
        names = list(CAMERAS)
        # vsftpd takes four connections of an address.
        few = {name: threading.Semaphore(3) for name in names}

        def one(number: int) -> int:
            name = names[number % len(names)]
            with few[name]:
                return self.upload(name, f"{number}.png", contents[number])

        disturbances: list[Callable[[], None]] = [self.restart_smtp] * RESTARTS + [self.kill_relay] * KILLS
        random.Random(1).shuffle(disturbances)
        with ThreadPoolExecutor(12) as pool:
            uploads = [pool.submit(one, number) for number in range(UPLOADS)]
            # In this thread, with which what it starts ends; spread over the uploads.
            for number, disturbance in enumerate(disturbances):
                due = UPLOADS * number // len(disturbances)
                self.assertTrue(wait_until(lambda due=due: sum(map(Future.done, uploads)) >= due, PATIENCE * 10))
                disturbance()
                time.sleep(1)
            codes = [upload.result() for upload in uploads]
        self.assertEqual(Counter(codes), Counter({0: UPLOADS}), self.complaints)
        wanted = set(map(_sum, contents))
        folders = [self.folder / f"ftp/{name}/incoming" for name in CAMERAS]
        wait_until(lambda: not any(list(folder.iterdir()) for folder in folders), PATIENCE * 10)
        counted = Counter(self.sums())
        never = len(wanted - set(counted))
        twice = sum(1 for count in counted.values() if count > 1)
        print(f"{UPLOADS} uploads, {RESTARTS} restarts of the server, {KILLS} kills of the relay: {len(self.smtp.mails)} "
              f"mails, {len(counted)} files arrived, {twice} of them more than once, {never} never", flush=True)
        self.assertEqual(never, 0, self.log()[-3000:] + self.said())
        # Who is ended while a mail is under way does not count it; all others are counted, over each kill.
        counted_mails = int(re.findall(r"(\d+) of 3600 mails", self.said())[0])
        self.assertGreaterEqual(counted_mails, len(self.smtp.mails) - RESTARTS - KILLS, self.said())
        self.assertEqual(set(counted), wanted)

    def sums(self) -> Iterable[str]:
        return [_sum(content) for _, content in self.attached()]

    def kill_relay(self) -> None:
        # Its mail program goes on by itself, as it would.
        self.stop_relay()
        self.relay = self.start_relay()


class MailBootLegacy(RouterTest):
    """A wrong [mail] is refused, and keeps no boot from closing and opening the box."""

    backend = "legacy"

    def test_without_a_good_mail_the_firewall_goes_on(self) -> None:
        good = self.program.config.read_text() + MAIL
        self.program.configure(good.replace('"owner@example.org"', '"owner"'))
        wrong = '"owner" is not a mail address'
        self.assertIn(wrong, self.camfw("check", expect=2).stderr)
        booted = self.camfw("boot")
        self.assertIn("no mail is sent: ", booted.log)
        self.assertIn(wrong, booted.log)
        self.assertEqual(self.forwarding(), "1")
        self.assertIn(wrong, self.camfw("status").stdout)
        before = self.tables.snapshot()
        self.assertIn(wrong, self.camfw("apply", expect=2).stderr)
        self.assertEqual(self.tables.snapshot(), before)
        # Without its password: told by all, refused by a check of what a boot loads.
        self.program.configure(good)
        missing = "/run/mail-test/password: No such file or directory"
        self.assertIn(missing, self.camfw("boot").log)
        self.assertIn(missing, self.camfw("status").stdout)
        etc = self.scratch / "etc/camfw"
        etc.mkdir(parents=True)
        shutil.copy(self.program.config, etc / "camfw.toml")
        for parent in (etc, etc.parent):
            parent.chmod(0o755)
        beside: list[str | Path] = [
            "/bin/sh", "-c", f'/bin/mount --bind {self.scratch}/etc /etc && exec "$@"', "sh"]
        checked = self.camfw("check", config=Path("/etc/camfw/camfw.toml"), before=beside, expect=2)
        self.assertIn(missing, checked.stderr)
        folder = self.program.run_folder / "mail-test"
        folder.mkdir()
        (folder / "password").write_text("swordfish\n")
        for mode, code in ((0o644, 2), (0o400, 0)):
            (folder / "password").chmod(mode)
            checked = self.camfw("check", config=Path("/etc/camfw/camfw.toml"), before=beside, expect=code)
            self.assertEqual("others than its owner can use it (mode 0644)" in checked.stderr, code == 2)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
