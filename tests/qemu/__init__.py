"""Tests of the appliance: an emulated aarch64 machine that camfw guards."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT / "qemu"))
