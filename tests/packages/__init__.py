"""What a release offers to install: the Debian packages, without building a binary for them.

    test_deb     python3 -m unittest discover -s tests/packages -t tests
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
