"""Prints what the tasks of a build took, by buildstats' own files, the longest first.

    times.py FOLDER...      tmp/buildstats/*; a task that ran again counts by its last run
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

SHOWN = 12


def main() -> int:
    tasks: dict[tuple[str, str], float] = {}
    for folder in sorted(map(Path, sys.argv[1:])):
        for path in folder.glob("*/do_*"):
            elapsed = re.search(r"Elapsed time: ([\d.]+)", path.read_text())
            if elapsed:
                tasks[path.parent.name, path.name] = float(elapsed[1])
    recipes: defaultdict[str, float] = defaultdict(float)
    for (recipe, _), seconds in tasks.items():
        recipes[recipe] += seconds
    for recipe, seconds in sorted(recipes.items(), key=lambda one: -one[1])[:SHOWN]:
        print(f"{seconds:8.0f} s  {recipe}")
    print(f"{sum(recipes.values()):8.0f} s  {len(tasks)} tasks of {len(recipes)} recipes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
