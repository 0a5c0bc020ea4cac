"""What is asked of the kernel, and how often: settings of interfaces by one dump, programs once."""

from __future__ import annotations

import re
from pathlib import Path

from netns.case import RouterTest, both_backends
from netns.trace import events, tracing

LINKS = ("eth0", "eth1", "eth2")


@both_backends
class Settings(RouterTest):
    """Each run traced by strace."""

    def setUp(self) -> None:
        super().setUp()
        self.change_config('mode = "drop"', 'mode = "same"')
        self.camfw("boot")

    def trace(self, *arguments: str) -> Path:
        output = self.scratch / "trace"
        self.camfw(*arguments, before=tracing(output))
        return output

    def opened(self, trace: Path) -> list[str]:
        """The settings that were opened, below /proc/sys/net."""
        return re.findall(r'"/proc/sys/net/([^"]*)", O_RDONLY', trace.read_text())

    def programs(self, trace: Path) -> list[str]:
        """Those that were started, but for a trial of what no table of the kernel has yet."""
        runs = [event.detail for event in events(trace, self.program.config)
                if event.what == "run" and "--test" not in event.detail]
        return sorted(Path(run.partition(" ")[0]).name for run in runs)

    def test_each_setting_of_an_interface_is_that_setting(self) -> None:
        shown = self.camfw("show", "sysctls").stdout
        wanted = re.findall(r"^(net\.ipv[46]\.conf\.eth1\.\S+) = (\S+)", shown, re.MULTILINE)
        self.assertGreater(len(wanted), 22, shown)
        for key, value in wanted:
            if not Path("/proc/sys", key.replace(".", "/").replace("eth1", "all")).exists():
                continue  # This kernel has no such setting.
            with self.subTest(key):
                other = "0" if value in ("1", "-1") else "1"
                self.router.write_sysctl(key, other)
                said = self.camfw("status", expect=1).stdout
                told = [line for line in said.splitlines() if "sysctl " in line]
                self.assertEqual(len(told), 1, said)
                self.assertIn(f"sysctl {key} is {other}, not {value}", told[0])
                self.camfw("apply")
                self.assertEqual(self.router.read_sysctl(key), value)
        self.camfw("status")

    def test_settings_of_interfaces_are_not_opened_one_by_one(self) -> None:
        opened = self.opened(self.trace("status"))
        self.assertIn("ipv4/conf/all/rp_filter", opened, "control")
        self.assertIn("ipv6/conf/default/accept_ra", opened, "control")
        self.assertEqual([key for key in opened if any(f"/{link}/" in key for link in LINKS)], [])
        # What is written last is looked at before.
        opened = self.opened(self.trace("apply"))
        self.assertIn("ipv4/conf/all/rp_filter", opened, "control")
        single = [key for key in opened if any(f"/{link}/" in key for link in LINKS)]
        self.assertEqual({key.rpartition("/")[2] for key in single} - {"forwarding", "disable_ipv6"}, set())

    def test_no_program_is_started_twice(self) -> None:
        save = ["ip6tables-save", "iptables-save"]
        self.assertEqual(self.programs(self.trace("status")), save)
        self.assertEqual(self.programs(self.trace("apply")), save)
        # Each family is read, loaded, and read back.
        self.camfw("open")
        restore = ["ip6tables-restore", "iptables-restore"]
        self.assertEqual(self.programs(self.trace("apply")), sorted([*save, *restore, *save]))

    def test_no_connection_is_asked_for_where_there_is_none(self) -> None:
        asks = "IPCTNL_MSG_CT_GET"
        self.camfw("open")
        self.router.run(["conntrack", "-F"], check=True)
        self.assertEqual(self.router.read_sysctl("net.netfilter.nf_conntrack_count"), "0", "control")
        self.assertEqual(self.trace("apply").read_text().count(asks), 0)
        self.camfw("open")
        self.router.run(["conntrack", "-I", "-p", "udp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", "1", "--dport", "2",
                         "-t", "60"], check=True)
        self.assertEqual(self.trace("apply").read_text().count(asks), 1, "one is looked at")
