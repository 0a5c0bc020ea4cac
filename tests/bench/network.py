"""Writes what tests/bench/network measures with: the configuration, and for
`ip -batch` the links to begin with, the same network, and its undoing.

usage: network.py FOLDER
"""

import sys
from pathlib import Path

INTERFACES = 256
ROUTES = 2000


def main() -> None:
    folder = Path(sys.argv[1])
    zones = [(f"z{n}", f"n{n}", f"10.{n // 200}.{n % 200}.1/24") for n in range(INTERFACES)]
    routes = [(f"172.{16 + n // 250}.{n % 250}.0/24", f"10.0.{n % 200}.2") for n in range(ROUTES)]
    config = "".join(
        f'[zones.{name}]\ninterface = "{link}"\naddress = "{address}"\nrole = "private"\n\n'
        for name, link, address in zones
    ) + "".join(f'[[routes]]\nto = "{to}"\nvia = "{via}"\n\n' for to, via in routes)
    # No sources are checked for more than the zones' own networks and routes.
    (folder / "camfw.toml").write_text(config)
    (folder / "links").write_text("".join(
        f"link add {link} type veth peer name peer-{link}\nlink set peer-{link} up\n" for _, link, _ in zones
    ))
    (folder / "batch").write_text(
        "".join(f"address add {address} dev {link}\n" for _, link, address in zones)
        + "".join(f"link set {link} up\n" for _, link, _ in zones)
        + "".join(f"route add {to} via {via}\n" for to, via in routes)
    )
    # Setting a link down takes its routes along.
    (folder / "undo").write_text("".join(
        f"link set {link} down\naddress flush dev {link}\n" for _, link, _ in zones
    ))


main()
