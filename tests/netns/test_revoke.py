"""Connections that a new policy forbids end at once; all others continue."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from lab import example
from lab.namespace import Namespace
from lab.probes import PATIENCE, echoes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import tools, wrap

TO_CAMERA = 'from    = "private"\nto      = "camera"\nservice = "http"'
TO_EXTERNAL = 'from    = "private"\nto      = "external"\nservice = "http"'
MASQUERADE = 'from    = "camera"\nto      = "external"\nenabled = false'
FORWARD = '''
[[allow]]
from = "external"
to = "camera"
address = "192.168.8.110"
service = "http"

[[forwards]]
from = "external"
tcp = 8080
to = "camera"
address = "192.168.8.110"
to-port = 80
'''


@both_backends
class Revoke(RouterTest):
    """Real connections through the box, and the connection table as another program
    prints it."""

    def entries(self, *words: str) -> list[str]:
        listed = self.router.run(["conntrack", "-L"]).stdout.splitlines()
        # Without the remaining seconds.
        listed = [re.sub(r"^(\S+\s+\d+) \d+", r"\1", line) for line in listed]
        return [line for line in listed if all(word in line for word in words)]

    @contextlib.contextmanager
    def flow(self, source: Namespace, target: str, port: int, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
        with source.socket(kind=kind) as flow:
            flow.settimeout(PATIENCE)
            flow.connect((target, port))
            self.assertTrue(echoes(flow), f"control: {target}:{port} answers")
            yield flow

    def test_only_what_is_forbidden_ends(self) -> None:
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), Listener(self.internet, tcp=[80]), Listener(self.router, tcp=[22]), \
                self.flow(self.laptop, example.CAMERA.address, 80) as camera, \
                self.flow(self.laptop, example.INTERNET.address, 80) as internet, \
                self.flow(self.laptop, example.LAPTOP.router, 22) as router:
            # Nothing ends while everything is allowed.
            self.change_config('rate = "10/minute"', 'rate = "20/minute"')
            self.assertNotIn("ended", self.camfw("apply").log)
            for flow in (camera, internet, router):
                self.assertTrue(echoes(flow))
            self.change_config(TO_CAMERA, TO_CAMERA.replace('"http"', '"https"'))
            self.assertIn("ended 1 connection", self.camfw("apply").log)
            self.assertEqual(self.entries("dport=80", f"dst={example.CAMERA.address}"), [])
            self.assertFalse(echoes(camera, 1), "it is not picked up again")
            self.assertTrue(echoes(internet))
            self.assertTrue(echoes(router))
            self.change_config('service = "ssh"', 'service = "https"')
            self.camfw("apply")
            self.assertFalse(echoes(router, 1), "to the router")
            self.assertTrue(echoes(internet))

    def test_datagrams_end_too(self) -> None:
        self.change_config(TO_CAMERA, TO_CAMERA.replace('"http"', "{ udp = [5000], tcp = [80] }"))
        self.camfw("boot")
        with Listener(self.camera, udp=[5000]), \
                self.flow(self.laptop, example.CAMERA.address, 5000, socket.SOCK_DGRAM) as flow:
            self.change_config("{ udp = [5000], tcp = [80] }", "{ udp = [5001], tcp = [80] }")
            self.camfw("apply")
            self.assertFalse(echoes(flow, 1))
            self.assertEqual(self.entries("udp", "dport=5000"), [])

    def test_what_the_router_opened_ends(self) -> None:
        self.camfw("boot")
        with Listener(self.internet, tcp=[80]), \
                self.flow(self.router, example.INTERNET.address, 80) as flow:
            text = self.program.config.read_text() + '\n[router]\negress = "listed"\n'
            self.program.configure(text)
            self.camfw("apply")
            self.assertFalse(echoes(flow, 1))

    def test_a_masqueraded_flow_goes_on_and_ends_with_its_line(self) -> None:
        self.change_config(MASQUERADE, 'from = "private"\nto = "external"')
        self.camfw("boot")
        with Listener(self.internet, tcp=[80]), \
                self.flow(self.laptop, example.INTERNET.address, 80) as flow:
            self.assertEqual(len(self.entries("dport=80", f"dst={example.INTERNET.router}")), 1, "it is masqueraded")
            self.change_config('service = "ssh"', 'service = "https"')
            self.camfw("apply")
            self.assertTrue(echoes(flow))
            self.change_config(TO_EXTERNAL, TO_EXTERNAL.replace("http", "https"))
            self.camfw("apply")
            self.assertFalse(echoes(flow, 1))

    def test_a_flow_into_a_forward_ends_with_it(self) -> None:
        base = self.program.config.read_text()
        self.program.configure(base + FORWARD)
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), \
                self.flow(self.internet, example.INTERNET.router, 8080) as flow:
            self.program.configure(self.program.config.read_text().replace('rate = "10/minute"', 'rate = "20/minute"'))
            self.camfw("apply")
            self.assertTrue(echoes(flow))
            self.program.configure(base)
            self.assertIn("ended 1 connection", self.camfw("apply").log)
            self.assertFalse(echoes(flow, 1))

    def test_a_flow_into_a_forward_ends_where_it_leads_to_another_port(self) -> None:
        base = self.program.config.read_text()
        self.program.configure(base + FORWARD)
        self.camfw("boot")
        with Listener(self.camera, tcp=[80, 81]), \
                self.flow(self.internet, example.INTERNET.router, 8080) as flow:
            other = FORWARD.replace('"http"', "{ tcp = 81 }").replace("to-port = 80", "to-port = 81")
            self.program.configure(base + other)
            self.camfw("apply")
            self.assertFalse(echoes(flow, 1), "no line allows port 80")
            with self.flow(self.internet, example.INTERNET.router, 8080):
                pass

    def test_a_kill_before_the_look_is_made_up_for(self) -> None:
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), self.flow(self.laptop, example.CAMERA.address, 80) as flow:
            before = self.entries("dport=80")
            self.assertEqual(len(before), 1)
            self.change_config(TO_CAMERA, TO_CAMERA.replace('"http"', '"https"'))
            # Killed when the rules are loaded and it starts to check connections: at
            # the second run of iptables-save.
            path = tools(self.scratch / "killing", self.backend)
            wrap(path, "iptables-save", f'n={self.scratch}/n; echo >>$n\n'
                 '[[ $(wc -l <$n) -lt 2 ]] || kill -KILL $PPID\nreal "$@"', self.backend)
            result = self.program.run("apply", path=path)
            self.assertEqual(result.code, -9, str(result))
            self.assertEqual(self.entries("dport=80"), before, "control: it was killed before the look")
            self.camfw("status")
            self.camfw("apply")
            self.assertEqual(self.entries("dport=80"), [])
            self.assertFalse(echoes(flow, 1))
