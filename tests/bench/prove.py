"""Times proofs of what is large: `prove.py RUNS NATIVE AARCH64`.

Processor time, the least of so many runs, since everything else only adds; the
peak memory of a native run, since under QEMU it is the emulator's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def thousand() -> str:
    """A file of 1,000 cameras with three allow lines each."""
    head = '''
zones.external = { interface = "eth0", address = "198.41.0.2/24", role = "external" }
zones.camera   = { interface = "eth1", address = "10.8.0.1/16", role = "camera" }
zones.private  = { interface = "eth2", address = "192.168.5.200/24", role = "private" }
'''
    cameras = [
        f'''[[cameras]]
name = "c{n}"
address = "10.8.{1 + n // 250}.{1 + n % 250}"
mac = "02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
allow = [
    {{ to = "router", service = "ftp" }},
    {{ to = "router", service = "ntp" }},
    {{ to = "router", service = {{ tcp = [{8000 + n % 7}] }} }},
]
'''
        for n in range(1000)
    ]
    return head + "".join(cameras)


def seconds(command: list[str], runs: int) -> float:
    """Of processor time, the least of so many runs."""
    best = float("inf")
    for _ in range(runs):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status) not in (0, 1):
            sys.exit(f"{command}: {status}")
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


def peak(command: list[str]) -> int:
    """KiB. By time(1), which is small: what a process forks from counts too."""
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], capture_output=True, text=True, check=False)
    if "too much memory" in done.stdout:
        sys.exit(f"{command}: it was given up, and what that takes is no measurement")
    return int(done.stderr.splitlines()[-1])


def dump(work: Path, name: str, *arguments: str) -> None:
    with (work / name).open("w") as rules:
        subprocess.run([sys.executable, ROOT / "tests/bench/dump.py", *arguments], stdout=rules, check=True)


def main() -> None:
    runs, native, board = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "example.toml").write_text((ROOT / "examples/camera-router.toml").read_text())
        (work / "thousand.toml").write_text(thousand())
        for file in work.glob("*.toml"):
            file.chmod(0o644)
        for count in ("5000", "6200"):
            dump(work, count, count, f"{work}/networks")
        dump(work, "changed", "6200", f"{work}/networks", "--changed")
        dump(work, "ipv6", "6200", f"{work}/networks6", "--ipv6")
        # What, and the goals where there are: of processor time and memory, natively.
        cases = {
            "the example": (["--config", f"{work}/example.toml", "prove"], ""),
            "1,000 cameras, 3 lines each": (["--config", f"{work}/thousand.toml", "prove"], ""),
            "a dump of 5,000 rules": (["prove", "--rules", f"{work}/5000", "--networks", f"{work}/networks"], "goals 300 ms, 64 MiB"),
            "a dump of 6,200 rules": (["prove", "--rules", f"{work}/6200", "--networks", f"{work}/networks"], "goals 300 ms, 64 MiB"),
            "an IPv6 dump of 6,200 rules": (["prove", "--rules", f"{work}/ipv6", "--networks", f"{work}/networks6"], "goals 1000 ms, 64 MiB"),
            "compare of two of 6,200 rules": (["compare", f"{work}/6200", f"{work}/changed"], "goal: seconds"),
        }
        print(f"{'':<32}{'native':>10}{'peak':>12}{'QEMU aarch64':>16}{'ratio':>9}")
        for name, (arguments, goals) in cases.items():
            here = seconds([native, *arguments], runs)
            # What takes long does not shake.
            there = seconds(["qemu-aarch64", board, *arguments], runs if here < 0.2 else 1)
            memory = peak([native, *arguments])
            print(f"{name:<32}{here * 1000:>7.1f} ms{memory:>8} KiB{there * 1000:>13.1f} ms{there / here:>8.1f}x"
                  + (f"   ({goals})" if goals else ""), flush=True)


if __name__ == "__main__":
    main()
