"""Prints hyperfine's results, each as a ratio to the first.

usage: ratios.py FOLDER NAME...    reads FOLDER/NAME.json
"""

import json
import sys
from pathlib import Path

LABELS = {
    "restores": "iptables-restore + ip6tables-restore, bare",
    "script": "the article's script",
    "boot": "camfw boot: seal, load, read back",
    "apply": "camfw apply that loads every table, read back",
    "unchanged": "camfw apply that changes nothing",
    "status": "camfw status",
    "batch": "ip -batch: 256 addresses, links up, 2,000 routes",
    "network": "camfw apply of the same, rules already there",
    "many-restores": "iptables-restore + ip6tables-restore, bare, 1,000 cameras",
    "check": "camfw check of 1,000 cameras, proof included",
    "proof": "camfw check, proof included",
    "many-apply": "camfw apply of 1,000 cameras, every table",
    "settled": "camfw apply that changes nothing of it",
}


def main() -> None:
    folder, *names = sys.argv[1:]
    results = {name: json.loads((Path(folder) / f"{name}.json").read_text())["results"][0] for name in names}
    base = results[names[0]]["median"]
    for name, result in results.items():
        median = result["median"]
        print(f"{LABELS[name]:<50} {median * 1000:7.1f} ms  {median / base:5.2f} times")


main()
