"""Writes what tests/bench/deny measures with, and prints what came of it.

usage: deny.py FOLDER           writes the policies and the packets
       deny.py FOLDER ROUNDS    prints the rates of new connections
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import cameras

SIZES = (1, 1_000, 10_000, 50_000)

POLICY = """
[zones.external]
interface = "eth0"
address = "192.168.0.2/24"
gateway = "192.168.0.1"
role = "external"

[zones.camera]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"

[zones.private]
interface = "eth2"
address = "192.168.5.200/24"
role = "private"

[[allow]]
from = "external"
to = "router"
service = "ntp"

[[allow]]
from = "private"
to = "external"
service = "https"

[[deny]]
from = "external"
to = "any"
"""


def networks(size: int) -> list[str]:
    """As public lists have them: single hosts, and networks of 256."""
    chance = random.Random(1)
    found: set[str] = set()
    while len(found) < size:
        first = chance.randrange(11, 100)
        rest = [chance.randrange(256) for _ in range(3)]
        host = chance.random() < 0.5
        found.add(f"{first}.{rest[0]}.{rest[1]}.{rest[2] if host else '0/24'}")
    return sorted(found)


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        rates = {size: cameras.rate(folder, str(size), int(sys.argv[2])) for size in SIZES}
        for size, value in rates.items():
            print(f"new connections beside {size:>6} networks {value:9.0f} a second  {value / rates[1]:5.2f} times those of one")
        return
    for size in SIZES:
        listed = ", ".join(f'"{network}"' for network in networks(size))
        (folder / f"{size}.toml").write_text(f"{POLICY}source = [{listed}]\n")
    (folder / "packets.in").write_text(cameras.packets("192.168.0.1", "02:00:00:00:00:01", "192.168.0.2", "eth0"))


if __name__ == "__main__":
    main()
