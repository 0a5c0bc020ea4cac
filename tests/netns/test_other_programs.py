"""Programs that configure a zone's interface too, and the DHCP client: told with what to do
before anything is changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from netns.case import RouterTest, both_backends
from netns.program import EXAMPLE, Result, wrap

CONFIG = Path("/etc/camfw/camfw.toml")
WIRED = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"


@both_backends
class OtherPrograms(RouterTest):
    """With an /etc of its own, where these programs have their files."""

    def setUp(self) -> None:
        super().setUp()
        self.etc = self.scratch / "etc"
        for folder in ("camfw", "network", "systemd/network", "systemd/system/multi-user.target.wants", "NetworkManager"):
            (self.etc / folder).mkdir(parents=True)
        for name in ("protocols", "passwd", "group", "nsswitch.conf", "resolv.conf"):
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self.etc / name)
        self.configure(EXAMPLE.read_text())

    def put(self, name: str, text: str = "") -> None:
        (self.etc / name).write_text(text)
        (self.etc / name).chmod(0o644)

    def configure(self, text: str) -> None:
        self.put("camfw/camfw.toml", text)

    def install(self, program: str) -> None:
        wrap(self.program.tools, program, "exit 1", self.backend)

    def run_here(self, command: str, expect: int) -> Result:
        bind = f'/bin/mount --bind {self.etc} /etc && exec "$@"'
        return self.camfw(command, config=CONFIG, before=["/bin/sh", "-c", bind, "sh"], expect=expect)

    def state(self) -> str:
        links = self.router.run(["ip", "-br", "address"], check=True).stdout
        return "".join(self.tables.save(family) for family in ("iptables", "ip6tables")) + links + self.forwarding()

    def assert_refused(self, *parts: str) -> None:
        """By `check` and by `apply`, which changes nothing."""
        before = self.state()
        for command in ("check", "apply"):
            said = self.run_here(command, expect=2).said
            for part in parts:
                self.assertIn(part, said, command)
        self.assertEqual(self.state(), before)

    def test_a_file_of_another_user_is_not_good(self) -> None:
        self.run_here("check", expect=0)
        os.chown(self.etc / "camfw/camfw.toml", 65534, -1)
        self.assert_refused(f"{CONFIG}: ")
        self.assertNotIn("good", self.run_here("check", expect=2).stdout)

    def test_each_is_named_with_what_to_do(self) -> None:
        self.put("network/interfaces", "auto eth1\niface eth1 inet dhcp\n")
        self.run_here("check", expect=0)  # Not installed: it configures nothing.
        self.install("ifup")
        self.assert_refused(
            "interface eth1 is also configured by ifupdown (/etc/network/interfaces); remove its auto and iface lines there")
        self.put("network/interfaces", "auto lo\niface lo inet loopback\n")

        # One whose address another program gives is that program's to configure.
        self.put("network/interfaces", "auto eth0\niface eth0 inet dhcp\n")
        self.assert_refused("interface eth0 is also configured by ifupdown")
        file = EXAMPLE.read_text()
        zone = file[file.index('interface = "eth0"'):]
        address = zone[:zone.index("gateway")].splitlines()[1]
        gateway = zone[zone.index("gateway"):].splitlines()[0]
        self.configure(file.replace(address, 'address = "given"', 1).replace(gateway, 'gateway = "given"', 1))
        self.run_here("check", expect=0)
        self.configure(file)
        self.put("network/interfaces", "auto lo\niface lo inet loopback\n")

        self.install("networkctl")
        self.put("systemd/network/80-wired.network", WIRED)
        self.run_here("check", expect=0)  # Not enabled.
        (self.etc / "systemd/system/multi-user.target.wants/systemd-networkd.service").symlink_to("/dev/null")
        self.assert_refused(
            "interfaces eth0, eth1, eth2 are also configured by systemd-networkd (/etc/systemd/network/80-wired.network); "
            "write Unmanaged=yes under [Link] there")
        self.put("systemd/network/10-camfw.network", "[Match]\nName=eth*\n[Link]\nUnmanaged=yes\n")
        removes = "warning: systemd-networkd removes routes and rules that are not its own, and so camfw's; write ManageForeignRoutes=no"
        self.assertIn(removes, self.run_here("check", expect=0).said)
        (self.etc / "systemd/networkd.conf.d").mkdir()
        self.put("systemd/networkd.conf.d/camfw.conf", "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n")
        self.assertNotIn("systemd-networkd", self.run_here("check", expect=0).said)

        self.install("NetworkManager")
        (self.etc / "systemd/system/multi-user.target.wants/NetworkManager.service").symlink_to("/dev/null")
        self.assert_refused("interfaces eth0, eth1, eth2 are also configured by NetworkManager; "
                            "write unmanaged-devices+=interface-name:eth0;interface-name:eth1;interface-name:eth2 under")
        self.put("NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices=interface-name:eth*\n")

        # The control: the same box, where each leaves the interfaces alone.
        self.run_here("check", expect=0)
        self.run_here("apply", expect=0)

    def test_the_first_boot_stays_sealed_and_a_later_one_warns(self) -> None:
        self.install("ifup")
        self.put("network/interfaces", "auto eth0\niface eth0 inet static\n  address 192.168.0.2/24\n")
        self.assertIn("interface eth0 is also configured by ifupdown", self.run_here("boot", expect=2).said)
        self.assert_sealed()
        self.put("network/interfaces")
        self.run_here("boot", expect=0)
        # A package that was added later closes no box that is in use.
        self.put("network/interfaces", "auto eth0\niface eth0 inet dhcp\n")
        self.assertIn("interface eth0 is also configured by ifupdown", self.run_here("boot", expect=0).said)

    def test_without_a_dhcp_client_nothing_is_changed(self) -> None:
        static = 'address   = "192.168.0.2/24"\ngateway   = "192.168.0.1"'
        text = EXAMPLE.read_text()
        self.assertEqual(text.count(static), 1)
        self.configure(text.replace(static, 'address   = "dhcp"'))
        self.assert_refused("interface eth0 takes its address by DHCP, and there is no client; install udhcpc (Debian has it in the package udhcpc) or dhcpcd")
        # The control: with one, the same file is good.
        (self.program.tools / "udhcpc").symlink_to(str(shutil.which("busybox")))
        self.run_here("check", expect=0)
