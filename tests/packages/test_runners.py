"""tests/parallel runs each test of a folder once, and tells what fails."""

from __future__ import annotations

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from packages import ROOT

# Prints the name of each test of a folder, as unittest finds them.
NAMES = """
import sys, unittest
def names(tests):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from names(test)
        else:
            yield test.id()
print(*names(unittest.defaultTestLoader.discover(sys.argv[1], top_level_dir="tests")), sep="\\n")
"""

# What a script's copy finds in a folder `some` beside it.
PASSES = "import unittest\n\nclass First(unittest.TestCase):\n    def test_one(self): pass\n    def test_two(self): pass\n"
FAILS = PASSES + "\nclass Second(unittest.TestCase):\n    def test_one(self): self.fail('as it is told')\n"
BROKEN = "import nothing_of_this_name\n"


class Parallel(unittest.TestCase):
    """By its own account, and in folders made for it."""

    def test_each_class_of_each_folder_is_listed(self) -> None:
        for folder in ("netns", "attack", "prove"):
            listed = subprocess.run(["python3", "-c", NAMES, f"tests/{folder}"], cwd=ROOT, capture_output=True, text=True, check=True)
            classes = {name.rpartition(".")[0] for name in listed.stdout.split()}
            self.assertGreater(len(classes), 5)
            script = f"import runpy; print(*runpy.run_path('tests/parallel')['classes']('tests/{folder}'), sep='\\n')"
            run = subprocess.run(["python3", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
            self.assertEqual(len(run), len(set(run)))
            self.assertEqual(set(run), classes, folder)

    def parallel(self, *files: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as scratch:
            tests = Path(scratch) / "tests"
            (tests / "some").mkdir(parents=True)
            (tests / "some/__init__.py").touch()
            for number, text in enumerate(files):
                (tests / f"some/test_{number}.py").write_text(text)
            script = tests / "parallel"
            script.write_bytes((ROOT / "tests/parallel").read_bytes())
            return subprocess.run(["python3", script, "tests/some"], cwd=scratch, capture_output=True, text=True, check=False)

    def test_what_fails_is_told_and_counted(self) -> None:
        good = self.parallel(PASSES, PASSES)
        self.assertEqual((good.returncode, re.findall(r"Ran (\d+) tests? in", good.stdout)), (0, ["2", "2"]), good.stdout)
        bad = self.parallel(PASSES, FAILS)
        self.assertEqual(bad.returncode, 1)
        self.assertEqual(sorted(re.findall(r"Ran (\d+) tests? in", bad.stdout)), ["1", "2", "2"])
        self.assertIn("as it is told", bad.stdout)
        self.assertIn("FAILED (failures=1)", bad.stdout)

    def test_a_file_that_cannot_be_read_and_a_folder_without_tests_fail(self) -> None:
        broken = self.parallel(PASSES, BROKEN)
        self.assertEqual(broken.returncode, 1)
        self.assertIn("nothing_of_this_name", broken.stdout)
        self.assertIn("FAILED (errors=1)", broken.stdout)
        self.assertEqual(self.parallel().returncode, 1)


if __name__ == "__main__":
    unittest.main()
