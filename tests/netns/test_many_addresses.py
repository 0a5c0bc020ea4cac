"""A line with many sources and many addresses: each source reaches each address, and no
other host reaches any."""

from __future__ import annotations

import json

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

LISTED = "192.168.8.121"
ANOTHER = "192.168.8.122"


@both_backends
class ManyAddresses(RouterTest):
    """The camera has three addresses, one of which no line names; the laptop has two."""

    def test_each_listed_source_reaches_each_listed_address(self) -> None:
        strange = "192.168.5.251"
        self.laptop.ip("address", "add", f"{strange}/24", "dev", "eth0")
        for address in (LISTED, ANOTHER):
            self.camera.ip("address", "add", f"{address}/24", "dev", "eth0")
        sources = [example.LAPTOP.address, *(f"192.168.5.{number}" for number in range(2, 250, 3))]
        addresses = [example.CAMERA.address, LISTED, *(f"192.168.8.{number}" for number in range(130, 250))]
        lines = [f"{key} = {json.dumps(listed)}" for key, listed in (("source", sources), ("address", addresses))]
        with Listener(self.camera, tcp=[80]):
            self.boot(ZONES, allow("private", "camera", "http", *lines))
            for target in (example.CAMERA.address, LISTED):
                self.assertTrue(self.reaches(target, wait=probes.PATIENCE), target)
                self.assertFalse(self.reaches(target, strange), target)
            self.assertFalse(self.reaches(ANOTHER))

    def reaches(self, target: str, source: str = example.LAPTOP.address, wait: float = 0.9) -> bool:
        with self.laptop.socket() as connection:
            connection.settimeout(wait)
            connection.bind((source, 0))
            return connection.connect_ex((target, 80)) == 0
