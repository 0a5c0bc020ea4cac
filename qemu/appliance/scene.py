"""Owns the appliance's surroundings: the three hosts, each behind a network card.

The hosts outlive a boot, and their services with them: boot as often as needed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lab import example, record, table
from lab.hosts import INTERFACE, Host, Wiring
from lab.namespace import LabError, sweep
from lab.probes import PATIENCE, Target, tcp
from lab.record import Tried
from lab.services import make_key
from lab.stations import Station
from lab.table import Flow, Row

from appliance.cpio import Entry
from appliance.image import Image, login
from appliance.machine import Machine, mac

# What the router's web server has, in overlay/srv/www.
ROUTER_PAGE = "the page of router\n"

# What tells that its services are up.
ROUTER_PORTS = {"ftp": 21, "ssh": 22}


class Scene:
    """A camera, a laptop and the internet, with every service on each of them.

    A context manager; `scratch` is a folder of its own. `wirings` are those hosts, that of
    eth0 first.
    """

    def __init__(self, scratch: Path, wirings: Sequence[Wiring] = example.WIRINGS) -> None:
        sweep()
        self.scratch = scratch
        self._boots = 0
        with contextlib.ExitStack() as stack:
            self.hosts: dict[str, Host] = {}
            self._cards: list[int] = []
            self._stations: dict[str, Station] = {}
            for number, wiring in enumerate(wirings):
                host = stack.enter_context(Host(wiring))
                card = host.tap()
                stack.callback(os.close, card)
                # A neighbour that needs no asking: a host that sends during the
                # boot sends to a router that does not answer ARP yet.
                host.namespace.ip(
                    "neigh", "replace", wiring.router, "lladdr", mac(number),
                    "nud", "permanent", "dev", INTERFACE,
                )
                self.hosts[wiring.name] = host
                self._cards.append(card)
                self._stations[wiring.name] = stack.enter_context(
                    Station(host.namespace, scratch / wiring.name))
            self.key = make_key(scratch / "key")
            self._stack = stack.pop_all()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def cards(self) -> list[int]:
        """The network cards of a machine between the hosts, eth0 first."""
        return list(self._cards)

    @property
    def login(self) -> dict[str, Entry]:
        """What lets the laptop's user in."""
        return login(self.key.with_name(f"{self.key.name}.pub").read_text())

    def boot(
        self, image: Image, files: Mapping[str, Entry], *, log: Path | None = None,
        echo: Callable[[str], None] | None = None, data: Path | None = None,
    ) -> Machine:
        """Start the appliance with files added to its image. One at a time. `data`
        is as for a Machine."""
        self._boots += 1
        booted = image.with_files({**files, **self.login}, self.scratch / f"boot{self._boots}")
        return Machine(booted, self._cards, log=log, echo=echo, data=data)

    def wait_for_services(self, attempts: Iterable[tuple[Flow, bool]], seconds: float = 600) -> None:
        """Wait until the router's services answer those who may reach them."""
        deadline = time.monotonic() + seconds
        for flow, allowed in attempts:
            port = ROUTER_PORTS.get(flow.service)
            if flow.target != "router" or not allowed or port is None:
                continue
            host = self.hosts[flow.source]
            while not tcp(host.namespace, host.wiring.router, port, wait=1):
                if time.monotonic() > deadline:
                    raise LabError(f"the router's {flow.service} does not answer the {flow.source}")
                time.sleep(0.1)

    def try_all(self, attempts: Iterable[tuple[Flow, bool]]) -> list[Row]:
        """Who reaches whom, by real clients."""
        namespaces = {name: host.namespace for name, host in self.hosts.items()}
        return table.try_all(attempts, namespaces, self._target, parallel=24)

    def recorded(self, wanted: set[Tried], seconds: float) -> tuple[set[Tried], str]:
        """What `camfw blocked` has of the camera, once it is recorded and has all of `wanted`, or the time is
        over; and what it said where it has nothing. Asked over SSH from the laptop, which must be allowed that."""
        deadline = time.monotonic() + seconds
        while True:
            recording, text, said = self._blocked()
            named = set(record.named(text)) if recording else set()
            if (recording and wanted <= named) or time.monotonic() > deadline:
                return named, said
            time.sleep(0.5)

    def _blocked(self) -> tuple[bool, str, str]:
        """Whether `camfw blocked` says that it is recorded, and what it prints and says."""
        laptop = self.hosts["laptop"]
        done = laptop.namespace.run(
            ["ssh", "-F", "none", "-i", self.key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"root@{laptop.wiring.router}",
             "camfw blocked --json"], timeout=PATIENCE * 2)
        # 255 is ssh's own.
        said = done.stderr or ("nobody records it: camfw watch does not run" if done.returncode == 1 else "")
        return done.returncode == 0, done.stdout, said

    def _target(self, flow: Flow) -> Target:
        if flow.target == "router":
            address = self.hosts[flow.source].wiring.router
            return Target(address, page=ROUTER_PAGE, ssh_key=self.key)
        return self._stations[flow.target].at(self.hosts[flow.target].address)
