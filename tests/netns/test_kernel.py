"""What the kernel lacks: named as lines of its configuration, before anything is touched."""

from __future__ import annotations

import gzip
import platform
import re
from pathlib import Path

from lab.namespace import LabError
from netns.case import RouterTest, both_backends
from netns.program import COMMANDS, ROOT, tools, wrap
from netns.tables import meant

VLAN = '\n[zones.guest]\ninterface = { vlan = 20, on = "eth1" }\naddress = "10.20.0.1/24"\nrole = "private"\n'
BRIDGE_AND_MARK = '''
[zones.guest]
interface = { bridge = ["eth8"], name = "br-guest" }
address = "10.20.0.1/24"
role = "private"

[[marks]]
fwmark = 7
table = 107

[[routes]]
to = "10.99.0.0/16"
blackhole = true
table = 107
'''


def kernel_config() -> str:
    """The configuration of the running kernel."""
    for path in (Path("/proc/config.gz"), Path(f"/boot/config-{platform.release()}")):
        if path.is_file():
            data = path.read_bytes()
            return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    raise LabError("neither /proc/config.gz nor /boot/config-*: cannot tell what the kernel has")


@both_backends
class Kernel(RouterTest):
    """`show kernel`, and how apply and boot report a kernel that lacks something."""

    def options(self, *arguments: str) -> list[str]:
        shown = self.camfw("show", "kernel", *arguments).stdout
        return re.findall(r"^(CONFIG_\w+)=y$", shown, re.MULTILINE)

    def links(self) -> list[str]:
        listed = self.router.run(["ip", "-o", "link"]).stdout
        return re.findall(r"^\d+: ([^:@]+)", listed, re.MULTILINE)

    def knows_vlan(self) -> bool:
        done = self.camera.run(["ip", "link", "add", "link", "eth0", "name", "v", "type", "vlan", "id", "9"])
        return done.returncode == 0

    def without_raw(self) -> Path:
        folder = tools(self.scratch / "no-raw", self.backend)
        for name in (name for name in COMMANDS if name.endswith("-restore")):
            wrap(folder, name, 'input=$(cat)\n[[ $input != *\\*raw* ]] || { echo "no table raw" >&2; exit 3; }\n'
                 'real "$@" <<<"$input"', self.backend)
        return folder

    def test_this_kernel_which_holds_the_rules_has_each_line(self) -> None:
        # The option names are right: the kernel that accepts the rules is built with
        # them.
        self.camfw("boot")
        config = kernel_config()
        for golden in sorted((ROOT / "tests/golden").iterdir()):
            path = golden / "config.toml"
            shown = self.camfw("show", "kernel", *(["--nft"] if self.backend == "nft" else []), config=path,
                               before=("/usr/bin/env", f"CAMFW_ROOT={golden / 'root'}"))
            options = re.findall(r"^(CONFIG_\w+)=y$", shown.stdout, re.MULTILINE)
            self.assertIn("CONFIG_NETFILTER_XT_MATCH_CONNTRACK", options)
            for option in options:
                if option.endswith("_LEGACY") and tuple(map(int, platform.release().split(".")[:2])) < (6, 17):
                    continue
                pattern = rf"^{option}=[ym]$"
                if option == "CONFIG_VLAN_8021Q" and not self.knows_vlan():
                    pattern = rf"^# {option} is not set$"
                self.assertRegex(config, re.compile(pattern, re.MULTILINE), f"{golden.name}")

    def test_the_lines_follow_the_policy(self) -> None:
        before = self.options()
        for option in ("CONFIG_BRIDGE", "CONFIG_IP_MULTIPLE_TABLES", "CONFIG_IP_NF_NAT"):
            self.assertNotIn(option, before)
        self.program.configure(self.program.config.read_text().replace('from    = "camera"\nto      = "external"\nenabled = false', 'from = "private"\nto = "external"')
                               + BRIDGE_AND_MARK)
        after = self.options()
        for option in ("CONFIG_BRIDGE", "CONFIG_IP_MULTIPLE_TABLES", "CONFIG_IP_NF_NAT",
                       "CONFIG_NETFILTER_XT_TARGET_MASQUERADE"):
            self.assertIn(option, after)
        self.assertIn("CONFIG_IP_NF_FILTER", after)
        self.assertNotIn("CONFIG_IP_NF_FILTER", self.options("--nft"))
        self.assertIn("CONFIG_NFT_COMPAT", self.options("--nft"))

    def test_a_vlan_that_the_kernel_cannot_make_is_said_before_anything_is_touched(self) -> None:
        self.camfw("boot")
        before, links = self.tables.snapshot(), self.links()
        vlan = self.knows_vlan()
        self.program.configure(self.program.config.read_text() + VLAN)
        result = self.program.run("apply")
        if vlan:
            self.assertNotIn("CONFIG_VLAN_8021Q", result.said)
            self.assertEqual(result.code, 0, str(result))
            return
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("CONFIG_VLAN_8021Q", result.stderr)
        self.assertEqual(self.tables.snapshot(), before)
        self.assertEqual(self.links(), links)
        self.assertEqual(self.forwarding(), "1")
        # This kernel supports the last good policy.
        result = self.camfw("boot", expect=1)
        self.assertIn("CONFIG_VLAN_8021Q", result.stderr)
        self.assertEqual(self.tables.snapshot(), before)
        self.program.forget()
        result = self.camfw("boot", expect=3)
        self.assertIn("CONFIG_VLAN_8021Q", result.stderr)
        self.assert_sealed()

    def test_a_bridge_that_the_kernel_can_make_is_not_in_the_way(self) -> None:
        # Asking the kernel leaves nothing behind.
        self.router.ip("link", "add", "eth8", "type", "veth", "peer", "name", "eth8p")
        self.program.configure(self.program.config.read_text() + BRIDGE_AND_MARK)
        self.camfw("boot")
        links = self.router.run(["ip", "-o", "link"]).stdout
        self.assertEqual(links.count("br-guest"), 2, links)  # itself, and as its port's master
        self.assertNotIn("bridge0", links)

    def test_a_table_that_the_kernel_lacks_is_said_before_anything_is_touched(self) -> None:
        before = meant(self.tables.snapshot())
        result = self.camfw("apply", path=self.without_raw(), expect=2)
        self.assertIn("CONFIG_IP_NF_RAW (table raw, IPv4)", result.stderr)
        self.assertEqual(meant(self.tables.snapshot()), before)
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.all.rp_filter"), "0", "settings too")
        self.camfw("apply")
        self.assertNotEqual(meant(self.tables.snapshot()), before, "control")
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.all.rp_filter"), "1", "control")
