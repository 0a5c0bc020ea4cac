"""Lines that name several zones: each of them may, and no other."""

from __future__ import annotations

from lab import example, probes
from lab.hosts import Wiring
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES

OFFICE = Wiring("office", "eth3", "192.168.6.10", 24, router="192.168.6.1",
                address6="fd00:6::10", router6="fd00:6::1")
GUEST = Wiring("guest", "eth4", "192.168.7.10", 24, router="192.168.7.1",
               address6="fd00:7::10", router6="fd00:7::1")
MORE = "".join(f'\n[zones.{it.name}]\ninterface = "{it.interface}"\naddress = "{it.router}/24"\nrole = "private"\n'
               for it in (OFFICE, GUEST))
PORT, OTHER = 554, 80
LINE = f'[[allow]]\nfrom = {{}}\nto = {{}}\nservice = {{{{ tcp = [{PORT}] }}}}\n'


@both_backends
class SeveralZones(RouterTest):
    """Three networks that might look at the cameras, and the cameras and the router that they might look at."""

    wirings = (*example.WIRINGS, OFFICE, GUEST)

    def setUp(self) -> None:
        super().setUp()
        self.clients = {name: self.lab.hosts[name].namespace for name in ("laptop", "office", "guest")}
        for host in (self.camera, self.router, self.internet):
            self.addCleanup(Listener(host, [PORT, OTHER]).stop)

    def reached(self, target: str, port: int, may: set[str]) -> set[str]:
        """Who reaches it; who may has more time to."""
        return {name for name, host in self.clients.items()
                if probes.tcp(host, self.lab.address(name, target), port, probes.PATIENCE if name in may else 1.0)}

    def test_each_zone_that_is_named_may_and_no_other(self) -> None:
        everybody, named = set(self.clients), {"laptop", "office"}
        self.lab.configure_router()
        for target in ("camera", "router"):
            self.assertEqual(self.reached(target, PORT, everybody), everybody, "control: without a firewall")
        self.boot(ZONES, MORE, LINE.format('["private", "office"]', '["camera", "router"]'))
        for target in ("camera", "router"):
            self.assertEqual(self.reached(target, PORT, named), named, target)
            self.assertEqual(self.reached(target, OTHER, set()), set(), target)
        self.assertEqual(self.reached("internet", PORT, set()), set())
        # One of them is left out.
        self.boot(ZONES, MORE, LINE.format('["private", "office"]', '["camera", "router"]') +
                  f'[[deny]]\nfrom = ["office", "guest"]\nto = "camera"\naddress = "{example.CAMERA.address}"\n')
        self.assertEqual(self.reached("camera", PORT, {"laptop"}), {"laptop"})
        self.assertEqual(self.reached("router", PORT, named), named)
        self.camfw("prove", "--live")
