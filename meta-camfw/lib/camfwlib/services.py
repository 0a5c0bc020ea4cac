"""Owns what camfw's configuration means for the servers on the router.

A small reading of a file that `camfw check` has passed: never whether it is
right, only who serves what.
"""

from __future__ import annotations

import re
from typing import Any as _Any

# The entries of camfw's catalogue that the image has servers for.
CATALOGUE: dict[str, dict[str, _Any]] = {
    "ftp": {"tcp": [21], "passive": "50000-50100"},
    "ssh": {"tcp": [22]},
}


def passive_range(text: str) -> tuple[int, int]:
    """The first and last port of passive FTP."""
    service = _services(_read(text))["ftp"]
    return _range(service.get("passive", CATALOGUE["ftp"]["passive"]))


def reachable(text: str, port: int) -> bool:
    """Does any line let anybody reach this TCP port of the router?"""
    config = _read(text)
    return any(
        first <= port <= last
        for allow in config.get("allow", []) if allow["to"] == "router"
        for service in _named(allow["service"], _services(config))
        for first, last in map(_range, service.get("tcp", []))
    )


def vsftpd(conf: str, text: str) -> str:
    """vsftpd.conf with the passive range of the configuration."""
    first, last = passive_range(text)
    for option, value in (("pasv_min_port", first), ("pasv_max_port", last)):
        conf = re.sub(rf"(?m)^{option}=.*\n?", "", conf).rstrip("\n") + f"\n{option}={value}\n"
    return conf


def _read(text: str) -> dict[str, _Any]:
    # Python 3.11, which not each host of OE-Core has: asked for where it is used.
    import tomllib

    return tomllib.loads(text)


def _services(config: dict[str, _Any]) -> dict[str, dict[str, _Any]]:
    return CATALOGUE | config.get("services", {})


def _named(written: _Any, services: dict[str, dict[str, _Any]]) -> list[dict[str, _Any]]:
    if isinstance(written, dict):
        return [written]
    return [services.get(name, {}) for name in ([written] if isinstance(written, str) else written)]


def _range(written: int | str) -> tuple[int, int]:
    first, _, last = str(written).partition("-")
    return int(first), int(last or first)
