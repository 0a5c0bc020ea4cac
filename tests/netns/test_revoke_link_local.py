"""Connections of link-local addresses end when the line that allowed them is removed,
and not before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lab.namespace import Namespace
from lab.probes import PATIENCE, echoes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import allow
from netns.test_ipv6_same import zones

SSH = allow("private", "router", "ssh")
FTP = allow("camera", "router", "{ tcp = [21] }")


@both_backends
class RevokeLinkLocal(RouterTest):
    """The connection table alone does not say on which interface fe80::1 is."""

    def link_local(self, namespace: Namespace, interface: str) -> str:
        show = ["ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link"]
        return namespace.run(show, check=True).stdout.split()[3].split("/")[0]

    @contextmanager
    def flow(self, source: Namespace, interface: str, target: str, port: int) -> Iterator[socket.socket]:
        with source.entered():
            scope = socket.if_nametoindex(interface)
        with source.socket(socket.AF_INET6) as flow:
            flow.settimeout(PATIENCE)
            flow.connect((target, port, 0, scope))
            self.assertTrue(echoes(flow), f"control: {target} port {port} answers")
            yield flow

    def test_to_the_router(self) -> None:
        self.boot(zones(), SSH, FTP)
        private, camera = self.link_local(self.router, "eth2"), self.link_local(self.router, "eth1")
        with Listener(self.router, (21, 22), family=socket.AF_INET6), \
                self.flow(self.laptop, "eth0", private, 22) as ssh, self.flow(self.camera, "eth0", camera, 21) as ftp:
            self.program.configure("\n".join((zones(), SSH, FTP, allow("private", "camera", "http"))))
            self.camfw("apply")
            self.assertTrue(echoes(ssh) and echoes(ftp), "an unrelated change ends none")
            # Now the camera may use SSH, and the laptop may not.
            self.program.configure("\n".join((zones(), allow("camera", "router", "ssh"), FTP)))
            self.assertIn("ended 1 connection", self.camfw("apply").log)
            self.assertFalse(echoes(ssh, 1))
            self.assertTrue(echoes(ftp))

    def test_from_the_router(self) -> None:
        listed = '[router]\negress = "listed"\n'
        self.boot(zones(), allow("router", "private", "http"), listed)
        laptop = self.link_local(self.laptop, "eth0")
        with Listener(self.laptop, (80,), family=socket.AF_INET6), self.flow(self.router, "eth2", laptop, 80) as flow:
            self.program.configure("\n".join((zones(), allow("router", "private", "http"), FTP, listed)))
            self.camfw("apply")
            self.assertTrue(echoes(flow), "an unrelated change ends none")
            self.program.configure("\n".join((zones(), allow("router", "camera", "http"), FTP, listed)))
            self.assertIn("ended 1 connection", self.camfw("apply").log)
            self.assertFalse(echoes(flow, 1))
