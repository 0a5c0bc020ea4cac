"""Interfaces, addresses, routes, neighbours and forwarding from the same file."""

from __future__ import annotations

import os
import re
import signal
import time

from lab import probes
from lab.capture import Capture
from lab.hosts import Host, Wiring
from lab.probes import PATIENCE, wait_until
from netns.dhcp import DhcpTest
from netns.network import NetworkTest
from netns.policies import MARKED
from netns.program import Result
from netns.tables import meant

SECOND = Wiring("second", "eth3", "192.168.8.111", 24, router="192.168.8.1",
                address6="fd00:8::111", router6="fd00:8::1")


class NetworkLegacy(DhcpTest, NetworkTest):
    def links(self) -> str:
        return self.router.run(["ip", "-4", "-br", "address"], check=True).stdout

    def routes(self, table: str = "main") -> str:
        return self.router.run(["ip", "route", "show", "table", table], check=True).stdout

    # -- no more than has to be --

    def test_a_second_apply_sends_no_change_message(self) -> None:
        self.extend("""
[[routes]]
to = "10.1.0.0/16"
via = "192.168.5.10"
metric = 7

[[routes]]
to = "10.0.0.0/8"
blackhole = true

""" + MARKED + """
[[cameras]]
name = "porch"
address = "192.168.8.110"
mac = "02:00:00:00:00:11"
""")
        self.assertGreaterEqual(len(self.traced("boot")), 3 + 3 + 4 + 1 + 1)
        self.assertEqual(self.traced("apply"), [])
        self.camfw("status")

    def test_what_the_file_no_longer_wants_goes_and_what_others_made_stays(self) -> None:
        self.change_config('"192.168.8.1/24"', '["192.168.8.1/24", "192.168.9.1/24"]')
        self.extend('\n[[routes]]\nto = "10.1.0.0/16"\nvia = "192.168.9.9"\n')
        self.camfw("boot")
        self.router.ip("address", "add", "192.168.77.1/24", "dev", "eth1")
        self.router.ip("route", "add", "10.77.0.0/16", "via", "192.168.8.110")
        self.assertIn("192.168.9.1/24", self.links())
        drift = self.camfw("status", expect=1).stdout
        for foreign in ("192.168.77.1/24", "10.77.0.0/16"):
            self.assertIn(foreign, drift)
        text = self.program.config.read_text()
        text = text.replace('["192.168.8.1/24", "192.168.9.1/24"]', '"192.168.8.1/24"')
        self.program.configure(text[:text.index("[[routes]]")])
        self.camfw("apply")
        self.assertNotIn("192.168.9.1", self.links())
        self.assertNotIn("10.1.0.0/16", self.routes())
        self.assertIn("192.168.77.1/24", self.links())
        self.assertIn("10.77.0.0/16", self.routes())

    def test_an_interface_that_the_file_does_not_name_is_left_alone_and_said(self) -> None:
        self.router.ip("link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
        self.assertIn("eth7, eth8", self.camfw("boot").said.replace("eth8, eth7", "eth7, eth8"))
        shown = self.router.run(["ip", "-br", "link", "show", "eth7"], check=True).stdout
        self.assertIn("DOWN", shown)
        self.camfw("status")

    # -- interfaces --

    def test_interfaces_by_hardware_address_get_their_names(self) -> None:
        """eth1 and eth2 have swapped names; the file restores them."""
        macs = {"eth1": "02:00:00:00:01:02", "eth2": "02:00:00:00:01:01"}
        for interface, mac in macs.items():
            self.router.ip("link", "set", interface, "address", mac)
        self.router.ip("link", "set", "eth1", "name", "aside")
        self.router.ip("link", "set", "eth2", "name", "eth1")
        self.router.ip("link", "set", "aside", "name", "eth2")
        text = self.program.config.read_text()
        for interface, mac in macs.items():
            text = text.replace(f'interface = "{interface}"', f'interface = {{ mac = "{mac}", name = "{interface}" }}')
        self.program.configure(text)
        self.camfw("boot")
        self.assertTrue(probes.ping(self.camera, "192.168.8.1"), "the camera is on eth1 again")
        self.assertTrue(probes.ping(self.laptop, "192.168.5.200"), "the laptop is on eth2 again")
        self.camfw("status")

    def test_a_name_that_is_taken_is_told(self) -> None:
        self.router.ip("link", "set", "eth1", "address", "02:00:00:00:01:02")
        self.change_config('interface = "eth1"', 'interface = { mac = "02:00:00:00:01:02", name = "eth2" }')
        text = self.program.config.read_text()
        self.program.configure(text.replace('interface = "eth2"\naddress   = "192.168.5.200/24"',
                                            'interface = "eth9"\naddress   = "192.168.5.200/24"'))
        self.assert_refused("eth1", "eth2")
        self.assert_not_forwarding(self.camfw("boot", expect=3), "eth1", "eth2")

    def test_no_such_hardware_address_is_told(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { mac = "02:00:00:00:09:09", name = "cam0" }')
        self.assert_refused("cam0", "02:00:00:00:09:09", "the interfaces here are eth0, eth1, eth2")

    def test_another_device_does_not_take_the_place_by_its_name(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { mac = "02:00:00:00:09:09", name = "eth1" }')
        self.assert_refused("eth1", "is another device", "02:00:00:00:09:09")
        self.assert_not_forwarding(self.camfw("boot", expect=3), "eth1", "is another device")
        self.assertFalse(probes.ping(self.camera, "192.168.8.1", 0.5), "it got no address")
        self.router.ip("link", "set", "eth1", "address", "02:00:00:00:09:09")
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, "192.168.8.1"), "control")

    def test_an_address_on_another_interface_is_told(self) -> None:
        self.router.ip("address", "add", "192.168.8.1/24", "dev", "eth0")
        self.assert_refused("eth0", "192.168.8.1/24")
        self.assert_not_forwarding(self.camfw("boot", expect=3), "eth0", "192.168.8.1/24")

    def assert_refused(self, *names: str) -> None:
        """Checks that apply changes nothing and reports the problem."""
        before = meant(self.tables.snapshot())
        self.assertEqual(self.traced("apply", expect=2), [])
        said = self.camfw("apply", expect=2).stderr
        for name in (*names, "nothing was changed"):
            self.assertIn(name, said)
        self.assertEqual(meant(self.tables.snapshot()), before)

    def assert_not_forwarding(self, result: Result, *names: str) -> None:
        """Checks that forwarding is off, the rules are loaded, and the problem is
        reported."""
        self.assertIn("Not forwarding: ", result.stderr)
        self.assertRegex(self.camfw("status", expect=3).stdout, "^NOT FORWARDING for ")
        for name in names:
            self.assertIn(name, result.said)
        self.assertEqual(self.forwarding(), "0")
        self.assertEqual(self.tables.policy("iptables", "INPUT"), "DROP")
        self.assertIn("private_to_router", self.tables.save("iptables"))

    def test_mtu_and_an_overridden_setting(self) -> None:
        self.change_config('address   = "192.168.8.1/24"', 'address   = "192.168.8.1/24"\nmtu = 1300')
        self.extend('\n[sysctls]\n"net.ipv4.conf.eth1.rp_filter" = 2\n')
        self.camfw("boot")
        shown = self.router.run(["ip", "link", "show", "eth1"], check=True).stdout
        self.assertIn("mtu 1300", shown)
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.eth1.rp_filter"), "2")
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.eth2.rp_filter"), "1")

    def test_cameras_on_one_bridge_do_not_reach_each_other(self) -> None:
        with Host(SECOND) as second:
            second.plug(self.router)
            self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1", "eth3"], name = "br-cam" }')
            self.camfw("boot")
            # Bridged frames also pass the FORWARD chain, which drops them; this test is
            # about the ports alone.
            self.router.write_sysctl("net.bridge.bridge-nf-call-iptables", "0")
            for host in (self.camera, second.namespace):
                self.assertTrue(probes.ping(host, "192.168.8.1"), "each reaches the router")
            self.assertFalse(probes.ping(self.camera, SECOND.address, 1))
            self.assertFalse(probes.ping(second.namespace, "192.168.8.110", 1))
            self.assertEqual(self.traced("apply"), [])
            # Without port isolation, they would.
            self.router.run(["bridge", "link", "set", "dev", "eth3", "isolated", "off"], check=True)
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, SECOND.address, 1))))
            drift = self.camfw("status", expect=1)
            self.assertIn("eth3", drift.stdout)
            self.camfw("apply")
            self.assertFalse(probes.ping(self.camera, SECOND.address, 1))

    # -- routes and neighbours --

    def test_marked_packets_take_a_table_of_their_own(self) -> None:
        self.extend(MARKED)
        self.camfw("boot")
        ping = ["ping", "-c", "1", "-W", "1", "10.9.9.9"]
        with Capture(self.laptop, "icmp and dst host 10.9.9.9") as laptop, \
                Capture(self.internet, "icmp and dst host 10.9.9.9") as internet:
            self.router.run([*ping, "-m", "3"])
            self.assertEqual((laptop.count(1), internet.count()), (1, 0))
            self.router.run(ping)
            self.assertEqual((laptop.count(1), internet.count(1)), (1, 1))

    def test_a_black_hole_swallows_what_no_route_is_longer_for(self) -> None:
        ping = ["ping", "-c", "1", "-W", "1", "10.1.2.3"]
        with Capture(self.internet, "icmp and dst host 10.1.2.3") as internet:
            self.camfw("boot")
            self.router.run(ping)
            self.assertEqual(internet.count(1), 1, "by the default route")
            self.extend('\n[[routes]]\nto = "10.0.0.0/8"\nblackhole = true\n')
            self.camfw("apply")
            self.router.run(ping)
            self.assertEqual(internet.count(), 1)

    def test_a_cameras_address_is_its_hardware_addresss(self) -> None:
        camera = '\n[[cameras]]\nname = "porch"\naddress = "192.168.8.110"\nmac = "{}"\n'
        example = self.program.config.read_text()
        self.program.configure(example + camera.format("02:00:00:00:00:11"))
        self.camfw("boot")
        self.assertTrue(probes.ping(self.router, "192.168.8.110"))
        # Packets go to the device in the file, whatever host answers ARP requests.
        self.program.configure(example + camera.format("02:00:00:00:00:99"))
        self.camfw("apply")
        self.assertFalse(probes.ping(self.router, "192.168.8.110", 1))

    # -- late, and coming and going --

    def test_boot_waits_for_an_interface_and_takes_it_when_it_comes(self) -> None:
        self.unplug("camera")
        self.extend("\n[router]\nwait = 300\n")
        process = self.program.start("boot")
        self.assertTrue(self.hears("waits up to 300 s: "))
        self.assertIsNone(process.poll(), "it waits")
        self.assertEqual(self.forwarding(), "0")
        self.replug("camera")
        # Well before that time is up.
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(probes.ping(self.camera, "192.168.8.1"))
        self.camfw("status")

    def test_what_is_missing_is_told_and_watch_finishes_the_job(self) -> None:
        self.unplug("camera")
        self.extend("\n[router]\nwait = 0\n")
        self.assertIn("incomplete: interface eth1 ", self.camfw("boot", expect=1).stderr)
        self.assertRegex(self.camfw("status", expect=1).stdout, "^APPLIED, INCOMPLETE for ")
        self.assertTrue(probes.ping(self.laptop, "192.168.5.200"), "the rest is up")
        self.assertEqual(self.forwarding(), "1")
        with self.program.watching():
            for _ in range(2):
                self.replug("camera")
                self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, "192.168.8.1", 1))))
                self.assertTrue(wait_until(lambda: self.forwarding() == "1"))
                for key in ("rp_filter", "log_martians"):
                    self.assertEqual(self.router.read_sysctl(f"net.ipv4.conf.eth1.{key}"), "1")
                self.camfw("status")
                self.unplug("camera")
        self.assertTrue(probes.ping(self.laptop, "192.168.5.200"))

    def test_watch_changes_nothing_where_the_rules_are_not_those_of_the_file(self) -> None:
        self.camfw("boot")
        self.change_config('"192.168.8.1/24"', '"192.168.88.1/24"')
        with self.program.watching():
            self.assertTrue(self.hears("camfw apply"))
            self.assertIn("192.168.8.1/24", self.links())

    def test_an_interface_that_flaps_lets_nothing_through(self) -> None:
        self.extend("\n[router]\nwait = 0\n")
        self.camfw("boot")
        with self.program.watching(), Capture(self.internet, "src net 192.168.8.0/24") as internet:
            for round_ in range(100):
                state = "down" if round_ % 2 == 0 else "up"
                self.router.ip("link", "set", "eth1", state)
                self.camera.run(["ping", "-c", "1", "-W", "0.05", "192.168.0.1"])
                time.sleep(0.02)
            self.router.ip("link", "set", "eth1", "up")
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, "192.168.8.1", 1))))
            self.assertEqual(internet.count(), 0)
        self.camfw("status")

    # -- DHCP --

    def test_address_and_gateway_come_by_dhcp_and_nothing_else_does(self) -> None:
        with self.dhcp_server("192.168.0.1", "192.168.0.50", "192.168.0.60"):
            self.boot_with_dhcp()
            self.assertTrue(wait_until(lambda: "default via 192.168.0.1 dev eth0" in self.routes()), self.routes())
            own = re.search(r"eth0\S*\s+\S+\s+(192\.168\.0\.\d+)/24", self.links())
            self.assertIsNotNone(own, self.links())
            assert own is not None
            self.assertTrue(probes.ping(self.internet, own[1]))
            self.assertEqual(probes.scan(self.internet, own[1], "1-1024"), frozenset())
            # An apply leaves the lease alone, and starts no second client.
            self.assertEqual(self.traced("apply"), [])
            self.assertIn(own[1], self.links())
            self.camfw("status")

    def test_dhcpcd_hands_its_lease_over_and_configures_nothing_itself(self) -> None:
        with self.dhcp_server("192.168.0.1", "192.168.0.50", "192.168.0.60"):
            self.boot_with_dhcp(client="dhcpcd")
            self.assertTrue(wait_until(lambda: "default via 192.168.0.1 dev eth0" in self.routes()), self.routes())
            own = re.search(r"eth0\S*\s+\S+\s+(192\.168\.0\.\d+)/24", self.links())
            assert own is not None, self.links()
            # Address and route are camfw's own, or status would tell them.
            self.assertEqual(self.camfw("apply").stdout.count("DHCP client started"), 0)
            self.camfw("status")
            self.assertTrue(probes.ping(self.internet, own[1]))
        # A lease that is gone takes both along.
        pid = int((self.program.run_folder / "dhcpcd/eth0-4.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(wait_until(lambda: own[1] not in self.links() and "default" not in self.routes()), self.links())

    def test_a_lease_in_another_zones_network_is_not_taken(self) -> None:
        with self.dhcp_server("192.168.8.1", "192.168.8.50", "192.168.8.60") as leases:
            said = self.boot_with_dhcp().said
            self.assertTrue(wait_until(lambda: leases.stat().st_size > 0), "a lease was given")
            self.assertTrue("overlaps" in said or self.hears("overlaps"))
            self.assertNotRegex(self.links(), r"eth0\S*\s+\S+\s+192")
            self.assertNotIn("default", self.routes())
            self.assertIn("overlaps", self.camfw("status", expect=1).stdout)

    def hook(self, event: str, *lease: str, expect: int = 0) -> Result:
        """Runs the hook as udhcpc does, with a lease in the environment."""
        environment = " ".join((f"CAMFW_CONFIG={self.program.config}", "interface=eth0", *lease))
        return self.camfw(before=["/bin/sh", "-c", f'export {environment}; exec "$0" {event}'], expect=expect)

    def test_a_lease_that_no_network_gives_is_told_by_status(self) -> None:
        self.extend('\n[[routes]]\nto = "10.1.0.0/16"\nvia = "192.168.8.110"\n')
        self.boot_with_dhcp()
        self.camfw("status")
        good = ("ip=10.9.0.7", "mask=24", "router=10.9.0.1")
        for lease, why in (
            (("ip=127.0.0.5", "mask=8", "router=127.0.0.1"), "loopback"),
            (("ip=0.0.0.0", "mask=0", "router=0.0.0.0"), "it is not taken"),
            (("ip=10.1.7.7", "mask=24", "router=10.1.7.1"), "to which a route leads by zone camera"),
            (("ip=192.168.5.7", "mask=24", "router=192.168.5.1"), "of zone private"),
        ):
            with self.subTest(lease):
                before = self.routes(), self.links()
                self.assertIn(why, self.hook("bound", *lease, expect=1).said)
                self.assertEqual((self.routes(), self.links()), before)
                self.assertIn(why, self.camfw("status", expect=1).stdout)
                self.hook("renew", *good)
                self.camfw("status")
                self.hook("deconfig")
                self.camfw("status")

    def test_a_refusal_that_cannot_be_forgotten_is_exit_1(self) -> None:
        self.boot_with_dhcp()
        good = ("ip=10.9.0.7", "mask=24", "router=10.9.0.1")
        # In place of the file that records a refused lease.
        (self.program.run_folder / "camfw/lease-refused-eth0").mkdir()
        self.assertIn("cannot remove", self.hook("bound", *good, expect=1).said)
        self.assertIn("10.9.0.7/24", self.links(), "the lease is in")
        (self.program.run_folder / "camfw/lease-refused-eth0").rmdir()
        self.hook("renew", *good)

    def test_an_unreachable_route_is_behind_a_lease(self) -> None:
        self.boot_with_dhcp()

        def behind() -> list[str]:
            return [line for line in self.routes("all").splitlines() if line.startswith("unreachable 10.")]

        self.hook("bound", "ip=10.9.0.7", "mask=24", "router=10.9.0.1")
        self.assertEqual(len(behind()), 1)
        self.hook("deconfig")
        self.assertIn("10.9.0.0/24", behind()[0], "it stays until the next lease")
        self.hook("bound", "ip=10.8.0.7", "mask=24", "router=10.8.0.1")
        self.assertEqual(len(behind()), 1)
        self.assertIn("10.8.0.0/24", behind()[0])
        self.assertEqual(self.traced("apply"), [])
        self.camfw("status")
        # The zone has a static address again.
        text = self.program.config.read_text()
        self.program.configure(text.replace('"dhcp"', '"192.168.0.2/24"\ngateway = "192.168.0.1"'))
        self.end_dhcp()
        self.hook("deconfig")
        self.camfw("apply")
        self.assertEqual(behind(), [])
