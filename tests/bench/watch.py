"""Measures `camfw watch` on aarch64, in the emulated appliance with 1,000 cameras: its memory between
two looks, and at most; wakeups and processor time, the looks included; and in a flood of refused
packets the processor time of the thread that records.

usage: watch.py [--seconds N]      as root, after qemu/build and qemu/image/build; for N seconds, 180 without it
"""

from __future__ import annotations

import random
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/bench"), str(ROOT / "qemu")]

import cameras  # noqa: E402
from appliance import image  # noqa: E402
from appliance.machine import Machine, mac  # noqa: E402
from appliance.scene import Scene  # noqa: E402
from lab import frames  # noqa: E402
from lab.hosts import INTERFACE  # noqa: E402
from lab.probes import wait_until  # noqa: E402

BINARY = ROOT / "build/target/aarch64-unknown-linux-musl/release/camfw"
FLOOD_SECONDS = 20
# The most memory that it may take while it waits, in KiB. During a look there are the file's tree and the plan besides.
MOST = 6 * 1024


def main() -> None:
    rest = int(sys.argv[2]) if sys.argv[1:2] == ["--seconds"] else 180
    with tempfile.TemporaryDirectory(prefix="camfw-bench-") as folder, Scene(Path(folder)) as scene:
        Path(folder).chmod(0o711)
        files = image.program(BINARY) | image.configuration(cameras.policy(range(cameras.CAMERAS)))
        with scene.boot(image.own(), files) as machine:
            machine.wait_for_kernel("appliance: services are up")
            if not wait_until(lambda: '"recording":true' in said(machine, "camfw blocked --json"), 300):
                sys.exit("camfw watch does not record")
            pid = said(machine, "for it in $(pidof camfw); do grep -q watch /proc/$it/cmdline && echo $it; done").strip()
            # What the boot began is over.
            time.sleep(30)
            first, uptime = look(machine, pid), up(machine)
            # A look takes its time here: what is there between two of them is the least.
            sizes, end = [first["VmRSS"]], time.monotonic() + rest
            while time.monotonic() < end:
                time.sleep(5)
                sizes.append(look(machine, pid)["VmRSS"])
            second, seconds = look(machine, pid), up(machine) - uptime
            wakeups = second["voluntary_ctxt_switches"] - first["voluntary_ctxt_switches"]
            busy = (second["ticks"] - first["ticks"]) / seconds / 10
            print(f"camfw watch, {cameras.CAMERAS} cameras, {seconds:.0f} s")
            line("memory between two looks, KiB", f"{min(sizes)}", MOST)
            line("peak memory, during a look, KiB", f"{second['VmHWM']}")
            line("wakeups a second", f"{wakeups / seconds:.2f}")
            line("of a processor, looks included", f"{busy:.1f} %")
            sent = flood(scene)
            third = look(machine, pid)
            recording = (third["recording"] - second["recording"]) / FLOOD_SECONDS / 10
            print(f"the same in a flood of {sent / FLOOD_SECONDS:.0f} packets a second to random destinations, {FLOOD_SECONDS} s")
            line("peak memory, KiB", f"{third['VmHWM']}")
            line("of a processor, to record it", f"{recording:.1f} %")
            if not recording:
                sys.exit("nothing was recorded of the flood: the machine is too busy to measure it")
            if min(sizes) > MOST:
                sys.exit(f"it takes more than {MOST} KiB while it waits")


def line(what: str, value: str, limit: int | None = None) -> None:
    """A line as docs/measurements.md has it."""
    print(f"    {what:<38} {value:>9}" + (f"   (limit {limit:,})" if limit else ""), flush=True)


def said(machine: Machine, command: str) -> str:
    return machine.command(command)[1]


def up(machine: Machine) -> float:
    return float(said(machine, "cat /proc/uptime").split()[0])


def look(machine: Machine, pid: str) -> dict[str, int]:
    """Memory in KiB, wakeups of all threads, and milliseconds of processor time, of all and of the thread that records."""
    memory = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+)", said(machine, f"cat /proc/{pid}/status")))
    switches = re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", said(machine, f"cat /proc/{pid}/task/*/status"))
    threads = said(machine, f"cat /proc/{pid}/task/*/stat")
    recorder = next((line for line in threads.splitlines() if "(packet-log)" in line), None)
    if recorder is None or len(memory) < 2:
        # Has it ended, or was the console misread? What is said here tells.
        sys.exit(f"no thread of camfw watch, process {pid}, that records; its threads:\n{threads}\n" + said(
            machine, "pidof camfw; ps | grep camfw; free; dmesg | tail -n 40; tail -n 40 /var/log/messages; camfw status"))
    return {**{name: int(value) for name, value in memory.items()},
            "voluntary_ctxt_switches": sum(map(int, switches)),
            "ticks": milliseconds(said(machine, f"cat /proc/{pid}/stat")), "recording": milliseconds(recorder)}


def milliseconds(stat: str) -> int:
    """Processor time by a line of /proc/PID/stat: 100 ticks a second (USER_HZ)."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 10


def flood(scene: Scene) -> int:
    """Of one camera, as fast as it goes; how many packets."""
    address, hardware = cameras.camera(0)
    chance, sent = random.Random(1), 0
    with scene.hosts["camera"].namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((INTERFACE, 0))
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            to = f"{chance.randrange(100, 120)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
            packet = frames.udp(address, to, 40000, chance.randrange(1, 65536))
            try:
                wire.send(frames.frame(mac(1), hardware, None, packet))
                sent += 1
            except OSError:
                # Its queue is full.
                time.sleep(0.001)
    return sent


if __name__ == "__main__":
    main()
