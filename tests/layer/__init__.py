"""The Yocto layer, as far as it can be held without OE-Core.

    install      what these tests need, from PyPI
    bitbake      bitbake's own parser, on the layer's files
    test_*       python3 -m unittest discover -s tests/layer -t tests

What takes OE-Core is tests/yocto.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "meta-camfw"
VENV = ROOT / "build/layer"
