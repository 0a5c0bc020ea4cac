"""Measures `camfw boot` of the emulated appliance, aarch64: from its start to Sealed and to Applied, by the clock of the
kernel's log, so that what the kernel and the other boot scripts take is not in it; and with the kernel's modules loaded
before, as on the board, whose kernel has them built in.

usage: boot.py [--runs N]      as root, after qemu/build and qemu/image/build; 5 boots without it
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "qemu")]

from appliance import cpio, image  # noqa: E402
from appliance.scene import Scene  # noqa: E402

BINARY = ROOT / "build/target/aarch64-unknown-linux-musl/release/camfw"
# In camfw's place: loads modules, and says when it starts.
STARTS = """#!/bin/sh
[ "$1" != boot ] || { modprobe -a %s 2>/dev/null; echo "bench: camfw starts" >/dev/kmsg; }
exec /usr/sbin/camfw.itself "$@"
"""
SAID = ("bench: camfw starts", "camfw: Sealed", "camfw: Applied")


def main() -> None:
    runs = int(sys.argv[2]) if sys.argv[1:2] == ["--runs"] else 5
    _, modules = boot("")
    print(f"camfw boot of the example, {runs} times; milliseconds from its start: median, least and most")
    for how, before in (("", ""), (", modules loaded", modules)):
        boots = [boot(before)[0] for _ in range(runs)]
        for name, place in (("Sealed", 1), ("Applied", 2)):
            times = [(times[place] - times[0]) * 1000 for times in boots]
            print(f"    {'to ' + name + how:<30} {statistics.median(times):>6.0f} {min(times):>6.0f} {max(times):>6.0f}", flush=True)


def boot(modules: str) -> tuple[list[float], str]:
    """When each of these was said, in seconds since the kernel started; and the modules that there are in the end."""
    files = image.program(BINARY) | image.configuration(image.EXAMPLE.read_text())
    files |= {"usr/sbin/camfw.itself": files["usr/sbin/camfw"], "usr/sbin/camfw": cpio.file(STARTS % modules, 0o755)}
    with tempfile.TemporaryDirectory(prefix="camfw-bench-") as folder, Scene(Path(folder)) as scene:
        Path(folder).chmod(0o711)
        with scene.boot(image.own(), files) as machine:
            lines = [machine.wait_for_kernel(said) for said in SAID]
            machine.wait_for_kernel("appliance: services are up")
            loaded = machine.command("cut -d ' ' -f 1 /proc/modules")[1].split()
    times = [line.kernel for line in lines if line.kernel is not None]
    if len(times) < len(SAID) or not loaded:
        sys.exit(f"not every step was said: {lines}")
    return times, " ".join(loaded)


if __name__ == "__main__":
    main()
