"""Writes what tests/bench/cameras measures with, and prints what came of it.

usage: cameras.py FOLDER           writes the policies and the packets
       cameras.py FOLDER growth    prints how check and apply grow with the cameras
       cameras.py FOLDER ROUNDS    prints the rates of new connections
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path

import ratios

CAMERAS = 1000
SIZES = (10, 100, CAMERAS)
PACKETS = 50_000

ZONES = """
[zones.external]
interface = "eth0"
address = "192.168.0.2/24"
gateway = "192.168.0.1"
role = "external"

[zones.camera]
interface = "eth1"
address = "10.8.0.1/16"
role = "camera"
known-only = true

[zones.private]
interface = "eth2"
address = "192.168.5.200/24"
role = "private"

[[allow]]
from = "private"
to = "router"
service = "ssh"
"""


def camera(number: int) -> tuple[str, str]:
    """Its address and its hardware address."""
    return (
        f"10.8.{(number + 10) // 250}.{(number + 10) % 250 + 2}",
        f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
    )


def policy(cameras: range) -> str:
    text = ZONES
    for number in cameras:
        address, mac = camera(number)
        text += f'\n[[cameras]]\nname = "cam-{number}"\naddress = "{address}"\nmac = "{mac}"\n'
        for service in ('"ftp"', '"ntp"', "{ tcp = [8554] }"):
            text += f'[[cameras.allow]]\nto = "router"\nservice = {service}\n'
    return text


# A bound lets 10,000 a second through at the most, so that a rate above it is measured without; what is across goes
# from the private zone, which has none.
UNBOUND = 'role = "camera"\nbound = false\n'
ACROSS = """
[[allow]]
from = "private"
to = "external"
service = "http"

[watch]
interval = 3600
"""


def packets(address: str, mac: str, router: str, card: str, segment: str = "udp(sp=dinc(1024, 61000), dp=123)") -> str:
    """New connections from a host, a source port each, for trafgen(8); of NTP unless the segment is another's."""
    return f"{{ eth(da=@{card}@, sa={mac}), ipv4(ttl=64, sa={address}, da={router}), {segment} }}\n"


def rate(folder: Path, name: str, rounds: int) -> float:
    """Packets a second, the median of the rounds. Each must have been a connection."""
    counted = [int(line) for line in (folder / f"{name}.count").read_text().split()]
    if len(counted) != rounds or min(counted) < PACKETS * 0.99:
        sys.exit(f"{name}: only {min(counted)} of {PACKETS} packets opened a connection")
    times = [ratios.median(folder, f"{name}.{number}") for number in range(rounds)]
    (folder / f"{name}.count").unlink()
    return PACKETS / statistics.median(times)


def growth(folder: Path) -> None:
    for what, names in (("check", ("check-10", "check-100", "proof")), ("apply", ("apply-10", "apply-100", "apply"))):
        took = [ratios.median(folder, name) for name in names]
        exponents = [math.log10(more / less) for less, more in zip(took, took[1:])]
        print(f"{what} of 10, 100, 1,000 cameras" + "".join(f" {seconds * 1000:7.1f} ms" for seconds in took)
              + "  exponents" + "".join(f" {exponent:5.2f}" for exponent in exponents) + "   (goal 1.1)")


def rates(folder: Path, title: str, rounds: int, names: dict[str, str], goal: str) -> None:
    print(title)
    found = {label: rate(folder, name, rounds) for name, label in names.items()}
    first = next(iter(found.values()))
    for label, value in found.items():
        print(f"    {label:<46} {value:9.0f} a second  {value / first:5.2f} times"
              + ("" if value is first else f"   (goal {goal})"))


def main() -> None:
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["growth"]:
        growth(folder)
        return
    if len(sys.argv) > 2:
        rounds = int(sys.argv[2])
        rates(folder, "new connections across the router, from the private zone, which has no bound", rounds, {
            "script": "the article's script", "one": "camfw, one camera", "thousand": "camfw, 1,000 cameras",
            "recorded": "camfw, 1,000 cameras, recorded by camfw watch"}, "0.9")
        rates(folder, "new connections of a camera to the router, with `bound = false`", rounds, {
            "small": "of one camera", "first": "the first of 1,000", "last": "the last of 1,000",
            "last-recorded": "the last of 1,000, recorded by camfw watch"}, "1, flat")
        return
    for size in SIZES:
        (folder / f"{size}.toml").write_text(policy(range(size)))
    for size in (1, CAMERAS):
        text = policy(range(size)).replace('role = "camera"\n', UNBOUND) + ACROSS
        (folder / f"{size}-unbound.toml").write_text(text)
    for name, number in (("first", 0), ("last", CAMERAS - 1)):
        (folder / f"{name}.packets.in").write_text(packets(*camera(number), "10.8.0.1", "eth1"))
    (folder / "across.packets.in").write_text(packets(
        "192.168.5.10", "02:00:00:01:00:01", "192.168.0.1", "eth2", "tcp(sp=dinc(1024, 61000), dp=80, syn)"))


if __name__ == "__main__":
    main()
