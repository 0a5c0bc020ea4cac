"""What stands around the appliance where a recipe of docs/recipes.md is carried out in it."""

from __future__ import annotations

import unittest

from qemu import test_boot as boot

from lab import dhcp
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from netns.recipes import HOUSE, INTERNET, PORCH, RECORDER, SERVER


def prepare(case: type[unittest.TestCase], internet: Namespace, laptop: Namespace) -> None:
    """The recorder in the house, and the provider with its server and a DHCP server, which ends with the class."""
    laptop.ip("address", "add", f"{RECORDER}/24", "dev", INTERFACE)
    # What the house opens to the camera is the recorder's.
    laptop.ip("route", "add", f"{PORCH.address}/32", "via", HOUSE.router, "src", RECORDER)
    internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
    server = dhcp.serve(internet, INTERNET.address, INTERNET.router, INTERNET.router, boot.scene.scratch / "leases")
    case.addClassCleanup(server.wait)
    case.addClassCleanup(server.kill)
