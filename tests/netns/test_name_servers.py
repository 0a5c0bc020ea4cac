"""The servers that the file has the router's dnsmasq ask: each of them, and nobody else."""

from __future__ import annotations

from lab import example
from lab.dns import NO_ERROR, REFUSED, Answer, NameServer, ask
from lab.namespace import Namespace
from netns.case import both_backends
from netns.dns import DnsmasqTest
from netns.policies import ZONES, allow

SERVER, OTHER, ELSEWHERE = "203.0.113.53", "203.0.113.54", "203.0.113.55"
ADDRESS, OF_OTHER = "192.0.2.7", "192.0.2.8"
LINES = allow("private", "router", "dns") + allow("camera", "router", "dns")
ROUTER = allow("router", "external", "dns", f'address = "{SERVER}"')
LISTED = '[router]\negress = "listed"\n'


def names(*servers: str) -> str:
    """Whom the router asks."""
    return "[names]\nservers = [" + ", ".join(f'"{server}"' for server in servers) + "]\n"


@both_backends
class NameServers(DnsmasqTest):
    """Three servers outside; /etc/resolv.conf says the one that the file does not."""

    def setUp(self) -> None:
        super().setUp()
        self.servers: dict[str, NameServer] = {}
        for own, address in ((SERVER, ADDRESS), (OTHER, OF_OTHER), (ELSEWHERE, "192.0.2.9")):
            self.internet.ip("address", "add", f"{own}/32", "dev", "lo")
            self.servers[own] = NameServer(self.internet, own, address, self.scratch / f"{own}.log")
            self.addCleanup(self.servers[own].stop)
        self.resolv = self.scratch / "resolv.conf"
        self.resolv.write_text(f"nameserver {ELSEWHERE}\n")

    def serve(self) -> None:
        self.start_dnsmasq(f"--resolv-file={self.resolv}")

    def asked(self, name: str) -> set[str]:
        """The servers that were asked for a name."""
        return {own for own, server in self.servers.items() if name in server.asked()}

    def assert_told(self, source: Namespace, router: str, name: str, answer: Answer) -> None:
        self.assertEqual(ask(source, router, name), answer)

    def test_the_server_of_the_file_is_asked_and_no_other(self) -> None:
        for egress in ("", LISTED + ROUTER):
            with self.subTest(egress=egress):
                self.boot(ZONES, LINES, egress, names(SERVER))
                self.serve()
                name = f"maker{len(egress)}.example"
                self.assert_told(self.laptop, example.LAPTOP.router, name, Answer(NO_ERROR, ADDRESS))
                self.assertEqual(self.asked(name), {SERVER})
                # Whose names are not forwarded asks this one neither.
                self.assert_told(self.camera, example.CAMERA.router, "secret.example", Answer(REFUSED))
                self.assertEqual(self.asked("secret.example"), set())
                self.stop_dnsmasq()

    def test_without_it_is_whom_the_system_asks(self) -> None:
        self.boot(ZONES, LINES)
        self.serve()
        self.assert_told(self.laptop, example.LAPTOP.router, "maker.example", Answer(NO_ERROR, "192.0.2.9"))
        self.assertEqual(self.asked("maker.example"), {ELSEWHERE})

    def test_another_one_of_the_file_is_asked_where_one_is_dead(self) -> None:
        self.servers[SERVER].stop()
        self.boot(ZONES, LINES, names(SERVER, OTHER))
        self.serve()
        self.assert_told(self.laptop, example.LAPTOP.router, "maker.example", Answer(NO_ERROR, OF_OTHER))
        self.assertEqual(self.asked("maker.example") - {SERVER}, {OTHER})
