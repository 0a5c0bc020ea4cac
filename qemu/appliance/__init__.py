"""The appliance: an emulated aarch64 machine with three network cards that camfw guards.

    cpio      the archives that the kernel unpacks as its file system
    image     what is booted: kernel, file system, and what this boot puts into it
    machine   QEMU and its console
    scene     the machine with a camera, a laptop and the internet around it
    watch     what arrives at the internet while the machine boots
    policy    what a configuration allows, of what the hosts try
    terminal  a user at the console
    demo      the demonstration, `qemu/run`

The hosts, their services and clients are the laboratory's, tests/lab.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The laboratory is a package of the tests.
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))
