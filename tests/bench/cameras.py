"""Writes what tests/bench/cameras measures with, and prints what came of it.

usage: cameras.py FOLDER           writes the policies and the packets
       cameras.py FOLDER ROUNDS    prints the rates of new connections
"""

import json
import statistics
import sys
from pathlib import Path

CAMERAS = 1000
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


def packets(address: str, mac: str, router: str) -> str:
    """New connections from a host: NTP, a source port each, for trafgen(8)."""
    return (
        f"{{ eth(da=@ROUTER@, sa={mac}), ipv4(sa={address}, da={router}), "
        "udp(sp=dinc(1024, 61000), dp=123) }\n"
    )


def rate(folder: Path, name: str, rounds: int) -> float:
    """Packets a second, the median of the rounds. Each must have been a connection."""
    counted = [int(line) for line in (folder / f"{name}.count").read_text().split()]
    if min(counted) < PACKETS * 0.99:
        sys.exit(f"{name}: only {min(counted)} of {PACKETS} packets opened a connection")
    times = [
        json.loads((folder / f"{name}.{number}.json").read_text())["results"][0]["median"]
        for number in range(rounds)
    ]
    (folder / f"{name}.count").unlink()
    return PACKETS / statistics.median(times)


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        rates = {name: rate(folder, name, int(sys.argv[2])) for name in ("small", "first", "last")}
        for name, value in rates.items():
            print(f"new connections, {name:<8} {value:9.0f} a second  {value / rates['first']:5.2f} times the first")
        return
    (folder / "many.toml").write_text(policy(range(CAMERAS)))
    (folder / "small.toml").write_text(policy(range(1)))
    for name, number in (("first", 0), ("last", CAMERAS - 1), ("small", 0)):
        (folder / f"{name}.packets.in").write_text(packets(*camera(number), "10.8.0.1"))


if __name__ == "__main__":
    main()
