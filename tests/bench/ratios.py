"""Prints hyperfine's results, each as a ratio to the first.

usage: ratios.py FOLDER NAME[=GOAL]...    reads FOLDER/NAME.json; a goal is the most that the ratio is to be
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LABELS = {
    "floor": "one program's start, iptables --version",
    "restores": "iptables-restore + ip6tables-restore, bare",
    "script": "the article's script",
    "boot": "camfw boot: seal, load, read back",
    "apply": "camfw apply that loads every table, read back",
    "unchanged": "camfw apply that changes nothing",
    "status": "camfw status",
    "batch": "ip -batch: 256 addresses, links up, 2,000 routes",
    "network": "camfw apply of the same, rules already there",
    "proof": "camfw check, proof included",
    "settled": "camfw apply that changes nothing of it",
    "netfilter-persistent": "netfilter-persistent start, of camfw's own rules",
    "ufw-init": "ufw-init start, of rules made before",
    "ufw": "ufw reload",
    "shorewall-start": "shorewall start -f, compiled before",
    "shorewall": "shorewall reload, compiled anew",
    "firewalld": "firewall-cmd --reload, by nftables",
    "firewalld-iptables": "firewall-cmd --reload, by iptables",
}


def median(folder: Path, name: str) -> float:
    """Seconds."""
    return float(json.loads((folder / f"{name}.json").read_text())["results"][0]["median"])


def line(label: str, milliseconds: float, times: float, goal: str = "") -> str:
    """As docs/measurements.md has it."""
    return f"{label:<50} {milliseconds:7.1f} ms  {times:5.2f} times" + (f"   (goal {goal})" if goal else "")


def main() -> None:
    folder, *names = sys.argv[1:]
    base = median(Path(folder), names[0].partition("=")[0])
    for argument in names:
        name, _, goal = argument.partition("=")
        took = median(Path(folder), name)
        print(line(LABELS[name], took * 1000, took / base, goal))


if __name__ == "__main__":
    main()
