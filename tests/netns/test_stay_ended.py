"""Forbidden connections stay ended: a server that continues to send does not revive
them."""

from __future__ import annotations

import contextlib
import ftplib
import socket
import threading
from collections.abc import Iterator

from lab import example, probes
from lab.services import FtpServer, Listener, SshServer
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow
from netns.program import multi
from netns.test_ipv6_same import zones

ROUTER_PRIVATE = example.LAPTOP.router
LOOSE = "net.netfilter.nf_conntrack_tcp_loose"
SSH = allow("private", "router", "ssh")
FTP = allow("private", "router", "ftp")
# Without this, the router could not be managed; it does not matter for the test.
HTTPS = allow("private", "router", "https")
# Long compared with the server's interval, and with a retransmission.
QUIET_SECONDS = 3.0


class Sender:
    """A UDP server that, once queried, continuously sends to the client."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        self._server.settimeout(probes.PATIENCE)
        _, asker = self._server.recvfrom(100)
        while not self._stopped.wait(0.05):
            # EPERM: a rule of OUTPUT dropped it.
            with contextlib.suppress(PermissionError):
                self._server.sendto(b"picture", asker)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@both_backends
class StayEnded(RouterTest):
    """Real SSH and FTP connections with servers on the router that continue to send,
    while a new policy forbids them."""

    def assert_comes(self, stream: socket.socket, *, comes: bool) -> None:
        """Checks that new data arrives, or that none does."""
        stream.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            # Discard what arrived before; while the flow continues, there is always
            # more.
            for _ in range(1000):
                stream.recv(65536)
        stream.settimeout(probes.PATIENCE if comes else QUIET_SECONDS)
        try:
            self.assertTrue(stream.recv(100), "the connection was closed")
        except TimeoutError:
            self.assertFalse(comes, "nothing comes")
        else:
            self.assertTrue(comes, "it goes on")

    @contextlib.contextmanager
    def ssh(self) -> Iterator[socket.socket]:
        """A shell on the router that prints continuously."""
        with SshServer(self.router, self.scratch / "sshd") as server:
            ours, theirs = socket.socketpair()
            client = self.laptop.start(
                ["ssh", "-F", "none", "-i", server.key, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                 "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                 f"root@{ROUTER_PRIVATE}", "while sleep 0.1; do echo here; done"],
                stdout=theirs.fileno(),
            )
            theirs.close()
            try:
                self.assert_comes(ours, comes=True)
                yield ours
            finally:
                client.kill()
                client.wait()
                ours.close()

    @contextlib.contextmanager
    def download(self) -> Iterator[socket.socket]:
        """A file downloaded from the router by FTP, as fast as it is read."""
        with FtpServer(self.router, self.scratch / "ftp") as server:
            with (server.incoming / "film").open("wb") as film:
                film.truncate(1 << 34)
            with self.laptop.entered():
                client = ftplib.FTP(ROUTER_PRIVATE, timeout=probes.PATIENCE)
            # Without an orderly close, which would block.
            with self.laptop.entered(), contextlib.closing(client):
                client.login()
                with client.transfercmd("RETR incoming/film") as data:
                    self.assert_comes(data, comes=True)
                    yield data

    def test_ssh_that_a_new_policy_forbids(self) -> None:
        self.boot(ZONES, SSH, HTTPS)
        with self.ssh() as shell:
            self.program.configure(ZONES + HTTPS)
            self.assertIn("ended 1 connection ", self.camfw("apply").log)
            self.assert_comes(shell, comes=False)

    def test_ftp_that_a_new_policy_forbids(self) -> None:
        self.boot(ZONES, FTP, HTTPS)
        with self.download() as film:
            self.program.configure(ZONES + HTTPS)
            self.camfw("apply")
            self.assert_comes(film, comes=False)

    def test_what_was_allowed_before_the_box_was_sealed(self) -> None:
        self.boot(ZONES, SSH, HTTPS)
        with self.ssh() as shell:
            self.camfw("seal")
            self.program.configure(ZONES + HTTPS)
            self.camfw("apply")
            self.assert_comes(shell, comes=False)

    def test_what_was_made_while_the_box_was_open(self) -> None:
        self.boot(ZONES, HTTPS)
        self.camfw("open")
        with self.ssh() as shell:
            self.camfw("apply")
            self.assert_comes(shell, comes=False)

    def test_what_was_made_while_the_box_was_open_and_is_allowed(self) -> None:
        # The kernel tracked nothing then: it is no connection that it knows.
        self.boot(ZONES, SSH, HTTPS)
        self.assertIn("ends with the next apply", self.camfw("open").stderr)
        with self.ssh() as shell:
            self.camfw("apply")
            self.assert_comes(shell, comes=False)

    def test_what_is_still_allowed_goes_on(self) -> None:
        # The control.
        self.boot(ZONES, SSH, HTTPS)
        with self.ssh() as shell:
            self.program.configure(ZONES + SSH)
            self.camfw("apply")
            self.assert_comes(shell, comes=True)

    def test_datagrams_of_a_service_that_the_router_offers_to_others(self) -> None:
        camera = allow("camera", "router", "{ udp = [5000] }")
        self.boot(ZONES, HTTPS, camera, allow("private", "router", "{ udp = [5000] }"))
        with self.router.socket(kind=socket.SOCK_DGRAM) as server, \
                self.laptop.socket(kind=socket.SOCK_DGRAM) as viewer:
            server.bind(("", 5000))
            sender = Sender(server)
            self.addCleanup(sender.stop)
            viewer.connect((ROUTER_PRIVATE, 5000))
            viewer.send(b"please")
            self.assert_comes(viewer, comes=True)
            self.program.configure("\n".join((ZONES, HTTPS, camera)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)

    @contextlib.contextmanager
    def stream(self, port: int = 5000, family: int = socket.AF_INET) -> Iterator[socket.socket]:
        """A continuous stream of datagrams from a server on the router that the laptop
        queried."""
        target = ROUTER_PRIVATE if family == socket.AF_INET else str(example.LAPTOP.router6)
        with self.router.socket(family, socket.SOCK_DGRAM) as server, \
                self.laptop.socket(family, socket.SOCK_DGRAM) as viewer:
            server.bind(("", port))
            sender = Sender(server)
            try:
                viewer.connect((target, port))
                viewer.send(b"please")
                self.assert_comes(viewer, comes=True)
                yield viewer
            finally:
                sender.stop()

    def test_datagrams_of_a_service_that_nobody_is_offered_any_more(self) -> None:
        offered = allow("private", "router", "{ udp = [5000] }")
        self.boot(ZONES, HTTPS, offered)
        with self.stream() as viewer:
            self.program.configure("\n".join((ZONES, HTTPS)))
            self.assertIn("ended 1 connection ", self.camfw("apply").log)
            self.assert_comes(viewer, comes=False)
            self.camfw("status")
            self.assertIn("nothing had to change", self.camfw("apply").said)
            # The offers of another policy do not make it forget.
            self.program.configure("\n".join((ZONES, HTTPS, allow("private", "router", "{ udp = [6000] }"))))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)
            self.camfw("status")
            self.camfw("prove", "--live")
            self.program.configure("\n".join((ZONES, HTTPS, offered)))
            self.camfw("apply")
            viewer.send(b"please")
            self.assert_comes(viewer, comes=True)

    def test_datagrams_over_ipv6_that_nobody_is_offered_any_more(self) -> None:
        self.boot(zones(), HTTPS, allow("private", "router", "{ udp = [5000] }"))
        with self.stream(family=socket.AF_INET6) as viewer:
            self.program.configure("\n".join((zones(), HTTPS)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)

    def test_datagrams_of_what_was_asked_before_the_box_was_sealed(self) -> None:
        self.boot(ZONES, HTTPS, allow("private", "router", "{ udp = [5000] }"))
        with self.stream() as viewer:
            self.camfw("seal")
            self.program.configure("\n".join((ZONES, HTTPS)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)

    def test_datagrams_of_what_was_asked_while_the_box_was_open(self) -> None:
        self.boot(ZONES, HTTPS)
        self.camfw("open")
        # Without a rule that requires it, the kernel tracks no connections.
        tracks = ["-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW"]
        self.router.run([multi(self.backend), "iptables", *tracks], check=True)
        with self.stream() as viewer:
            self.camfw("apply", "--replace")
            self.assert_comes(viewer, comes=False)
            self.camfw("status")

    def test_datagrams_of_what_a_trial_offered(self) -> None:
        self.boot(ZONES, HTTPS)
        self.program.configure("\n".join((ZONES, HTTPS, allow("private", "router", "{ udp = [5000] }"))))
        self.camfw("apply", "--confirm", "60")
        with self.stream() as viewer:
            self.program.configure("\n".join((ZONES, HTTPS)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)

    def test_a_line_says_where_the_router_may_send_from_such_a_port(self) -> None:
        # A VPN peer that was the server before, and is the client now.
        listed = '[router]\negress = "listed"\n'
        self.boot(ZONES, HTTPS, allow("private", "router", "{ udp = [5000] }"), listed)
        with self.stream() as viewer:
            self.program.configure("\n".join((ZONES, HTTPS, listed)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=False)
            to = f"{{ udp = [{viewer.getsockname()[1]}] }}"
            self.program.configure("\n".join((ZONES, HTTPS, allow("router", "private", to), listed)))
            self.camfw("apply")
            self.assert_comes(viewer, comes=True)

    def test_which_ports_were_offered_is_kept_or_told(self) -> None:
        self.boot(ZONES, HTTPS)
        self.program.configure("\n".join((ZONES, HTTPS, allow("private", "router", "{ udp = [5000] }"))))
        (self.program.run_folder / "camfw/udp-once-offered.json").write_text("[")
        self.assertIn("cannot tell which UDP ports", self.camfw("apply", expect=1).said)
        self.assertIn("nothing had to change", self.camfw("apply").said)

    def test_the_router_opens_what_it_likes(self) -> None:
        # The control of the rule that ends connections.
        self.boot(ZONES, HTTPS, allow("camera", "router", "{ udp = [5000] }"))
        with Listener(self.internet, tcp=[80], udp=[5000]) as internet:
            self.assertTrue(probes.tcp(self.router, example.INTERNET.address, 80))
            self.assertTrue(probes.udp(self.router, example.INTERNET.address, 5000, internet.received))

    def test_what_conntrack_takes_for_part_of_a_connection_is_kept(self) -> None:
        settings = {f"net.netfilter.nf_conntrack_tcp_{name}": "0" for name in ("be_liberal", "ignore_invalid_rst")}
        for setting in settings:
            self.router.write_sysctl(setting, "1")
        self.boot(ZONES, HTTPS)
        for setting, value in settings.items():
            self.assertEqual(self.router.read_sysctl(setting), value)
            self.router.write_sysctl(setting, "1")
            self.assertIn(f"sysctl {setting} is 1, not 0", self.camfw("status", expect=1).said)
            self.camfw("apply")
            self.assertEqual(self.router.read_sysctl(setting), value)

    def test_connections_are_not_picked_up_in_the_middle(self) -> None:
        self.router.write_sysctl(LOOSE, "1")
        self.boot(ZONES, HTTPS)
        self.assertEqual(self.router.read_sysctl(LOOSE), "0")
        self.camfw("status")
        self.router.write_sysctl(LOOSE, "1")
        self.assertIn(f"sysctl {LOOSE} is 1, not 0", self.camfw("status", expect=1).said)
        self.camfw("apply")
        self.assertEqual(self.router.read_sysctl(LOOSE), "0")
