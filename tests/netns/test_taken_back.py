"""What a file did to interfaces is undone by the next one, and at the end of a trial: ports leave camfw's bridges,
these go, and devices get their names back. Other people's bridges stay."""

from __future__ import annotations

from contextlib import ExitStack

from lab import example, probes
from lab.capture import Capture
from lab.hosts import INTERFACE, Wiring
from lab.probes import wait_until
from lab.services import Listener
from netns.case import both_backends
from netns.network import NetworkTest
from netns.program import LONG, tools, wrap

CAMERA = example.CAMERA
HOME = Wiring("laptop", "eth2", "192.168.5.10", 24, router="192.168.5.1",
              address6="fd00:5::10", router6="fd00:5::1")
TV = Wiring("tv", "eth3", "192.168.5.60", 24, router="192.168.5.1",
            address6="fd00:5::60", router6="fd00:5::1")
YARD = Wiring("yard", "eth4", "192.168.8.111", 24, router="192.168.8.1",
              address6="fd00:8::111", router6="fd00:8::1")
# An address of the house's network, which the camera gives itself.
INSIDE = "192.168.5.99"
HTTPS = 443
SHORT = 1.5

ETH2 = '"eth2"'
SWITCH = '{ bridge = ["eth2", "eth3"], not-isolated = ["eth2", "eth3"], name = "br-home" }'
WITH_CAMERA = '{ bridge = ["eth2", "eth3", "eth1"], not-isolated = ["eth2", "eth3", "eth1"], name = "br-home" }'


def policy(home: str, cam: str = '"eth1"') -> str:
    return f"""
[zones.cam]
interface = {cam}
address   = "192.168.8.1/24"
role      = "camera"

[zones.home]
interface = {home}
address   = "192.168.5.1/24"
role      = "private"

[[allow]]
from    = ["cam", "home"]
to      = "router"
service = "ping"

[[allow]]
from    = "home"
to      = "router"
service = "https"
"""


@both_backends
class TakenBack(NetworkTest):
    wirings = (example.INTERNET, CAMERA, HOME, TV, YARD)

    def setUp(self) -> None:
        super().setUp()
        self.tv = self.lab.hosts["tv"].namespace
        self.yard = self.lab.hosts["yard"].namespace
        self.camera.ip("address", "add", f"{INSIDE}/24", "dev", INTERFACE)

    def has_link(self, name: str) -> bool:
        return self.router.run(["ip", "link", "show", "dev", name]).returncode == 0

    def shown(self, name: str) -> str:
        return self.router.run(["ip", "-d", "link", "show", "dev", name], check=True).stdout

    def is_port(self, name: str) -> bool:
        return " master " in self.shown(name)

    def reaches_house(self, wait: float = SHORT) -> bool:
        with Listener(self.tv, [HTTPS]):
            return bool(probes.tcp(self.camera, TV.address, HTTPS, wait))

    def try_out(self, text: str) -> None:
        self.program.configure(text)
        self.camfw("apply", "--confirm", LONG)

    def wait_for_the_end(self) -> str:
        """Ends the trial, and returns what the log then says."""
        self.program.reach_the_deadline()
        said = ""

        def is_over() -> bool:
            nonlocal said
            said += self.program.logged()
            return "Applied: the last good policy" in said or "Not forwarding" in said

        self.assertTrue(wait_until(is_over), said)
        return said

    def assert_back(self, text: str) -> None:
        """Once the trial is over, all is as the file before it says."""
        said = self.wait_for_the_end()
        line = next(line for line in said.splitlines() if "Applied: the last good policy" in line)
        self.assertNotIn("; but ", line)
        status = self.camfw("status", expect=1).stdout
        self.assertRegex(status, "^LAST GOOD for ")
        self.assertNotIn("past the firewall", status)
        self.assertNotIn("not so:", status)
        self.assert_reached()
        self.program.configure(text)
        self.assert_nothing_more()

    def assert_nothing_more(self) -> None:
        self.camfw("apply")
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [], "no change message")

    def assert_reached(self) -> None:
        self.assertTrue(probes.ping(self.laptop, HOME.router), "the house")
        self.assertTrue(probes.ping(self.camera, CAMERA.router), "the camera")

    def assert_switched(self, switched: bool) -> None:
        """Whether what is plugged into eth2 and into eth3 reaches each other; else, where on the way it was lost."""
        if bool(probes.ping(self.laptop, TV.address, probes.PATIENCE if switched else SHORT)) == switched:
            return
        places = ((self.router, "eth2"), (self.tv, INTERFACE), (self.router, "eth3"), (self.laptop, INTERFACE))
        with ExitStack() as stack:
            captures = [stack.enter_context(Capture(host, "arp or icmp", link)) for host, link in places]
            now = probes.ping(self.laptop, TV.address, 4.0)
            came = [f"{host.name} {link}: {capture.packets}" for (host, link), capture in zip(places, captures, strict=True)]
        links = self.router.run(["ip", "-s", "-d", "link"]).stdout
        self.fail("\n".join((f"switched is not {switched}, now: {now}; on the way came", *came, links)))

    # -- the end of a trial --

    def test_a_camera_that_was_a_port_of_the_house_is_out_of_it_again(self) -> None:
        good = policy(SWITCH)
        self.boot(good)
        self.assertFalse(self.reaches_house())
        self.try_out(policy(WITH_CAMERA, '"eth4"'))
        self.assertTrue(self.reaches_house(probes.PATIENCE), "control: on trial it is in the house")
        self.assert_back(good)
        self.assertFalse(self.is_port("eth1"))
        self.assertFalse(self.reaches_house())
        self.assertFalse(probes.ping(self.camera, TV.address, SHORT))
        self.assertTrue(probes.ping(self.laptop, TV.address), "the switch is as before")

    def test_a_house_that_was_a_switch_is_one_interface_again(self) -> None:
        good = policy(ETH2)
        self.boot(good)
        self.assertFalse(probes.ping(self.laptop, TV.address, SHORT))
        self.try_out(policy(SWITCH))
        self.assertTrue(probes.ping(self.laptop, TV.address), "control")
        self.assert_back(good)
        self.assertFalse(self.has_link("br-home"))
        self.assertFalse(self.is_port("eth3"))
        self.assertIn("UP", self.shown("eth3").splitlines()[0], "as it was")
        self.assertFalse(probes.ping(self.laptop, TV.address, SHORT))

    def test_a_switch_that_was_one_interface_is_a_switch_again(self) -> None:
        good = policy(SWITCH)
        self.boot(good)
        self.try_out(policy(ETH2))
        self.assertFalse(self.has_link("br-home"))
        self.assertFalse(probes.ping(self.laptop, TV.address, SHORT), "control")
        self.assert_back(good)
        self.assertTrue(probes.ping(self.laptop, TV.address))

    def test_a_renamed_interface_has_its_name_again(self) -> None:
        good = policy(ETH2)
        self.boot(good)
        self.router.ip("link", "set", "eth2", "alias", "to the house")
        mac = "02:00:00:00:02:02"
        self.router.ip("link", "set", "eth2", "address", mac)
        self.try_out(policy(f'{{ mac = "{mac}", name = "lan0" }}'))
        self.assertTrue(probes.ping(self.laptop, HOME.router), "control")
        self.assertTrue(self.has_link("lan0"))
        self.assert_back(good)
        self.assertFalse(self.has_link("lan0"))
        self.assertIn("alias to the house\n", self.shown("eth2") + "\n")
        self.assertNotIn("camfw: was", self.shown("eth2"))

    def test_exchanged_names_are_exchanged_back(self) -> None:
        macs = {"eth1": "02:00:00:00:02:01", "eth2": "02:00:00:00:02:02"}
        for name, mac in macs.items():
            self.router.ip("link", "set", name, "address", mac)
        good = policy(ETH2)
        self.boot(good)
        self.try_out(policy(f'{{ mac = "{macs["eth2"]}", name = "eth1" }}', f'{{ mac = "{macs["eth1"]}", name = "eth2" }}'))
        self.assert_reached()
        self.assertIn(macs["eth2"], self.shown("eth1"), "control")
        self.assert_back(good)
        for name, mac in macs.items():
            self.assertIn(mac, self.shown(name))

    def test_a_boot_in_the_middle_of_a_trial_takes_it_back_too(self) -> None:
        good = policy(SWITCH)
        self.boot(good)
        self.program.configure(policy(WITH_CAMERA, '"eth4"'))
        self.camfw("apply", "--confirm", LONG)
        self.assertTrue(self.reaches_house(probes.PATIENCE), "control: on trial it is in the house")
        self.assertIn("last good policy", self.camfw("boot", expect=1).said)
        self.lab.settle()
        self.assertFalse(self.reaches_house())
        self.assert_reached()
        self.program.configure(good)
        self.assert_nothing_more()

    def test_a_port_is_down_before_the_rules_are_other_ones(self) -> None:
        good = policy(SWITCH)
        self.boot(policy(WITH_CAMERA, '"eth4"'))
        path, seen = tools(self.scratch / "seen", self.backend), self.scratch / "flags"
        wrap(path, "iptables-restore", f'ip -o link show eth1 >>{seen}\nreal "$@"', self.backend)
        self.program.configure(good)
        self.camfw("apply", path=path)
        lines = seen.read_text().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertNotRegex(line, "<.*[<,]UP[,>]")
        self.assert_reached()
        self.assertFalse(self.reaches_house())

    def test_rules_that_cannot_be_loaded_leave_the_port_where_it_is(self) -> None:
        self.boot(policy(SWITCH))
        self.assertTrue(probes.ping(self.laptop, HOME.router), "control")
        path, failed = tools(self.scratch / "failing", self.backend), self.scratch / "failed"
        wrap(path, "iptables-restore", "input=$(cat)\n"
             f'if [[ $input == *eth2* && ! -e {failed} ]]; then touch {failed}; echo no >&2; exit 1; fi\nreal "$@" <<<"$input"', self.backend)
        self.program.configure(policy(ETH2))
        said = self.camfw("apply", path=path, expect=1).said
        self.assertIn("Rolled back", said)
        self.assertTrue(self.is_port("eth2"))
        self.assertTrue(probes.ping(self.laptop, HOME.router))
        self.assertTrue(probes.ping(self.laptop, TV.address))

    # -- the next file --

    def test_apply_changes_and_removes_camfws_own_bridge(self) -> None:
        self.boot(policy(SWITCH))
        for home, gone, switched in (
            (SWITCH.replace("br-home", "br-lan"), "br-home", True),
            ('{ bridge = ["eth2"], name = "br-lan" }', None, False),
            (ETH2, "br-lan", False),
            (SWITCH, None, True),
        ):
            with self.subTest(home):
                self.program.configure(policy(home))
                dry = self.camfw("apply", "--dry-run").stdout
                if gone:
                    self.assertIn(f"interface {gone}: remove it", dry)
                else:
                    self.assertNotIn("remove it", dry)
                self.camfw("apply")
                self.assertFalse(gone and self.has_link(gone))
                self.assertEqual(self.is_port("eth3"), switched)
                self.assert_reached()
                self.assert_switched(switched)
                self.assert_nothing_more()

    def test_what_a_file_found_by_its_address_has_its_name_again(self) -> None:
        mac = "02:00:00:00:02:02"
        self.router.ip("link", "set", "eth2", "address", mac)
        self.boot(policy(f'{{ mac = "{mac}", name = "lan0" }}'))
        self.program.configure(policy(ETH2))
        self.assertIn("interface lan0: rename to eth2", self.camfw("apply", "--dry-run").stdout)
        self.camfw("apply")
        self.assert_reached()
        self.assert_nothing_more()

    def test_watch_takes_a_port_out_that_somebody_else_put_in(self) -> None:
        self.boot(policy(SWITCH))
        with self.program.watching():
            self.router.ip("link", "set", "eth1", "master", "br-home")
            self.assertTrue(self.hears("interface eth1: take it out of br-home"))
            self.assertTrue(wait_until(lambda: not self.is_port("eth1")))
            self.assertTrue(wait_until(lambda: self.program.run("status").code == 0))
        self.assert_reached()
        self.assertFalse(self.reaches_house())

    # -- what is not camfw's --

    def test_a_trial_that_cannot_be_taken_back_is_refused(self) -> None:
        good = policy(ETH2)
        self.boot(good)
        self.router.ip(batch="link add br-home type bridge\nlink set br-home up")
        before = self.tables.snapshot()
        for home, why in (
            (SWITCH, "interface eth2: make it a port of br-home"),
            (f"{ETH2}\nmtu = 1400", "interface eth2: set MTU 1400"),
        ):
            self.program.configure(policy(home))
            refused = self.camfw("apply", "--confirm", LONG, expect=2).stderr
            self.assertIn(f"nothing was changed, since this could not be taken back: {why}", refused)
            self.assertIn("run camfw apply without --confirm", refused)
        self.assertEqual(self.tables.snapshot(), before)
        self.assertFalse(self.is_port("eth2"))
        # One with an MTU to go back to.
        self.program.configure(policy(f"{ETH2}\nmtu = 1500"))
        self.camfw("apply")
        self.try_out(policy(f"{ETH2}\nmtu = 1400"))
        self.assertIn(" mtu 1400 ", self.shown("eth2"))
        self.assert_back(policy(f"{ETH2}\nmtu = 1500"))
        self.assertIn(" mtu 1500 ", self.shown("eth2"))

    def test_bridges_of_others_stay_with_their_ports(self) -> None:
        self.router.ip(batch="""
            link add br9 type bridge
            link set eth4 master br9
            link add br-lan type bridge
            link set br-lan group 7 alias camfw
        """)
        self.router.run(["bridge", "link", "set", "dev", "eth4", "isolated", "on"], check=True)
        self.boot(policy(SWITCH))
        self.program.configure(policy(ETH2))
        self.camfw("apply")
        self.assertFalse(self.has_link("br-home"), "control")
        self.assertTrue(self.has_link("br-lan"))
        self.assertTrue(self.is_port("eth4"))
        self.camfw("status")
