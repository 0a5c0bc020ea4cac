"""What the router answers in the place of others: real dnsmasq and chrony, whomever a camera asks."""

from __future__ import annotations

import secrets
import shutil
import socket
import struct

from lab import example, probes
from lab.namespace import Namespace
from lab.services import Listener, Server
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

# Built into cameras; nobody is there in the lab.
FOREIGN = "8.8.8.8"
NAME, ADDRESS = "time.camera.test", "192.0.2.7"
ASK = allow("camera", "router", '["dns", "ntp"]')
REDIRECT = '[[redirects]]\nfrom = "camera"\nto = "router"\nservice = ["dns", "ntp"]\n'


def question() -> bytes:
    """For the address of NAME (RFC 1035, 4.1)."""
    name = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split("."))
    return secrets.token_bytes(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!2H", 1, 1)


def asked(source: Namespace, target: str, wait: float = probes.PATIENCE) -> str:
    """The address in the answer that `target` gives over UDP, or nothing."""
    def answer() -> str:
        with source.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.settimeout(min(wait, probes.AGAIN_SECONDS))
            # Connected: what comes from another address is not taken.
            client.connect((target, 53))
            client.send(question())
            try:
                return socket.inet_ntoa(client.recv(512)[-4:])
            except (TimeoutError, ConnectionError):
                return ""
    found = [""]
    probes.wait_until(lambda: bool(found.append(answer()) or found[-1]), wait)
    return found[-1]


def asked_by_tcp(source: Namespace, target: str) -> str:
    """The same over TCP."""
    with source.socket() as client:
        client.settimeout(probes.PATIENCE)
        client.connect((target, 53))
        text = question()
        client.sendall(struct.pack("!H", len(text)) + text)
        answer = client.recv(512)
        while len(answer) < 2 or len(answer) < 2 + struct.unpack("!H", answer[:2])[0]:
            more = client.recv(512)
            assert more, "the server closed the connection"
            answer += more
        return socket.inet_ntoa(answer[-4:])


@both_backends
class Redirects(RouterTest):
    """dnsmasq and chrony on the router; the camera asks who is not there."""

    def setUp(self) -> None:
        super().setUp()
        command = [
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground",
            "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
            f"--address=/{NAME}/{ADDRESS}",
        ]
        server = Server(self.router, command, 53)
        self.addCleanup(server.stop)

    def serve_time(self) -> None:
        """chrony on the router, as `camfw show ntp` has it."""
        config = self.scratch / "chrony.conf"
        config.write_text(self.camfw("show", "ntp").stdout + "cmdport 0\nbindcmdaddress /\n"
                          f"pidfile {self.scratch}/chronyd.pid\n")
        process = self.router.start(["/usr/sbin/chronyd", "-d", "-x", "-u", "root", "-f", config])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def time_of(self, server: str) -> bool:
        """Whether chrony on the camera gets the time of that server."""
        done = self.camera.run([
            "/usr/sbin/chronyd", "-Q", "-t", str(int(probes.PATIENCE)), "-u", "root",
            f"server {server} iburst maxsamples 1", "cmdport 0", "bindcmdaddress /",
            f"pidfile {self.scratch}/client.pid",
        ])
        return done.returncode == 0 and "System clock wrong by" in done.stdout + done.stderr

    def test_whomever_the_camera_asks_the_router_answers(self) -> None:
        own = example.CAMERA.router
        self.boot(ZONES, ASK)
        self.assertEqual(asked(self.camera, own), ADDRESS, "control")
        self.assertEqual(asked(self.camera, FOREIGN, wait=1), "")
        home = allow("private", "external", "dns")
        self.boot(ZONES, ASK, REDIRECT, home)
        with Listener(self.internet, tcp=[53], udp=[53]) as outside:
            for target in (FOREIGN, example.INTERNET.address, own):
                with self.subTest(target):
                    self.assertEqual(asked(self.camera, target), ADDRESS)
                    self.assertEqual(asked_by_tcp(self.camera, target), ADDRESS)
            self.assertEqual(outside.accepted[53], 0, "nothing of it goes on")
            # Who is not redirected asks whom he means.
            reach = probes.udp(self.laptop, example.INTERNET.address, 53, outside.received)
            self.assertTrue(reach, reach.detail)
        self.serve_time()
        self.assertTrue(self.time_of(FOREIGN), "a foreign time server")
        # What is for several hosts at once is no question to the router.
        for several in ("192.168.8.255", "224.0.0.251"):
            with self.subTest(several):
                self.assertEqual(asked(self.camera, several, wait=1), "")
        self.assertEqual(asked(self.camera, FOREIGN), ADDRESS, "control")
        self.camfw("prove", "--live")
        self.camfw("status")
        traced = self.camfw("trace", "--from", "camera", "--src", example.CAMERA.address,
                            "--dst", FOREIGN, "--proto", "udp", "--dport", "53").stdout
        self.assertIn("REDIRECT", traced)
        # Without it they are forgotten, and ask nobody.
        self.boot(ZONES, ASK)
        self.assertEqual(asked(self.camera, FOREIGN, wait=1), "")
        self.assertEqual(asked(self.camera, own), ADDRESS, "control")
