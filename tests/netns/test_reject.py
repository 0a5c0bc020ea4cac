"""What no line allows: people in the house get an answer, and nothing gets through by it."""

from __future__ import annotations

import json
import socket
import time

from lab import example, probes, traffic
from lab.capture import Capture
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PRIVATE, allow
from netns.test_ipv6_same import CAMERA as CAMERA6
from netns.test_ipv6_same import ROUTER as ROUTER6
from netns.test_ipv6_same import zones as zones_of_both_families

ALLOWED = allow("private", "router", "ssh") + allow("private", "camera", "{ tcp = [80], udp = [5004] }")
REFUSED = "Connection refused"
# What one source is answered in a second, and at once.
RATE, AT_ONCE = 20, 5


@both_backends
class Reject(RouterTest):
    """Everybody listens on ports that no line allows."""

    def setUp(self) -> None:
        super().setUp()
        self.listening = {
            name: Listener(namespace, (22, 23, 80), (5004, 5005))
            for name, namespace in (("router", self.router), ("camera", self.camera), ("laptop", self.laptop),
                                    ("internet", self.internet))
        }
        for listener in self.listening.values():
            self.addCleanup(listener.stop)

    def refused(self) -> int:
        """What status counts as not allowed and answered."""
        drops = json.loads(self.camfw("status", "--json").stdout)["accounting"]["drops"]
        return sum(drop["packets"] for drop in drops if (drop["reason"], drop["chain"]) == ("not allowed", "answered"))

    def test_people_get_an_answer_at_once_and_nothing_gets_through(self) -> None:
        self.boot(EXTERNAL, CAMERA, PRIVATE, ALLOWED)
        self.assertTrue(probes.tcp(self.laptop, example.CAMERA.address, 80), "control: what is allowed passes")
        for target in (example.LAPTOP.router, example.CAMERA.address, example.INTERNET.address):
            with self.subTest(target):
                self.assertEqual(probes.tcp(self.laptop, target, 23).detail, REFUSED)
        with Capture(self.laptop, "icmp[0] == 3 and icmp[1] == 13") as answers:
            self.assertFalse(probes.udp(self.laptop, example.CAMERA.address, 5005))
            self.assertGreater(answers.count(expected=1), 0, "prohibited by an administrator")
        for name, listener in self.listening.items():
            self.assertEqual(listener.accepted[23], 0, name)
        self.assertGreater(self.refused(), 0)
        self.camfw("prove", "--live")

    def test_cameras_and_strangers_get_none(self) -> None:
        self.boot(EXTERNAL, CAMERA, PRIVATE, ALLOWED)
        self.assertEqual(probes.tcp(self.laptop, example.LAPTOP.router, 23).detail, REFUSED, "control")
        for host, routers in ((self.camera, example.CAMERA.router), (self.internet, example.INTERNET.router)):
            with Capture(host, "tcp[tcpflags] & tcp-rst != 0 or icmp[0] == 3") as answers:
                for target in (routers, example.LAPTOP.address):
                    self.assertEqual(probes.tcp(host, target, 23, wait=1).detail, "no answer")
                self.assertEqual(answers.count(), 0)

    def test_a_zone_says_otherwise(self) -> None:
        self.boot(EXTERNAL, CAMERA + 'on-deny = "reject"\n', PRIVATE + 'on-deny = "drop"\n', ALLOWED)
        self.assertEqual(probes.tcp(self.camera, example.CAMERA.router, 23).detail, REFUSED)
        self.assertEqual(probes.tcp(self.camera, example.LAPTOP.address, 23).detail, REFUSED)
        self.assertEqual(probes.tcp(self.laptop, example.LAPTOP.router, 23, wait=1).detail, "no answer")

    def test_answers_have_a_rate(self) -> None:
        self.boot(EXTERNAL, CAMERA, PRIVATE, ALLOWED)
        with Capture(self.laptop, "tcp[tcpflags] & tcp-rst != 0") as answers:
            begin = time.monotonic()
            traffic.send(self.laptop, example.LAPTOP.router, port=23, count=200)
            found = answers.count(expected=1)
            self.assertLessEqual(answers.count(), AT_ONCE + RATE * (time.monotonic() - begin + 1))
        self.assertGreater(found, 0)
        with Capture(self.internet, "tcp") as sent_on:
            self.assertEqual(probes.tcp(self.laptop, example.INTERNET.address, 23).detail, REFUSED)
            self.assertEqual(sent_on.count(), 0)

    def test_ipv6_is_answered_too(self) -> None:
        self.boot(zones_of_both_families(), ALLOWED, allow("private", "router", "{ tcp = [8080] }"))
        with Listener(self.router, (8080,), (), socket.AF_INET6):
            self.assertTrue(probes.tcp(self.laptop, ROUTER6["laptop"], 8080), "control")
        self.assertEqual(probes.tcp(self.laptop, ROUTER6["laptop"], 23).detail, REFUSED)
        self.assertEqual(probes.tcp(self.laptop, CAMERA6, 23).detail, REFUSED)
        with Capture(self.laptop, "icmp6 and ip6[40] == 1 and ip6[41] == 1") as answers:
            self.assertFalse(probes.udp(self.laptop, CAMERA6, 5005))
            self.assertGreater(answers.count(expected=1), 0, "prohibited by an administrator")
