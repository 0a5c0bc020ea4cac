"""The configuration's JSON Schema, as editors take it: taplo, by each of the two ways that docs/configuration.md shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import textwrap
import unittest
from pathlib import Path

from packages import ROOT

SCHEMA = ROOT / "docs/camfw.schema.json"
EXAMPLE = (ROOT / "examples/six-cameras.toml").read_text()
# Where the package has it.
INSTALLED = "/usr/share/doc/camfw/docs/camfw.schema.json"
# What is wrong, and what taplo says of it.
MISTAKES = {
    "known-only = true": ("known-onyl = true", "'known-onyl' was unexpected"),
    'address   = "dhcp"': ("address   = 5", "5 is not valid"),
    'role      = "private"': ('role      = "privat"', "privat"),
}


class Schema(unittest.TestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="camfw-schema-")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        shutil.copy(SCHEMA, self.folder)
        page = (ROOT / "docs/configuration.md").read_text()
        self.blocks = [textwrap.dedent(block) for block in re.findall(r"(?m)(?:^    .*\n)+", page)]

    def lint(self, text: str, name: str = "camfw.toml") -> tuple[int, str]:
        (self.folder / name).write_text(text)
        done = subprocess.run([ROOT / "build/taplo/bin/taplo", "lint", name], cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def each_mistake_is_marked(self, before: str = "") -> None:
        code, said = self.lint(before + EXAMPLE)
        self.assertEqual(code, 0, said)
        for good, (bad, why) in MISTAKES.items():
            self.assertIn(good, EXAMPLE)
            with self.subTest(bad):
                code, said = self.lint(before + EXAMPLE.replace(good, bad, 1))
                self.assertNotEqual(code, 0)
                self.assertIn(why, said)

    def test_by_the_first_line_of_a_file(self) -> None:
        [line] = [block for block in self.blocks if block.startswith("#:schema ")]
        self.assertIn(f"file://{INSTALLED}\n", line)
        self.each_mistake_is_marked(line.replace(INSTALLED, str(self.folder / SCHEMA.name)))

    def test_by_a_file_beside_them(self) -> None:
        # The control: without a schema any TOML will do.
        self.assertEqual(self.lint("nonsense = 1\n")[0], 0)
        [rule] = [block for block in self.blocks if "[[rule]]" in block]
        (self.folder / ".taplo.toml").write_text(rule)
        self.each_mistake_is_marked()
        (self.folder / "camfw.d").mkdir()
        self.assertIn("'nonsense' was unexpected", self.lint("nonsense = 1\n", "camfw.d/cameras.toml")[1])

    def test_it_takes_each_example(self) -> None:
        [rule] = [block for block in self.blocks if "[[rule]]" in block]
        (self.folder / ".taplo.toml").write_text(rule)
        examples = sorted((ROOT / "examples").glob("*.toml"))
        self.assertGreater(len(examples), 5)
        for example in examples:
            with self.subTest(example.name):
                code, said = self.lint(example.read_text(), example.name)
                self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
