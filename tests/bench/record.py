"""Measures what recording costs: a camera's flood of refused packets to random destinations,
without recording, with it while nobody listens, and with `camfw watch`; from the camera's own
address, and by both families from ever other sources.

usage: record.py [--rounds N]      as root; CAMFW is the program, target/debug/camfw without it

A packet over veth is taken by the router in the sender's own system call, so the time of many
sends is that of the router's rules. Each variant has its turn again and again in one run, and
the least time of each is compared: what else the machine does only adds. What `watch` takes is
its own processor time, of the time that the flood lasts. Of another camera one attempt is made
in the middle of each flood, which has to be in the record.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import example, frames  # noqa: E402
from lab.probes import wait_until  # noqa: E402
from lab.router import Lab  # noqa: E402
from netns.program import BACKENDS, Program  # noqa: E402

PACKETS = 40_000
DIFFERENT = 20_000
ANOTHER = "192.168.8.111"
SEEN = ("203.0.113.7", 443)

POLICY = f"""
[ipv6]
mode = "same"

[zones.external]
interface = "eth0"
address = ["192.168.0.2/24", "fd00:0::2/64"]
gateway = ["192.168.0.1", "fd00:0::1"]
role = "external"

[zones.camera]
interface = "eth1"
address = ["192.168.8.1/24", "fd00:8::1/64"]
role = "camera"
record = RECORD

[[cameras]]
name = "porch"
address = "{example.CAMERA.address}"

[[cameras]]
name = "yard"
address = "{ANOTHER}"

[watch]
interval = 3600
"""


def ipv4(chance: random.Random) -> bytes:
    to = f"{chance.randrange(100, 200)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    return frames.IPV4 + frames.udp(example.CAMERA.address, to, 40000, chance.randrange(1, 65536))


def ipv4_spoofed(chance: random.Random) -> bytes:
    source = f"192.168.8.{chance.randrange(112, 255)}"
    return frames.IPV4 + frames.udp(source, f"203.0.113.{chance.randrange(1, 255)}", 40000, chance.randrange(1, 65536))


def ipv6(chance: random.Random) -> bytes:
    source = socket.inet_pton(socket.AF_INET6, "fd00:8::")[:8] + chance.randbytes(8)
    to = b"\x20\x01" + chance.randbytes(14)
    datagram = bytes((0x9C, 0x40)) + chance.randbytes(2) + bytes((0, 13, 0, 0)) + b"camfw"
    return b"\x86\xdd" + bytes((0x60, 0, 0, 0, 0, len(datagram), 17, 64)) + source + to + datagram


FLOODS: dict[str, Callable[[random.Random], bytes]] = {
    "IPv4, random destinations": ipv4, "IPv4, random sources and destinations": ipv4_spoofed,
    "IPv6, random sources and destinations": ipv6,
}
VARIANTS = ("without recording", "recorded, nobody listens", "recorded by camfw watch")


class Bench:
    def __init__(self, lab: Lab, scratch: Path, backend: str) -> None:
        self.lab = lab
        self.camera = lab.hosts["camera"].namespace
        self.camera.ip("address", "add", f"{ANOTHER}/24", "dev", "eth0")
        self.program = Program(lab.router, scratch, backend)
        self.watched = {"seconds": 0.0, "of": 0.0, "packets": 0.0, "peak": 0.0, "entries": 0.0, "hidden": 0.0}

    def turn(self, variant: str, packets: list[bytes]) -> float:
        """Seconds for a flood under this variant."""
        self.program.configure(POLICY.replace("RECORD", "false" if variant == VARIANTS[0] else "true"))
        done = self.program.run("apply")
        if done.code != 0:
            sys.exit(str(done))
        if variant != VARIANTS[2]:
            return self.flood(packets)
        watch = self.program.start("watch")
        try:
            if not wait_until(lambda: bool(self.blocked()["recording"])):
                sys.exit("camfw watch does not record")
            before, began = cpu(watch.pid), time.monotonic()
            seconds = self.flood(packets)
            # How long it is seen is no part of what the flood costs.
            self.watched["seconds"] += cpu(watch.pid) - before
            self.watched["of"] += time.monotonic() - began
            self.watched["hidden"] += not wait_until(self.sees_the_other, 10)
            self.watched["packets"] += len(packets)
            status = Path(f"/proc/{watch.pid}/status").read_text()
            self.watched["peak"] = max(self.watched["peak"], int(re.findall(r"VmHWM:\s*(\d+)", status)[0]))
            entries = sum(len(host["tried"]) for host in self.blocked()["hosts"])
            self.watched["entries"] = max(self.watched["entries"], entries)
            return seconds
        finally:
            watch.send_signal(signal.SIGTERM)
            watch.communicate()
            self.program.forget()

    def blocked(self) -> dict[str, list[dict[str, list[dict[str, object]]]]]:
        return dict(json.loads(self.program.run("blocked", "--json").stdout))

    def sees_the_other(self) -> bool:
        return any((it["to"], it["port"]) == SEEN for host in self.blocked()["hosts"]
                   if host["camera"] == "yard" for it in host["tried"])  # type: ignore[comparison-overlap]

    def flood(self, packets: list[bytes]) -> float:
        mac = json.loads(self.lab.router.run(["ip", "-json", "link", "show", "eth1"]).stdout)[0]["address"]
        with self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            own = wire.getsockname()[4]
            header = frames.address(mac) + own
            other = header + frames.IPV4 + frames.tcp_syn(ANOTHER, SEEN[0], 40000, SEEN[1])
            whole = [header + packet for packet in packets]
            whole[len(whole) // 2] = other
            send, start = wire.send, time.perf_counter()
            for frame in whole:
                send(frame)
            return time.perf_counter() - start


def cpu(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 5
    chance = random.Random(1)
    floods = {name: [make(chance) for _ in range(DIFFERENT)] * (PACKETS // DIFFERENT) for name, make in FLOODS.items()}
    for backend in BACKENDS:
        scratch = Path(tempfile.mkdtemp(prefix="camfw-bench-"))
        try:
            with Lab((example.INTERNET, example.CAMERA)) as lab:
                bench = Bench(lab, scratch, backend)
                for name, packets in floods.items():
                    bench.watched = dict.fromkeys(bench.watched, 0.0)
                    best = dict.fromkeys(VARIANTS, float("inf"))
                    for _ in range(rounds):
                        for variant in VARIANTS:
                            best[variant] = min(best[variant], bench.turn(variant, packets))
                    report(f"{backend}: {name}", best, bench.watched)
                bench.program.close()
        finally:
            shutil.rmtree(scratch)


def report(title: str, best: dict[str, float], watched: dict[str, float]) -> None:
    print(f"== {title}")
    first = best[VARIANTS[0]]
    for variant, seconds in best.items():
        print(f"{variant:<28} {PACKETS / seconds:9.0f} packets a second  {seconds / first:5.2f} times the time")
    print(f"camfw watch: {watched['seconds'] / watched['of'] * 100:.0f} % of a processor meanwhile, "
          f"{watched['peak']:.0f} KiB at most, {watched['entries']:.0f} entries; "
          f"the other camera's attempt was missed {watched['hidden']:.0f} times", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
