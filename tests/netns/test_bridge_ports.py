"""The ports of a bridge: which reach each other, and which hardware addresses each takes."""

from __future__ import annotations

from pathlib import Path

from lab import example, probes
from lab.hosts import INTERFACE, Wiring
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import Listener
from netns.case import both_backends
from netns.network import NetworkTest
from netns.program import ROOT

EXAMPLE = ROOT / "examples/camera-switch.toml"


def on_the_switch(name: str, interface: str, last: int) -> Wiring:
    return Wiring(name, interface, f"192.168.8.{last}", 24, router="192.168.8.1",
                  address6=f"fd00:8::{last}", router6="fd00:8::1")


# As the example has them.
PORCH = on_the_switch("camera", "eth1", 110)
YARD = on_the_switch("yard", "eth3", 111)
RECORDER = on_the_switch("recorder", "eth4", 20)
HOME = Wiring("laptop", "eth2", "192.168.5.10", 24, router="192.168.5.1",
              address6="fd00:5::10", router6="fd00:5::1")
MACS = {"camera": "00:11:22:33:44:55", "yard": "00:11:22:33:44:56", "recorder": "00:11:22:33:44:66"}
STRANGER = "00:11:22:33:44:99"
ROUTER = PORCH.router
NTP = 123
# How long nothing must arrive.
SHORT = 1.5


@both_backends
class BridgePorts(NetworkTest):
    """The example with two cameras and a recorder on three ports, and the house."""

    wirings = (example.INTERNET, PORCH, HOME, YARD, RECORDER)

    def setUp(self) -> None:
        super().setUp()
        self.yard = self.lab.hosts["yard"].namespace
        self.recorder = self.lab.hosts["recorder"].namespace
        for name, mac in MACS.items():
            self.lab.hosts[name].namespace.ip("link", "set", INTERFACE, "address", mac)
        text = EXAMPLE.read_text()
        self.assertEqual(text.count('address   = "dhcp"'), 1)
        self.program.configure(text.replace(
            'address   = "dhcp"', 'address   = "192.168.0.2/24"\ngateway   = "192.168.0.1"'))
        # What was up before the boot becomes a port all the same.
        for port in ("eth1", "eth3"):
            self.router.ip("link", "set", port, "up")
        self.camfw("boot")

    # -- what there is --

    def port(self, name: str) -> dict[str, str]:
        """A port's settings, as `bridge` prints them."""
        shown = self.router.run(["bridge", "-d", "link", "show", "dev", name], check=True).stdout
        words = shown.replace("\\", " ").split()
        return {key: words[words.index(key) + 1] for key in ("isolated", "locked", "learning")}

    def entries(self) -> list[str]:
        """The forwarding entries of the bridge that are not its own, without those of VLANs."""
        shown = self.router.run(["bridge", "fdb", "show", "br", "br-cam"], check=True).stdout
        return sorted(
            line.strip() for line in shown.splitlines()
            if " master br-cam" in line and "permanent" not in line and " vlan " not in line
        )

    def become(self, host: Namespace, wiring: Wiring, mac: str) -> None:
        """Gives a host only these addresses. It knows the router's and the recorder's hardware addresses, and
        need not ask."""
        shown = self.router.run(["ip", "-br", "link", "show", "br-cam"], check=True).stdout
        bridge = shown.split()[2]
        host.ip(batch=f"""
            address flush dev {INTERFACE} scope global
            link set {INTERFACE} address {mac}
            address add {wiring.address}/24 dev {INTERFACE}
            route replace default via {ROUTER}
            neigh replace {ROUTER} lladdr {bridge} dev {INTERFACE} nud permanent
            neigh replace {RECORDER.address} lladdr {MACS["recorder"]} dev {INTERFACE} nud permanent
        """)

    def asks(self, host: Namespace, at: str, listener: Listener, wait: float = SHORT) -> bool:
        """Whether a datagram of the host arrives, whoever gets the answer."""
        return bool(probes.udp(host, at, NTP, listener.received, wait))

    # -- which ports reach each other --

    def test_the_recorder_reaches_every_port_and_each_camera_it_alone(self) -> None:
        self.assertEqual(self.port("eth1"), {"isolated": "on", "locked": "on", "learning": "off"})
        self.assertEqual(self.port("eth4"), {"isolated": "off", "locked": "on", "learning": "off"})
        for camera, wiring in ((self.camera, PORCH), (self.yard, YARD)):
            self.assertTrue(probes.ping(self.recorder, wiring.address), "the recorder reaches it")
            self.assertTrue(probes.ping(camera, RECORDER.address), "it reaches the recorder")
        self.assertFalse(probes.ping(self.camera, YARD.address, SHORT))
        self.assertFalse(probes.ping(self.yard, PORCH.address, SHORT))
        with Listener(self.router, udp=[NTP]) as server, Listener(self.recorder, [443]):
            for host in (self.camera, self.yard, self.recorder):
                self.assertTrue(self.asks(host, ROUTER, server, probes.PATIENCE))
            self.assertTrue(probes.tcp(self.laptop, RECORDER.address, 443))
        # The control: what keeps them apart is that they are isolated.
        for port in ("eth1", "eth3"):
            self.router.run(["bridge", "link", "set", "dev", port, "isolated", "off"], check=True)
        self.assertTrue(probes.ping(self.camera, YARD.address))

    def test_a_port_that_is_not_isolated_needs_no_other_setting(self) -> None:
        text = self.program.config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("port ")]
        self.program.configure("\n".join(lines))
        self.camfw("apply")
        # What the ports learn from now on is no concern of the file.
        static = [entry for entry in self.entries() if " static" in entry]
        self.assertEqual(static, [], "those of the earlier file are gone")
        for port, isolated in (("eth1", "on"), ("eth3", "on"), ("eth4", "off")):
            self.assertEqual(self.port(port), {"isolated": isolated, "locked": "off", "learning": "on"})
        self.assertTrue(probes.ping(self.recorder, YARD.address))
        self.assertFalse(probes.ping(self.camera, YARD.address, SHORT))
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [])

    # -- which hardware addresses a port takes --

    def test_who_clones_a_cameras_addresses_on_another_port_is_nobody(self) -> None:
        self.assertEqual(self.entries(), sorted(
            f"{MACS[name]} dev {port} sticky master br-cam static"
            for name, port in (("camera", "eth1"), ("yard", "eth3"), ("recorder", "eth4"))
        ))
        with Listener(self.router, udp=[NTP]) as server, Listener(self.recorder, udp=[NTP]) as recorder:
            self.become(self.yard, PORCH, MACS["camera"])
            self.assertFalse(self.asks(self.yard, ROUTER, server))
            self.assertFalse(self.asks(self.yard, RECORDER.address, recorder))
            # The camera's own port is the camera's, whoever tried.
            self.assertTrue(self.asks(self.camera, ROUTER, server, probes.PATIENCE))
            self.assertTrue(self.asks(self.camera, RECORDER.address, recorder, probes.PATIENCE))
            self.assertEqual(len(self.entries()), 3)
            # The control: by an unlocked port it is the camera, to the router as well.
            self.router.run(["bridge", "link", "set", "dev", "eth3", "locked", "off"], check=True)
            self.assertTrue(self.asks(self.yard, ROUTER, server, probes.PATIENCE))
            self.assertTrue(self.asks(self.yard, RECORDER.address, recorder, probes.PATIENCE))
            drift = self.camfw("status", expect=1).stdout
            self.assertIn("interface eth3: isolate it from other ports, lock it", drift)
            self.camfw("apply")
            self.assertFalse(self.asks(self.yard, ROUTER, server))

    def test_who_is_not_listed_gets_nothing(self) -> None:
        with Listener(self.router, udp=[NTP]) as server, Listener(self.recorder, udp=[NTP]) as recorder:
            self.become(self.yard, on_the_switch("stranger", "eth3", 112), STRANGER)
            self.assertFalse(self.asks(self.yard, ROUTER, server))
            self.assertFalse(self.asks(self.yard, RECORDER.address, recorder))
            self.assertFalse(probes.ping(self.yard, ROUTER, SHORT))
            self.become(self.yard, YARD, MACS["yard"])
            self.assertTrue(self.asks(self.yard, ROUTER, server, probes.PATIENCE), "control")

    def test_who_was_learnt_before_gets_nothing_afterwards(self) -> None:
        text = self.program.config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("port ")]
        self.program.configure("\n".join(lines).replace("known-only = true", "known-only = false"))
        self.camfw("apply")
        with Listener(self.recorder, udp=[NTP]) as recorder:
            self.become(self.yard, on_the_switch("stranger", "eth3", 112), STRANGER)
            self.assertTrue(self.asks(self.yard, RECORDER.address, recorder, probes.PATIENCE), "control")
            self.assertTrue(any(STRANGER in line for line in self.entries()), "it is learnt")
            self.program.configure(text)
            self.camfw("apply")
            self.assertFalse(any(STRANGER in line for line in self.entries()))
            self.assertFalse(self.asks(self.yard, RECORDER.address, recorder))

    def test_a_port_is_down_until_its_settings_hold(self) -> None:
        # The ports are up, and would pass frames to each other as soon as they are ports.
        self.router.ip("link", "delete", "br-cam")
        sent = self.traced("apply")
        for name in ("eth1", "eth3", "eth4"):
            steps = []
            for line in sent:
                if f'"{name}"' in line and "ndm_family" in line:
                    steps.append("entry")
                elif f'"{name}"' in line and "ifi_family" in line:
                    words = {"IFLA_MASTER": "port", "IFLA_INFO_SLAVE_KIND": "settings", "IFF_UP": "up"}
                    steps.append(next((step for word, step in words.items() if word in line), "down"))
            self.assertEqual(steps, ["down", "port", "settings", "entry", "up"], "\n".join(sent))

    # -- what differs --

    def test_status_names_what_differs_and_apply_puts_it_right(self) -> None:
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [], "no change message")
        before = self.entries()
        entry = f"hardware address {MACS['camera']} is on port eth1 of br-cam"
        stranger = f"hardware address {STRANGER} is on port eth3 of br-cam"
        link, fdb = ["bridge", "link", "set", "dev"], ["bridge", "fdb"]
        for change, told in (
            ([*link, "eth1", "locked", "off"], "interface eth1: isolate it from other ports, lock it"),
            ([*link, "eth1", "learning", "on"], "interface eth1: isolate it from other ports, lock it"),
            ([*link, "eth4", "isolated", "on"], "interface eth4: let it reach every port, lock it"),
            ([*fdb, "del", MACS["camera"], "dev", "eth1", "master"], f"set {entry}"),
            ([*fdb, "replace", MACS["camera"], "dev", "eth3", "master", "static"], f"set {entry}"),
            ([*fdb, "add", STRANGER, "dev", "eth3", "master", "static"], f"remove {stranger}"),
            ([*fdb, "add", STRANGER, "dev", "eth3", "master", "dynamic"], f"remove {stranger}"),
        ):
            with self.subTest(change=change):
                self.router.run(change, check=True)
                self.assertIn(told, self.camfw("status", expect=1).stdout)
                self.assertIn(told, self.camfw("apply", "--dry-run", expect=0).said)
                self.camfw("apply")
                self.camfw("status")
                self.assertEqual(self.entries(), before)
        with self.program.watching():
            self.router.run([*link, "eth3", "locked", "off"], check=True)
            self.assertTrue(self.hears("interface eth3: isolate it from other ports, lock it"))

    # -- what is refused --

    def test_an_old_kernel_is_refused_before_anything_is_changed(self) -> None:
        release = self.scratch / "osrelease"
        release.write_text("5.15.148-tegra\n")
        old: list[str | Path] = ["/bin/sh", "-c", f'/bin/mount --bind {release} /proc/sys/kernel/osrelease; exec "$@"', "sh"]
        text = self.program.config.read_text()
        self.program.configure(text.replace('port    = "eth1"', 'port    = "eth3"'))
        before = self.entries()
        for arguments in (("apply",), ("apply", "--dry-run")):
            result = self.camfw(*arguments, before=old, expect=2)
            self.assertRegex(result.stderr, r"camfw\.toml:\d+: port needs locked bridge ports, .* this is 5\.15\.148-tegra; .* nothing was changed")
        self.assertEqual(self.entries(), before)
        self.camfw("apply")
        self.assertNotEqual(self.entries(), before, "control")
        self.assertTrue(wait_until(lambda: not self.asks_of_camera()), "its port is the other one now")

    def asks_of_camera(self) -> bool:
        with Listener(self.router, udp=[NTP]) as server:
            return self.asks(self.camera, ROUTER, server, SHORT)
