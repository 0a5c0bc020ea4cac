"""A real Debian 12 for arm64 with systemd, emulated, with camfw's package.

    build        the image, of Debian's own packages
    run          builds what is not there, and runs the test: about 15 minutes on a busy machine
    test_*       python3 -m unittest discover -s tests/debian -t tests
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT / "qemu"))
