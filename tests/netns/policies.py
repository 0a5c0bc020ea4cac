"""Owns the parts from which the tests build their configurations.

The zones are those of lab.example, written by hand, as a user would.
"""

from __future__ import annotations

EXTERNAL = """
[zones.external]
interface = "eth0"
address = "192.168.0.2/24"
gateway = "192.168.0.1"
role = "external"
"""
CAMERA = """
[zones.camera]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"
"""
PRIVATE = """
[zones.private]
interface = "eth2"
address = "192.168.5.200/24"
role = "private"
"""
ZONES = EXTERNAL + CAMERA + PRIVATE
# Packets with mark 3 are routed through the laptop.
MARKED = """
[[routes]]
to = "0.0.0.0/0"
via = "192.168.5.10"
table = 300

[[marks]]
fwmark = 3
table = 300
"""
PING = '[[allow]]\nfrom = "any"\nto = "router"\nservice = "ping"\n'


def allow(source: str, target: str, service: str, *more: str) -> str:
    """An allow line; `service` is TOML or the name of a service."""
    written = service if service[0] in '{["' else f'"{service}"'
    lines = ("[[allow]]", f'from = "{source}"', f'to = "{target}"', f"service = {written}", *more)
    return "\n".join(lines) + "\n"


def camera(name: str, address: str, mac: str | None = None, *lines: str) -> str:
    """A camera with its own allow lines, each given as the content of a TOML inline
    table."""
    bound = [] if mac is None else [f'mac = "{mac}"']
    own = [f"allow = [{', '.join(f'{{ {line} }}' for line in lines)}]"] if lines else []
    return "\n".join(("[[cameras]]", f'name = "{name}"', f'address = "{address}"', *bound, *own)) + "\n"
