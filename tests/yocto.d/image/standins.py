"""Owns what stand-ins.toml means: bitbake's configuration, and the table that a reader gets.

    standins.py TABLE conf      for local.conf
    standins.py TABLE print     what stands in for what, and why
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any


def main() -> int:
    table, command = Path(sys.argv[1]), sys.argv[2]
    entries = tomllib.loads(table.read_text())
    print({"conf": configuration, "print": readable}[command](entries))
    return 0


def configuration(entries: dict[str, Any]) -> str:
    """Which recipes are read, and which are provided."""
    built = "|".join(sorted(set(entries["built"]["recipes"])))
    assumed = [name for entry in entries["assumed"] for name in entry["recipes"]]
    return "\n".join([
        f'BBMASK += "/oe-core/meta/recipes-(?!({built})[/._])"',
        'ASSUME_PROVIDED += "\\', *(f"    {name} \\" for name in assumed), '"'])


def readable(entries: dict[str, Any]) -> str:
    lines = [f"{len(entries['built']['recipes'])} folders of OE-Core's recipes are built by their own tasks"]
    for entry in entries["assumed"]:
        lines += [f"{' '.join(entry['recipes'])}", f"    {entry['by']}: {entry['why']}"]
    for entry in entries["replaced"]:
        lines += [entry["recipe"], f"    {entry['by']}: {entry['why']}"]
    for entry in entries["left-out"]:
        lines += [f"left out: {entry['what']}", f"    {entry['why']}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
