"""Allow lines restricted to certain addresses, at either end."""

from __future__ import annotations

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

OTHER_LAPTOP = "192.168.5.70"
CAMERAS = (example.CAMERA.address, "192.168.8.200", "192.168.8.20")


@both_backends
class Sources(RouterTest):
    """The laptop and the camera have several addresses each."""

    def setUp(self) -> None:
        super().setUp()
        self.laptop.ip("address", "add", f"{OTHER_LAPTOP}/24", "dev", "eth0")
        for address in CAMERAS[1:]:
            self.camera.ip("address", "add", f"{address}/24", "dev", "eth0")
        for namespace in (self.router, self.camera):
            listener = Listener(namespace, tcp=[22, 80])
            self.addCleanup(listener.stop)

    def connects(self, source: str, target: str, port: int, expected: bool) -> bool:
        """Whether a connection succeeds; waits longer if that is expected."""
        with self.laptop.socket() as connection:
            connection.settimeout(probes.PATIENCE if expected else 0.5)
            connection.bind((source, 0))
            return connection.connect_ex((target, port)) == 0

    def test_who_is_not_a_source_is_stopped(self) -> None:
        router = example.LAPTOP.router
        for source, expected in (
            (f'source = "{OTHER_LAPTOP}"', [False, True]),
            ('source = "192.168.5.64/26"', [False, True]),
            (f'source = ["192.168.5.64/26", "{example.LAPTOP.address}"]', [True, True]),
            ("", [True, True]),
            ('source = "192.168.5.99"', [False, False]),
        ):
            with self.subTest(source):
                self.boot(ZONES, allow("private", "router", "ssh", source))
                own = (example.LAPTOP.address, OTHER_LAPTOP)
                found = [self.connects(it, router, 22, passes) for it, passes in zip(own, expected, strict=True)]
                self.assertEqual(found, expected)

    def test_what_is_not_a_destination_is_not_reached(self) -> None:
        for address, expected in (
            ('address = "192.168.8.200"', [False, True, False]),
            ('address = ["192.168.8.110", "192.168.8.128/25"]', [True, True, False]),
            ("", [True, True, True]),
        ):
            with self.subTest(address):
                self.boot(ZONES, allow("private", "camera", "http", address))
                found = [self.connects(example.LAPTOP.address, camera, 80, passes)
                         for camera, passes in zip(CAMERAS, expected, strict=True)]
                self.assertEqual(found, expected)

    def test_both_ends_at_once(self) -> None:
        self.boot(ZONES, allow(
            "private", "camera", "http", f'source = "{OTHER_LAPTOP}"', f'address = "{CAMERAS[1]}"'))
        for source in (example.LAPTOP.address, OTHER_LAPTOP):
            for target in CAMERAS:
                with self.subTest(source=source, target=target):
                    expected = (source, target) == (OTHER_LAPTOP, CAMERAS[1])
                    self.assertEqual(self.connects(source, target, 80, expected), expected)

    def test_a_source_is_no_way_in_from_another_zone(self) -> None:
        # "any", from the laptop's address: the camera cannot have it.
        self.boot(ZONES, allow("any", "router", "ssh", f'source = "{example.LAPTOP.address}"'))
        self.assertTrue(self.connects(example.LAPTOP.address, example.LAPTOP.router, 22, True))
        self.assertFalse(probes.tcp(self.camera, example.CAMERA.router, 22, wait=0.4))

    def test_many_destinations(self) -> None:
        # Too many for a linear search: the rules form a tree.
        listed = [f"192.168.8.{number}" for number in (3, 19, 20, 67, 110, 131, 140, 201, 250)]
        self.boot(ZONES, allow("private", "camera", "http", f"address = {listed!r}".replace("'", '"')))
        found = [self.connects(example.LAPTOP.address, camera, 80, camera in listed) for camera in CAMERAS]
        self.assertEqual(found, [camera in listed for camera in CAMERAS])
        self.assertEqual(found, [True, False, True])
