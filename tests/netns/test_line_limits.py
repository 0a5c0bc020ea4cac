"""Limits of an allow line: open connections, and attempts in a period."""

from __future__ import annotations

import contextlib
import socket
import time

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, ZONES, allow

ROUTER = example.LAPTOP.router
ANOTHER = "192.168.5.11"


@both_backends
class LineLimits(RouterTest):
    """The laptop has two addresses; the router listens on ports 22, 80 and 443."""

    def setUp(self) -> None:
        super().setUp()
        self.laptop.ip("address", "add", f"{ANOTHER}/24", "dev", "eth0")
        self.listener = Listener(self.router, tcp=[22, 80, 443])
        self.addCleanup(self.listener.stop)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def opened(self, port: int, source: str = example.LAPTOP.address, target: str = ROUTER) -> socket.socket | None:
        """A connection that is answered, or None. It stays open until the end of the
        test."""
        connection = self.stack.enter_context(self.laptop.socket())
        # Less than a second, after which a retransmitted SYN would count as another
        # attempt.
        connection.settimeout(0.9)
        connection.bind((source, 0))
        if connection.connect_ex((target, port)) != 0:
            connection.close()
            return None
        return connection

    def reaches(self, port: int, source: str = example.LAPTOP.address, target: str = ROUTER) -> bool:
        return self.opened(port, source, target) is not None

    def test_so_many_connections_may_be_open_over_all_ports_of_the_line(self) -> None:
        line = allow("private", "router", '["http", "https"]', "connections = 10")
        self.boot(ZONES, line, allow("private", "router", "ssh"))
        opened = [self.opened(80 if number % 2 else 443) for number in range(10)]
        self.assertNotIn(None, opened)
        self.assertFalse(self.reaches(80), "the eleventh")
        self.assertFalse(self.reaches(443), "nor by the other port")
        self.assertTrue(self.reaches(80, ANOTHER), "another source has a count of its own")
        self.assertTrue(self.reaches(22), "another line has none")
        first = opened[0]
        assert first is not None
        first.sendall(b"still open")
        self.assertEqual(first.recv(100), b"still open")
        first.close()
        self.assertTrue(probes.wait_until(lambda: self.reaches(80)), "one was closed")
        self.assertFalse(self.reaches(80))

    def test_connections_are_counted_over_all_destinations_of_the_line(self) -> None:
        other = "192.168.8.111"
        self.camera.ip("address", "add", f"{other}/24", "dev", "eth0")
        addresses = f'address = ["{example.CAMERA.address}", "{other}"]'
        with Listener(self.camera, tcp=[80]):
            self.boot(ZONES, allow("private", "camera", "http", addresses, "connections = 2"))
            self.assertTrue(self.reaches(80, target=example.CAMERA.address))
            self.assertTrue(self.reaches(80, target=other))
            self.assertFalse(self.reaches(80, target=example.CAMERA.address))
            self.assertFalse(self.reaches(80, target=other))

    def test_who_tries_too_often_is_turned_away(self) -> None:
        line = allow("any", "router", "ssh", 'block-after = { attempts = 3, within = "1 hour" }')
        self.boot(ZONES, PING, line, allow("private", "router", "https"))
        opened = [self.opened(22) for _ in range(3)]
        self.assertNotIn(None, opened)
        for _ in range(2):
            self.assertFalse(self.reaches(22))
        self.assertTrue(self.reaches(22, ANOTHER), "another source")
        self.assertTrue(probes.tcp(self.camera, example.CAMERA.router, 22), "another zone")
        self.assertTrue(self.reaches(443), "another line")
        self.assertTrue(probes.ping(self.laptop, ROUTER))
        for connection in opened:
            assert connection is not None
            connection.sendall(b"goes on")
            self.assertEqual(connection.recv(100), b"goes on")
        self.assertEqual(self.listener.accepted[22], 5)

    def test_who_waits_may_try_again(self) -> None:
        line = allow("private", "router", "ssh", 'block-after = { attempts = 2, within = "6 seconds" }')
        self.boot(ZONES, line)
        self.assertTrue(self.reaches(22))
        self.assertTrue(self.reaches(22))
        self.assertFalse(self.reaches(22))
        time.sleep(7.5)
        self.assertTrue(self.reaches(22))

    def test_who_was_turned_away_stays_so_over_a_reload(self) -> None:
        line = allow("private", "router", "ssh", 'block-after = { attempts = 1, within = "1 hour" }')
        self.boot(ZONES, PING, line)
        self.assertTrue(self.reaches(22))
        self.assertFalse(self.reaches(22))
        above = allow("private", "camera", "http")
        masquerade = allow("private", "external", "http") + '\n[[masquerade]]\nfrom = "private"\nto = "external"'
        for parts in (
            ("# Every line moves, in raw too.", ZONES, PING, line),
            (ZONES, above, PING, line),
            (ZONES, above, PING, line, masquerade),
        ):
            self.program.configure("\n".join(parts))
            self.camfw("apply")
            self.assertFalse(self.reaches(22), parts)
        self.assertTrue(self.reaches(22, ANOTHER), "the control: it is the list that turns it away")
        self.program.configure("\n".join((ZONES, PING, line.replace("ssh", "https"))))
        self.camfw("apply")
        self.assertTrue(self.reaches(443), "another line has a list of its own")

    def test_who_is_turned_away_by_one_line_may_come_by_another(self) -> None:
        blocking = allow("private", "router", "ssh", 'block-after = { attempts = 1, within = "1 hour" }')
        source = allow("private", "router", "ssh", f'source = "{ANOTHER}"')
        self.boot(ZONES, blocking, source)
        for name, expected in ((example.LAPTOP.address, False), (ANOTHER, True)):
            self.assertTrue(self.reaches(22, name))
            self.assertEqual(self.reaches(22, name), expected)

    def test_all_limits_of_a_line_at_once(self) -> None:
        line = allow(
            "private", "router", '["http", "https"]', 'limit = "1/day"', "connections = 5",
            'block-after = { attempts = 19, within = "30 days" }',
        )
        self.boot(ZONES, line)
        self.assertTrue(self.reaches(80), "a day's one")
        self.assertFalse(self.reaches(443))
        self.assertTrue(self.reaches(443, ANOTHER))

    def test_counts_go_on_over_an_apply_that_changes_another_line(self) -> None:
        line = allow("private", "router", "ssh", 'block-after = { attempts = 1, within = "1 hour" }')
        self.boot(ZONES, line)
        self.assertTrue(self.reaches(22))
        self.assertFalse(self.reaches(22))
        self.program.configure("\n".join((ZONES, line, allow("private", "router", "http"))))
        self.camfw("apply")
        self.assertTrue(self.reaches(80), "the new line holds")
        self.assertFalse(self.reaches(22))

    def counted_as_one(self, limit: str) -> None:
        """Checks that a stream that nobody answers is one connection for a line's limit,
        and that others are counted."""
        self.boot(ZONES, allow("private", "router", "{ udp = [5000] }", limit))
        with self.router.socket(kind=socket.SOCK_DGRAM) as recorder, \
                self.laptop.socket(kind=socket.SOCK_DGRAM) as stream:
            recorder.settimeout(probes.PATIENCE)
            recorder.bind((ROUTER, 5000))
            stream.bind((example.LAPTOP.address, 9000))
            for number in range(20):
                stream.sendto(b"a picture", (ROUTER, 5000))
                self.assertEqual(recorder.recv(100), b"a picture", f"packet {number}")
            # The control: other connections of the same source are refused.
            for port in range(10_000, 10_020):
                with self.laptop.socket(kind=socket.SOCK_DGRAM) as another:
                    another.bind((example.LAPTOP.address, port))
                    another.sendto(b"another", (ROUTER, 5000))
            stream.sendto(b"the last", (ROUTER, 5000))
            heard: list[bytes] = []
            while b"the last" not in heard:
                heard.append(recorder.recv(100))
            self.assertLess(len(heard), 10)

    def test_a_stream_that_nobody_answers_is_one_of_a_rate(self) -> None:
        self.counted_as_one('limit = "1/day"')

    def test_a_stream_that_nobody_answers_is_one_that_is_open(self) -> None:
        self.counted_as_one("connections = 2")

    def test_a_stream_that_nobody_answers_is_one_attempt(self) -> None:
        self.counted_as_one('block-after = { attempts = 2, within = "1 hour" }')
