"""Host names: looked up by apply and refresh but never by boot; a failed lookup keeps
the last answer."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

from lab import example, probes
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends

FIRST, SECOND = "192.168.0.31", "192.168.0.32"
NAME = "mail.example.org"


@both_backends
class Names(RouterTest):
    """A name server and two mail servers on the external network."""

    def setUp(self) -> None:
        super().setUp()
        for address in (FIRST, SECOND):
            # Accept ARP replies for it from the wire as well.
            self.internet.ip("address", "add", f"{address}/32", "dev", "lo")
        self.enterContext(Listener(self.internet, tcp=[25]))
        self.program.resolv.write_text(f"nameserver {example.INTERNET.address}\noptions timeout:5 attempts:1\n")
        self.program.configure(
            self.program.config.read_text()
            + f'\n[[allow]]\nfrom = "private"\nto = "external"\nservice = "smtp"\nhost = "{NAME}"\n'
        )
        self.server = None
        self.addCleanup(self.stop)

    def serve(self, address: str | None) -> None:
        """Answers queries with this address, or not at all."""
        self.stop()
        if address is None:
            return
        self.server = self.internet.start([
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces",
            f"--listen-address={example.INTERNET.address}", "--conf-file=/dev/null", "--pid-file=",
            f"--address=/{NAME}/{address}", "--local-ttl=0",
        ])
        self.assertTrue(probes.wait_until(self.asked), "the name server is there")

    def stop(self) -> None:
        """Stops answering queries."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def asked(self) -> bool:
        done = self.internet.run(["ss", "-Hlun", f"src {example.INTERNET.address}:53"])
        return bool(done.stdout.strip())

    def add(self, *lines: str) -> None:
        self.program.configure("\n".join((self.program.config.read_text(), *lines, "")))

    @contextlib.contextmanager
    def stream(self, source: Namespace, address: str) -> Iterator[socket.socket]:
        """A connection that stays open."""
        with source.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(probes.PATIENCE)
            connection.connect((address, 25))
            yield connection

    def goes_on(self, stream: socket.socket, wait: float = probes.PATIENCE) -> bool:
        """Whether sent data is echoed."""
        stream.settimeout(wait)
        try:
            stream.sendall(b"picture")
            return stream.recv(100) == b"picture"
        except OSError:
            return False

    def former(self) -> list[dict[str, object]]:
        """The former addresses of the name, as reported by status."""
        (name,) = json.loads(self.camfw("status", "--json").stdout)["names"]
        self.assertEqual(name["name"], NAME)
        return name["former"]

    def reaches(self, address: str, wait: float = probes.PATIENCE) -> bool:
        return bool(probes.tcp(self.laptop, address, 25, wait))

    def test_apply_and_refresh_look_up_and_boot_does_not(self) -> None:
        self.add('[names]\nkeep = "0 seconds"')
        self.serve(FIRST)
        self.camfw("boot")
        self.assertFalse(self.reaches(FIRST, 0.5), "boot asks nobody")
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))
        self.assertFalse(self.reaches(SECOND, 0.5))
        self.serve(SECOND)
        self.assertTrue(self.reaches(FIRST), "until it is asked again")
        self.camfw("refresh")
        self.assertFalse(self.reaches(FIRST, 0.5))
        self.assertTrue(self.reaches(SECOND))
        self.camfw("status")
        # A boot uses the stored answers.
        self.serve(None)
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        self.assertTrue(self.reaches(SECOND))

    def test_answers_that_are_not_kept_are_exit_1(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        run, disk = self.program.run_folder / "camfw/hosts", self.program.var / "camfw/hosts"
        told = "cannot keep what names resolved to"
        for place in (run, disk):
            place.unlink()
            place.mkdir()
            for command in ("apply", "refresh"):
                result = self.camfw(command, expect=1)
                self.assertIn(told, result.stderr)
                self.assertIn("Applied: ", result.stderr)
            place.rmdir()
            self.camfw("apply")
        self.add("[router]", "keep = false")
        disk.unlink()
        disk.mkdir()
        self.assertNotIn(told, self.camfw("apply").stderr)

    def test_a_lookup_that_fails_keeps_the_last_answer(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))
        self.serve(None)
        result = self.camfw("refresh", expect=1)
        self.assertIn(f"{NAME} did not resolve", result.said)
        self.assertIn("its last addresses are used", result.said)
        self.assertTrue(self.reaches(FIRST))
        self.camfw("apply")
        self.assertTrue(self.reaches(FIRST))

    def test_a_name_that_never_resolved_opens_nothing(self) -> None:
        self.serve(None)
        result = self.camfw("apply")
        # On the line of the result, and not in the log alone.
        self.assertRegex(result.said, rf"Applied: .*; {NAME} did not resolve: .*; nothing is allowed by it; camfw refresh asks again")
        told = json.loads(self.camfw("apply", "--json").stdout)
        self.assertIn(f"{NAME} did not resolve", " ".join(told["unresolved"]))
        self.assertEqual((told["undone"], told["exit_code"]), ([], 0))
        self.assertFalse(self.reaches(FIRST, 0.5))
        self.assertIn("did not resolve yet; camfw apply looks names up, and camfw refresh again", self.camfw("check").stderr)
        self.assertIn(f"{NAME} did not resolve yet; camfw refresh asks again, and says why", self.camfw("status").said)
        # The rest of the file is in force.
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))

    def test_refresh_opens_no_closed_box(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.camfw("seal")
        result = self.camfw("refresh", expect=1)
        self.assertIn("no policy is in force", result.said)
        self.assert_sealed()

    def test_an_open_stream_goes_on_when_the_address_rotates(self) -> None:
        # From the camera, to which the guarantee of its role allows this.
        self.add('[[allow]]', 'from = "camera"', 'to = "external"', 'service = "smtp"', f'host = "{NAME}"',
                 '[[exceptions]]', 'from = "camera"', 'to = "external"', 'service = "smtp"',
                 '[names]', 'keep = "1 second"')
        self.serve(FIRST)
        self.camfw("apply")
        with self.stream(self.camera, FIRST) as stream, self.stream(self.laptop, FIRST) as other:
            self.assertTrue(self.goes_on(stream) and self.goes_on(other))
            self.serve(SECOND)
            self.camfw("refresh")
            self.assertTrue(self.goes_on(stream) and self.goes_on(other), "what is open goes on")
            for address in (SECOND, FIRST):
                self.assertTrue(self.reaches(address), "connections may be opened to both")
            (former,) = self.former()
            self.assertEqual(former["address"], FIRST)
            self.assertIsInstance(former["until"], int)
            self.assertGreaterEqual(former["open_connections"], 2)
            self.camfw("prove", "--live")
            # Its grace period ends with the first refresh after the deadline.
            time.sleep(1.1)
            self.camfw("refresh")
            self.assertFalse(self.reaches(FIRST, 0.5), "no connection may be opened to it any more")
            self.assertTrue(self.reaches(SECOND))
            self.assertTrue(self.goes_on(stream) and self.goes_on(other), "what is open still goes on")
            (former,) = self.former()
            self.assertIsNone(former["until"])
            status = self.camfw("status", "--all").stdout
            self.assertIn(f"{NAME} {SECOND}; 1 former", status)
            self.assertIn(f"{FIRST}: open connections alone, ", status)
            # They continue because of the line, not just because they are established.
            text = self.program.config.read_text()
            line = f'[[allow]]\nfrom = "private"\nto = "external"\nservice = "smtp"\nhost = "{NAME}"\n'
            self.assertIn(line, text)
            self.program.configure(text.replace(line, ""))
            self.camfw("apply")
            self.assertFalse(self.goes_on(other, 0.9), "the line is gone")
            self.assertTrue(self.goes_on(stream), "control: the camera's line is not")

    def test_former_addresses_are_kept_over_a_boot(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.serve(SECOND)
        self.camfw("refresh")
        self.serve(None)
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        for address in (FIRST, SECOND):
            self.assertTrue(self.reaches(address))
        (former,) = self.former()
        self.assertGreater(former["seconds_left"], 3000)

    def test_a_boot_ends_a_time_that_is_over(self) -> None:
        self.add('[names]\nkeep = "1 second"')
        self.serve(FIRST)
        self.camfw("apply")
        self.serve(SECOND)
        self.camfw("refresh")
        self.assertTrue(self.reaches(FIRST))
        time.sleep(1.1)
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        self.assertFalse(self.reaches(FIRST, 0.5))
        self.assertTrue(self.reaches(SECOND))

    def test_watch_ends_a_time_that_is_over(self) -> None:
        self.add('[names]\nkeep = "3 seconds"', '[watch]\ninterval = 1')
        self.serve(FIRST)
        self.camfw("apply")
        with self.stream(self.laptop, FIRST) as stream:
            self.serve(SECOND)
            self.camfw("refresh")
            with self.program.watching():
                self.assertTrue(probes.wait_until(lambda: not self.reaches(FIRST, 0.5)))
                self.assertTrue(self.goes_on(stream))
                self.assertTrue(self.reaches(SECOND))
                self.camfw("status")

    def test_an_answer_that_is_too_large_is_not_taken(self) -> None:
        self.serve(FIRST)
        self.camfw("apply")
        self.stop()
        many = [f"--host-record={NAME},198.51.100.{last}" for last in range(1, 70)]
        self.server = self.internet.start([
            "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces",
            f"--listen-address={example.INTERNET.address}", "--conf-file=/dev/null", "--pid-file=", *many,
        ])
        self.assertTrue(probes.wait_until(self.asked), "the name server is there")
        result = self.camfw("refresh", expect=1)
        self.assertIn("it has 69 addresses, over the limit of 64; its last addresses are used", result.said)
        self.assertTrue(self.reaches(FIRST))

    def test_a_refused_attempt_of_the_routers_is_logged_with_the_name_that_it_asked_for(self) -> None:
        self.add('[router]\negress = "listed"')
        self.serve(FIRST)
        self.add('[[allow]]', 'from = "router"', 'to = "external"', 'service = "dns"',
                 f'address = "{example.INTERNET.address}"')
        self.camfw("boot")
        self.camfw("apply")
        said = ""

        def logged(to: str) -> str:
            """The line of the log about this destination."""
            nonlocal said
            probes.tcp(self.router, to, 443, 0.2)
            said += self.program.logged() + "\n"
            found = [line for line in said.splitlines() if "refused: the router" in line and f" to {to} " in line]
            return found[0].partition("refused: ")[2] if found else ""

        with self.program.watching():
            for to, named in ((FIRST, f" ({NAME})"), (SECOND, "")):
                self.assertTrue(probes.wait_until(lambda to=to: logged(to) != ""), f"{to}: {said}")  # type: ignore[misc]
                self.assertEqual(logged(to), f"the router ({example.INTERNET.router}) to {to}{named} https: not allowed")
            # And in the record.
            self.assertTrue(probes.wait_until(lambda: f"{FIRST} ({NAME}) https" in self.program.run("blocked").stdout))
