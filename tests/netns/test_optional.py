"""Missing interfaces: apply refuses before it changes anything; boot and later commands
forward without them; and optional ones are not waited for."""

from __future__ import annotations

import json

from lab import probes
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

VPN = """
[zones.vpn]
interface = "wg0"
address = "10.9.0.1/24"
role = "private"
"""
OPTIONAL = VPN + "optional = true\n"
REST = ("[router]\nwait = 0\n" + allow("any", "router", "ping") + allow("private", "camera", "ping")
        + allow("vpn", "camera", '["http", "rtsp"]'))


@both_backends
class Optional(RouterTest):
    def configure(self, vpn: str) -> None:
        self.program.configure(ZONES + vpn + REST)

    def crosses(self, wait: float = probes.PATIENCE) -> bool:
        return bool(probes.ping(self.laptop, self.lab.address("laptop", "camera"), wait))

    def state(self, expect: int) -> dict[str, object]:
        report = json.loads(self.camfw("status", "--json", expect=expect).stdout)
        assert isinstance(report, dict)
        return report

    def test_apply_refuses_a_missing_interface_and_names_those_that_are_there(self) -> None:
        self.program.configure(ZONES + REST.replace(allow("vpn", "camera", '["http", "rtsp"]'), ""))
        self.camfw("boot")
        before = self.tables.snapshot()
        self.configure(VPN)
        said = self.camfw("apply", expect=2).stderr
        for word in ("wg0", "zone vpn", "eth0, eth1, eth2", "optional = true", "nothing was changed"):
            self.assertIn(word, said)
        self.assertEqual(self.tables.snapshot(), before)
        self.assertEqual(self.forwarding(), "1")
        self.assertTrue(self.crosses())
        self.camfw("apply", "--confirm", "60", expect=2)
        self.assertEqual(self.tables.snapshot(), before)

    def test_boot_forwards_between_the_zones_that_are_there(self) -> None:
        self.configure(VPN)
        said = self.camfw("boot", expect=1).stderr
        self.assertIn("Applied, incomplete: interface wg0 of zone vpn does not exist", said)
        self.assertTrue(self.crosses())
        self.assertRegex(self.camfw("status", expect=1).stdout, "^APPLIED, INCOMPLETE for ")
        # When the interface appears, watch sets it up.
        with self.program.watching():
            self.router.ip("link", "add", "wg0", "type", "veth", "peer", "name", "wg0-peer")
            self.assertTrue(wait_until(lambda: self.program.run("status").code == 0))
            self.assertEqual(self.state(0)["missing"], [])

    def test_one_that_goes_missing_later_leaves_the_rest_forwarding(self) -> None:
        self.router.ip("link", "add", "wg0", "type", "veth", "peer", "name", "wg0-peer")
        self.configure(VPN)
        self.camfw("boot")
        self.camfw("status")
        self.router.ip("link", "delete", "wg0")
        self.assertRegex(self.camfw("status", expect=1).stdout, "^APPLIED, INCOMPLETE for ")
        with self.program.watching():
            self.assertTrue(wait_until(lambda: "wg0" in self.program.logged()))
            self.assertTrue(self.crosses())
            self.assertEqual(self.forwarding(), "1")

    def test_an_optional_one_is_not_waited_for_and_comes_up_when_it_comes(self) -> None:
        self.program.configure((ZONES + OPTIONAL + REST).replace("wait = 0", "wait = 300"))
        self.camfw("boot")
        self.camfw("apply")
        self.camfw("status")
        self.assertTrue(self.crosses())
        self.assertIn("vpn_to_camera", self.tables.save("iptables"))
        self.router.ip("link", "add", "wg0", "type", "veth", "peer", "name", "wg0-peer")
        self.assertIn("wg0", self.camfw("status", expect=1).stdout)
        self.camfw("apply")
        self.camfw("status")
        self.router.ip("link", "delete", "wg0")
        self.camfw("status")
        with self.program.watching():
            self.router.ip("link", "add", "wg0", "type", "veth", "peer", "name", "wg0-peer")
            self.assertTrue(wait_until(lambda: "10.9.0.1/24" in self.router.run(
                ["ip", "-4", "-br", "address", "show", "wg0"]).stdout))
        self.assertTrue(wait_until(lambda: self.program.run("status").code == 0))
