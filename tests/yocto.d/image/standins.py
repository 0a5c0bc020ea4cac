"""Owns what stand-ins.toml means: bitbake's configuration, and the table that a reader gets.

    standins.py [--toolchain oe] TABLE conf         for local.conf
    standins.py [--toolchain oe] TABLE print        what stands in for what, and why
    standins.py TABLE markdown SOURCES              both tables, as ../README.md has them

With the toolchain oe, what has `unless = "oe"` does not stand in, and what has `when = "oe"` is built.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path
from typing import Any


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--toolchain", choices=("debian", "oe"), default="debian")
    arguments.add_argument("table", type=Path)
    arguments.add_argument("command", choices=("conf", "print", "markdown"))
    arguments.add_argument("sources", type=Path, nargs="?")
    asked = arguments.parse_args()
    entries = tomllib.loads(asked.table.read_text())
    if asked.command == "markdown":
        print(markdown(entries, tomllib.loads(asked.sources.read_text())))
        return 0
    entries = of_toolchain(entries, asked.toolchain)
    print({"conf": configuration, "print": readable}[asked.command](entries))
    return 0


def of_toolchain(entries: dict[str, Any], toolchain: str) -> dict[str, Any]:
    """What holds with that toolchain alone."""
    built = entries["built"]["recipes"] + (entries["built-toolchain"]["recipes"] if toolchain == "oe" else [])
    assumed = [entry for entry in entries["assumed"] if entry.get("unless") != toolchain]
    return entries | {"built": {"recipes": built}, "assumed": assumed}


def configuration(entries: dict[str, Any]) -> str:
    """Which recipes are read, and which are provided."""
    built = "|".join(sorted(set(entries["built"]["recipes"])))
    assumed = [name for entry in entries["assumed"] for name in entry["recipes"]]
    return "\n".join([
        # By its place and not by its folder's name, which kas and people choose differently.
        f'BBMASK += "${{COREBASE}}/meta/recipes-(?!({built})[/._])"',
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


def markdown(entries: dict[str, Any], sources: dict[str, Any]) -> str:
    lines = ["| source | OE-Core's | here | |", "|---|---|---|---|"]
    for name, entry in sources.items():
        here = entry.get("known", [entry["wanted"]])[-1].rpartition("+really")[2]
        lines.append(f"| {name} | {entry['wanted']} | {here} | {entry.get('why', 'the same tarball')} |")
    lines += ["", "| recipes of OE-Core | what stands in | why |", "|---|---|---|"]
    for entry in entries["assumed"] + entries["replaced"]:
        names = ", ".join(entry["recipes"]) if "recipes" in entry else entry["recipe"]
        lines.append(f"| {names} | {entry['by']} | {entry['why']} |")
    for entry in entries["left-out"]:
        lines.append(f"| left out | {entry['what']} | {entry['why']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
