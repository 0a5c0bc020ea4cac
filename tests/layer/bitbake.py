"""Owns bitbake's parser, from PyPI, on the layer's files and nothing of OE-Core's.

Classes that a recipe inherits from OE-Core are empty here: what they would make
of the recipe is tests/yocto's to see.
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from layer import LAYER, VENV

sys.path += [str(path) for path in VENV.glob("lib/python3.*/site-packages")]
# The package leaves this out, which only the signatures of a build use.
for _name in ("hashserv", "hashserv.client"):
    _module = sys.modules.setdefault(_name, types.ModuleType(_name))
    _module.__path__ = []  # type: ignore[attr-defined]

import bb  # noqa: E402
import bb.data  # noqa: E402
import bb.parse  # noqa: E402
from bb.parse.parse_py import BBHandler  # noqa: E402

# It explains each fault at length, which the exception says as well.
logging.getLogger("BitBake").setLevel(logging.CRITICAL)


def configuration(path: Path, **variables: str) -> Any:
    """The variables of a .conf file."""
    data = _empty(**variables)
    return bb.parse.handle(str(path), data, True, True) or data


def recipe(path: Path, overrides: str = "", appends: tuple[Path, ...] = (), **variables: str) -> Any:
    """The variables of a recipe, or of a file that recipes include."""
    with tempfile.TemporaryDirectory(prefix="camfw-layer-") as scratch:
        classes = Path(scratch, "classes")
        classes.mkdir()
        for name in _inherited(path):
            if not (LAYER / f"classes-recipe/{name}.bbclass").exists():
                (classes / f"{name}.bbclass").touch()
        name, _, version = path.stem.partition("_")
        data = _empty(
            BBPATH=f"{LAYER}:{scratch}", PN=name, PV=version or "1", BP="${PN}-${PV}", FILE=str(path),
            OVERRIDES=overrides, **variables)
        for one in (path, *appends):
            data.setVar("FILE", str(one))
            data.setVar("THISDIR", str(one.parent))
            BBHandler.handle(str(one), data, True, False)
        bb.data.expandKeys(data)
        return data


def _empty(**variables: str) -> Any:
    data = bb.data.init()
    data.setVar("LAYERDIR", str(LAYER))
    # Folders of classes: classes-recipe, and classes.
    data.setVar("__bbclasstype", "recipe")
    for name, value in variables.items():
        data.setVar(name, value)
    return data


def _inherited(path: Path) -> set[str]:
    return {name for line in re.findall(r"(?m)^inherit (.*)$", path.read_text()) for name in line.split()}
