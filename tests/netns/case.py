"""Owns the base of every test case: a fresh lab, the program, and one backend."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import unittest
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, TypeVar

from lab import example, probes
from lab.hosts import Wiring
from lab.probes import Reach
from lab.router import Lab
from netns.program import BACKENDS, BINARY, Program, Result
from netns.tables import FAMILIES, Tables

Case = TypeVar("Case", bound=unittest.TestCase)


class RouterTest(unittest.TestCase):
    """A router namespace and three hosts, created for each test and deleted after it."""

    backend: ClassVar[str]
    wirings: ClassVar[tuple[Wiring, ...]] = example.WIRINGS

    def setUp(self) -> None:
        if not BINARY.is_file():
            self.fail(f"no program at {BINARY}: build it, or say where it is by CAMFW")
        self.scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
        self.addCleanup(shutil.rmtree, self.scratch)
        self.lab = Lab(self.wirings)
        self.addCleanup(self.lab.close)
        self.router = self.lab.router
        self.internet = self.lab.hosts["internet"].namespace
        self.camera = self.lab.hosts["camera"].namespace
        self.laptop = self.lab.hosts["laptop"].namespace
        self.program = Program(self.router, self.scratch, self.backend)
        self.addCleanup(self.program.close)
        self.tables = Tables(self.router, self.backend)

    # -- the program --

    def camfw(self, *arguments: str, expect: int = 0, **options: object) -> Result:
        """Runs the program (see Program.run) and checks that its exit code is `expect`.
        After a boot or an apply, what the hosts send gets onto the wire."""
        result = self.program.run(*arguments, **options)  # type: ignore[arg-type]
        self.assertEqual(result.code, expect, f"camfw {' '.join(arguments)}: {result}")
        if arguments[:1] in (("boot",), ("apply",)) and result.code == 0:
            self.lab.settle()
        return result

    def change_config(self, old: str, new: str) -> None:
        """Replaces a part of the configuration that must occur exactly once."""
        text = self.program.config.read_text()
        self.assertEqual(text.count(old), 1, f"{old!r} in the example")
        self.program.configure(text.replace(old, new))

    def boot(self, *parts: str) -> None:
        """Boots with a configuration built from these parts."""
        self.program.configure("\n".join(parts))
        self.camfw("boot")

    def open_router(self) -> None:
        """Makes the router accept any source and let everything through, as a control."""
        self.lab.configure_router()
        for interface in ("all", *(wiring.interface for wiring in self.wirings)):
            self.router.write_sysctl(f"net.ipv4.conf.{interface}.rp_filter", "0")

    # -- what must hold --

    def forwarding(self) -> str:
        """ip_forward, as text."""
        return self.router.read_sysctl("net.ipv4.ip_forward")

    def assert_closed_tables(self, *, loopback: bool = False) -> None:
        """Checks that every chain of both families has policy DROP and no rules; with
        `loopback`, none except those for the loopback."""
        for family in FAMILIES:
            for chain in ("INPUT", "FORWARD", "OUTPUT"):
                self.assertEqual(self.tables.policy(family, chain), "DROP", f"{family} {chain}")
            rules = [
                rule for rule in self.tables.rules(family)
                if not (loopback and re.match(r"-A (INPUT -i|OUTPUT -o) lo ", rule.rule))
            ]
            self.assertEqual(rules, [], f"{family}: rules in the filter table")

    def assert_sealed(self, *, loopback: bool = False) -> None:
        """Checks that the tables are closed, forwarding is off, and no packet arrives
        anywhere.

        `assert_open` shows that the same packets pass an open router.
        """
        self.assert_closed_tables(loopback=loopback)
        self.assertEqual(self.forwarding(), "0", "ip_forward")
        for name, reach in self.crossings(wait=0.5).items():
            self.assertFalse(reach, f"{name}: {reach.detail}")

    def assert_open(self) -> None:
        """Checks that every crossing gets through: the control of `assert_sealed`."""
        for name, reach in self.crossings(wait=probes.PATIENCE).items():
            self.assertTrue(reach, f"{name}: {reach.detail}")

    def crossings(self, wait: float) -> dict[str, Reach]:
        """Pings on every path: to the router from each side, and across it."""
        ways: dict[str, Future[Reach]] = {}
        with ThreadPoolExecutor(9) as pool:
            for source in self.lab.hosts.values():
                for target in ("router", *self.lab.hosts):
                    if target != source.name:
                        address = self.lab.address(source.name, target)
                        way = f"{source.name} -> {target}"
                        ways[way] = pool.submit(probes.ping, source.namespace, address, wait)
        return {way: reach.result() for way, reach in ways.items()}


def both_backends(case: type[Case]) -> dict[str, type[Case]]:
    """Class decorator: replaces the class by one per backend, CaseLegacy and CaseNft."""
    module = sys.modules[case.__module__]
    made: dict[str, type[Case]] = {}
    for backend in BACKENDS:
        name = f"{case.__name__}{backend.capitalize()}"
        made[backend] = type(name, (case,), {"backend": backend, "__module__": case.__module__,
                                             "__doc__": case.__doc__})
        setattr(module, name, made[backend])
    return made
