"""An evening in the appliance, in one boot: six cameras of which three do what they may not, and
what each of blocked, hosts, status, matrix, metrics and the page tells of it; then an upload
becomes mail."""

from __future__ import annotations

import email
import email.policy
import json
import re
import socket
import subprocess
import time
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qemu import ROOT
from qemu import test_boot as boot

from appliance import cpio, image
from appliance.machine import Machine, mac
from lab import example, frames
from lab.hosts import INTERFACE
from lab.probes import PATIENCE, wait_until
from lab.services import SmtpServer
from netns.policies import allow, camera
from netns.test_evening import cards
from netns.test_mail import picture

setUpModule = boot.setUpModule
tearDownModule = boot.tearDownModule

ROUTER, LAPTOP_ROUTER = example.CAMERA.router, example.LAPTOP.router
PORCH, YARD, SHED, GATE, CELLAR, ATTIC = (f"192.168.8.{last}" for last in range(110, 116))
YARD_MAC, SHED_MAC, GATE_MAC, ATTIC_MAC = (f"02:00:00:00:00:a{last}" for last in range(1, 5))
# Who has the gate's address.
STRANGER_MAC = "02:00:00:00:00:99"
LISTED = (("porch", PORCH, example.CAMERA.mac), ("yard", YARD, YARD_MAC), ("shed", SHED, SHED_MAC),
          ("gate", GATE, GATE_MAC), ("cellar", CELLAR, None), ("attic", ATTIC, ATTIC_MAC))

ABROAD = [f"203.0.113.{last}" for last in (7, 8, 9)]
MANY = [f"198.51.100.{last}" for last in range(1, 251)]
# The kernel passes on 50 packets a second of a source, and 250 at once.
PAUSE = 0.03

PASSWORD = "swordfish"
CONFIGURATION = boot.CONFIGURATION + "".join(camera(*it) for it in LISTED) + allow("private", "router", "http") + """
[page]

[watch]
interval = 2

[mail]
to = "owner@example.org"
from = "router@example.org"
user = "router@example.org"
server = "smtp.example.org"
ca-file = "/etc/camfw-mail/ca.pem"
"""
HOSTS = f"127.0.0.1 localhost\n{example.INTERNET.address} smtp.example.org\n"
# What it takes to relay a mail, and the peak that it may have with small pictures.
MEMORY_LIMIT_KIB = 4 * 1024


class Evening(unittest.TestCase):
    machine: Machine
    smtp: SmtpServer

    @classmethod
    def setUpClass(cls) -> None:
        built = subprocess.run([ROOT / "qemu/build", "--mail"], stdout=subprocess.PIPE, text=True, check=True)
        cls.relay = Path(built.stdout.rsplit(" ", 1)[0])
        cls.smtp = SmtpServer(boot.scene.hosts["internet"].namespace, boot.scene.scratch / "smtp")
        cls.addClassCleanup(cls.smtp.stop)
        files = boot.files(CONFIGURATION) | image.page() | image.users(camfw_page=101, camfw_mail=102) | image.relay(
            cls.relay, {"password": f"{PASSWORD}\n", "ca.pem": cls.smtp.certificate.read_text()}) | {
                "etc/hosts": cpio.file(HOSTS), "etc/nsswitch.conf": cpio.file("hosts: files\n")}
        # The evening's record is of one camera's packets after another: not of what the boot had.
        cls.machine = boot.scene.boot(image.own(mail=True), files)
        cls.addClassCleanup(cls.machine.kill)
        boot.wait_for_exit(cls.machine, 0)
        cls.machine.wait_for_kernel(boot.SERVICES, boot.BOOT_SECONDS)

    def said(self, command: str, code: int = 0) -> str:
        got, said = self.machine.command(command)
        self.assertEqual(got, code, said)
        return said

    def json(self, command: str) -> dict[str, Any]:
        return dict(json.loads(self.machine.command(f"camfw {command} --json 2>/dev/null")[1]))

    def send(self, host: str, packets: Iterable[bytes], *, sender: str, to: str) -> None:
        """From the wire of a host, in frames of any device."""
        with boot.scene.hosts[host].namespace.entered():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with wire:
            wire.bind((INTERFACE, 0))
            for packet in packets:
                wire.send(frames.frame(to, sender, None, packet))
                time.sleep(PAUSE)

    def test_an_evening_and_a_mail(self) -> None:
        self.assertTrue(wait_until(lambda: self.json("blocked")["recording"] and self.json("hosts")["watching"]))
        before = self.json("show matrix --live")
        router = mac(1)
        self.send("camera", (frames.tcp_syn(YARD, host, 40000, 443) for host in ABROAD), sender=YARD_MAC, to=router)
        self.send("camera", (frames.udp(SHED, host, 40000, 32100) for host in MANY), sender=SHED_MAC, to=router)
        self.send("camera", [frames.echo_request(GATE, ROUTER)], sender=STRANGER_MAC, to=router)
        self.send("laptop", [frames.udp(ATTIC, "255.255.255.255", 40000, 3702)], sender=ATTIC_MAC, to=frames.BROADCAST)
        self.becomes_mail()
        self.each_tells_it()
        self.assertEqual(self.json("show matrix --live"), before)
        members = {row["name"]: row.get("cameras", ()) for row in before["from"]}
        opened = {(name, cell["to"]): sorted(service["name"] for service in cell["services"])
                  for cell in before["reaches"] for name in members[cell["from"]]}
        self.assertEqual(opened, {(name, "router"): ["ftp", "ping"] for name, *_ in LISTED})
        self.the_page_is_shown()

    def becomes_mail(self) -> None:
        small, large = picture(1, 300_000), picture(2, 2_000_000)
        for number, content in enumerate((small, large), 1):
            path = boot.scene.scratch / f"picture-{number}"
            path.write_bytes(content)
            done = boot.scene.hosts["camera"].namespace.run(
                ["curl", "-q", "-sS", "--noproxy", "*", "--ftp-pasv", "--ftp-method", "singlecwd", "--max-time", "600",
                 "-T", str(path), f"ftp://anonymous:x@{ROUTER}/incoming/door{number}.png"], timeout=700)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(wait_until(lambda number=number: len(self.smtp.mails) >= number, PATIENCE * 8),  # type: ignore[misc]
                            self.machine.command("cat /run/camfw-mail/state; grep mail /var/log/messages"))
            peak = self.peak("camfw-mail")
            print(f"\ncamfw-mail: {self.relay.stat().st_size} bytes, {peak} KiB at most after a picture of {len(content)} bytes")
            if number == 1:
                self.assertLessEqual(peak, MEMORY_LIMIT_KIB)
        self.assertTrue(wait_until(lambda: self.said("ls /srv/ftp/porch/incoming") == ""))
        self.assertTrue(wait_until(lambda: "0 files to send" in self.said("cat /run/camfw-mail/state")))
        mails = [email.message_from_bytes(mail, policy=email.policy.default) for mail in self.smtp.mails]
        self.assertEqual([mail["subject"] for mail in mails], ["porch: 1 file"] * 2)
        self.assertEqual([part.get_content() for mail in mails for part in mail.iter_attachments()], [small, large])  # type: ignore[attr-defined]
        status = self.said("cat /proc/$(pidof camfw-mail)/status")
        self.assertRegex(status, r"(?m)^Uid:\s102\s102\s102\s102")
        self.assertRegex(status, r"(?m)^CapPrm:\s0+$")
        # Who is not listed gets no further than that; the camera was the control.
        self.assertNotIn("220 ", self.said("nc 127.0.0.1 21 </dev/null; true"))

    def peak(self, program: str) -> int:
        status = self.said(f"cat /proc/$(pidof {program})/status")
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak, status
        return int(peak[1])

    def each_tells_it(self) -> None:
        def tried() -> dict[str, set[tuple[str, int]]]:
            return {host["camera"] or f"{host['address']} {host['hardware']}": {(it["to"], it["port"]) for it in host["tried"]}
                    for host in self.json("blocked")["hosts"] if host["zone"] in ("camera", "private")}

        self.assertTrue(wait_until(lambda: len(tried().get("shed", ())) == len(MANY)), tried())
        self.assertEqual(tried(), {
            "yard": {(host, 443) for host in ABROAD}, "shed": {(host, 32100) for host in MANY},
            f"{GATE} {STRANGER_MAC}": {(ROUTER, 8)}, f"{ATTIC} {ATTIC_MAC}": {("255.255.255.255", 3702)}})
        self.assertTrue(wait_until(lambda: len(self.json("hosts")["problems"]) == 2), self.json("hosts"))
        hosts = self.json("hosts")
        problems = {(it["camera"], it["kind"], it["zone"]) for it in hosts["problems"]}
        self.assertEqual(problems, {("gate", "other-device", "camera"), ("attic", "other-zone", "private")})
        here = {it["name"] for zone in hosts["zones"] for it in zone["cameras"] if it["state"] == "seen"}
        self.assertEqual(here, {"porch", "yard", "shed"})
        status = self.json("status")
        self.assertEqual((status["state"], status["holds"], status["drift"]), ("applied", True, []))
        self.assertEqual(status["needs"][:2], [it["text"] for it in hosts["problems"]])
        self.assertEqual(len(status["needs"]), 3)
        self.assertIn("cellar", status["needs"][2])
        attempts = {it["name"]: it["attempts"] for it in status["refused"]["cameras"]}
        self.assertEqual({name: count for name, count in attempts.items() if count}, {"yard": 3, "shed": len(MANY)})
        self.assertIn("0 files to send", status["mail"])
        self.assertEqual(status["mail_queue"]["files"], 0)
        metrics = self.said("camfw metrics")
        self.assertIn("camfw_mail_running 1\n", metrics)
        for name, count in attempts.items():
            self.assertIn(f'camfw_camera_refused_attempts{{camera="{name}"}} {count}\n', metrics)

    def the_page_is_shown(self) -> None:
        """To the laptop, by the page's own server, with the same on it."""
        laptop = boot.scene.hosts["laptop"].namespace

        def page() -> str:
            return laptop.run(["curl", "-sf", "--max-time", str(PATIENCE), f"http://{LAPTOP_ROUTER}/"]).stdout

        # It is written once a minute.
        self.assertTrue(wait_until(lambda: "198.51." in page(), PATIENCE * 5), page())
        told = cards(page())
        self.assertEqual({name for name, (_, rows) in told.items() if rows}, {"yard", "shed", GATE, ATTIC})
        self.assertEqual(sorted(told["yard"][1]), [f"{host} (external) https" for host in ABROAD])
        for name, (text, _) in told.items():
            self.assertEqual(("203.0.113." in text, "198.51." in text), (name == "yard", name == "shed"), text)
        owner = self.said("for pid in $(pidof httpd busybox); do tr '\\0' ' ' </proc/$pid/cmdline | grep -q camfw-page && grep Uid: /proc/$pid/status; done; true")
        self.assertRegex(owner, r"Uid:\s101\s101")
        camera = boot.scene.hosts["camera"].namespace
        self.assertEqual(camera.run(["curl", "-sf", "--max-time", "2", f"http://{LAPTOP_ROUTER}/"]).stdout, "")
