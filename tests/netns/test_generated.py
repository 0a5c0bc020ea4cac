"""Loads generated policies into the kernel: what it holds is what was rendered."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from netns.case import RouterTest, both_backends
from netns.program import BINARY
from netns.tables import FAMILIES
from netns.test_goldens import as_written, blocks

GENERATE = Path(os.environ.get("CAMFW_GENERATE", BINARY.parent / "examples/generate"))
COUNT = 100
# tests/generate/mod.rs
INTERFACES = ("enp3s0f1np1", "br-cam", "a@b_c.20", "eth5")


@both_backends
class Generated(RouterTest):
    """Applies one policy after the other to a router, without sealing in between."""

    def setUp(self) -> None:
        super().setUp()
        if not GENERATE.is_file():
            self.fail(f"no program at {GENERATE}: build it, or say where it is by CAMFW_GENERATE")
        for number, interface in enumerate(INTERFACES):
            self.router.ip("link", "add", interface, "type", "veth", "peer", "name", f"peer{number}")

    def test_every_policy_is_taken_and_holds(self) -> None:
        folder = self.scratch / "generated"
        folder.mkdir()
        subprocess.run([GENERATE, str(COUNT), folder], check=True)
        policies = sorted(folder.iterdir())
        self.assertEqual(len(policies), COUNT)
        rules = 0
        for policy in policies:
            with self.subTest(policy.name):
                self.program.configure(policy.read_text())
                self.camfw("apply")
                self.camfw("status")
                shown = self.camfw("show", "rules").stdout.removeprefix("# IPv4\n").split("# IPv6\n")
                for family, text in zip(FAMILIES, shown, strict=True):
                    wanted = blocks(text)
                    held = blocks(as_written(self.tables.save(family)))
                    # A table that an earlier policy used remains, empty.
                    held = {name: lines for name, lines in held.items() if name in wanted or any(
                        line.startswith("-A ") for line in lines)}
                    self.assertEqual(held, wanted)
                    rules += sum(line.startswith("-A ") for lines in wanted.values() for line in lines)
        self.assertGreater(rules, COUNT * 100, "they are more than nothing")
