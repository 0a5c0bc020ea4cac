"""tests/run and tests/nightly leave no test out where they give each backend a process of its own."""

from __future__ import annotations

import re
import subprocess
import unittest
from fnmatch import fnmatchcase

from packages import ROOT

# Prints the name of each test of a folder.
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


def processes(script: str) -> list[list[str]]:
    """The patterns of each process that runs a folder's tests by them, as unittest takes them."""
    text = (ROOT / script).read_text().replace("\\\n", " ")
    found = re.findall(r"(?m)^ *python3 -m unittest discover -v -s \S+ -t tests +(-k .*?)(?: [>&|].*)?$", text)
    patterns = [re.findall(r"-k '?([^' ]+)'?", line) for line in found]
    return [[it if "*" in it else f"*{it}*" for it in one] for one in patterns]


class Runners(unittest.TestCase):
    """Each by its own text."""

    def test_each_test_is_run_by_one_of_the_two_processes(self) -> None:
        for script, folders in (("tests/run", ("netns", "attack")), ("tests/nightly", ("prove",))):
            both = processes(script)
            self.assertEqual(len(both), 2, script)
            for folder in folders:
                listed = subprocess.run(["python3", "-c", NAMES, f"tests/{folder}"], cwd=ROOT, capture_output=True, text=True, check=True)
                names = listed.stdout.split()
                self.assertGreater(len(names), 10)
                run = {name: sum(any(fnmatchcase(name, it) for it in one) for one in both) for name in names}
                self.assertEqual({name: count for name, count in run.items() if count != 1}, {}, f"{script}, tests/{folder}")


if __name__ == "__main__":
    unittest.main()
