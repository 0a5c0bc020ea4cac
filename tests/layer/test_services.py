"""What the image makes of the configuration for its servers, with the program itself."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from layer import LAYER, ROOT

sys.path.append(str(LAYER / "lib"))

from camfwlib import distribution, services, writers  # noqa: E402

EXAMPLE = (ROOT / "examples/camera-router.toml").read_text()
VSFTPD = (LAYER / "dynamic-layers/networking-layer/recipes-fw/camfw-vsftpd/files/vsftpd.conf").read_text()
FTP = '[[allow]]\nfrom    = "camera"\nto      = "router"\nservice = "ftp"\n'
SSH = '[[allow]]\nfrom    = "private"\nto      = "router"\nservice = "ssh"\n'


class Services(unittest.TestCase):
    """/etc of an image, as do_rootfs leaves it."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="camfw-layer-")
        self.addCleanup(scratch.cleanup)
        path = mock.patch.dict(os.environ, PATH=f"{ROOT / 'target/debug'}:{os.environ['PATH']}")
        path.start()
        self.addCleanup(path.stop)
        self.root = Path(scratch.name)
        self.etc = self.root / "etc"
        # As vsftpd's own package has it, and as ours does.
        self.put("vsftpd.conf", "listen=YES\nlocal_enable=YES\n")
        self.put("../" + services.VSFTPD_TEMPLATE, VSFTPD)
        for link in ("rc5.d/S80vsftpd", "rc5.d/S10dropbear", "rc5.d/S20syslog", "rcS.d/S01camfw"):
            self.put(link, "")
        for text in (FTP, SSH):
            self.assertEqual(EXAMPLE.count(text), 1)

    def test_time_zones_are_those_of_the_image(self) -> None:
        text = EXAMPLE + '\n[router]\ntimezone = "Europe/Berlin"\n'
        with self.assertRaisesRegex(services.ServiceError, rf"time zones in {self.root}/usr/share/zoneinfo"):
            self.configure(text)
        there = self.root / "usr/share/zoneinfo/Europe/Berlin"
        there.parent.mkdir(parents=True)
        shutil.copy("/usr/share/zoneinfo/Europe/Berlin", there)
        self.configure(text)

    def put(self, name: str, text: str) -> None:
        file = self.etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        # Whatever the umask is: camfw takes no file that others may write.
        file.chmod(0o644)
        file.parent.chmod(0o755)

    def configure(self, text: str, **more: str) -> list[str]:
        """The servers that are turned off by a configuration, and its files in camfw.d."""
        self.put("camfw/camfw.toml", text)
        for name, added in more.items():
            self.put(f"camfw/camfw.d/{name}.toml", added)
        return services.configure(self.root)

    def started(self) -> set[str]:
        return {link.name for link in self.etc.glob("rc?.d/*")}

    def options(self) -> dict[str, str]:
        lines = (self.etc / "vsftpd.conf").read_text().splitlines()
        given = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
        self.assertEqual(len(given), len({option for option, _ in given}))
        return dict(given)

    def test_the_example_has_both_and_its_passive_range(self) -> None:
        self.assertEqual(self.configure(EXAMPLE.replace("50000-50100", "60000-60009")), [])
        self.assertEqual(self.started(), {"S80vsftpd", "S10dropbear", "S20syslog", "S01camfw"})
        options = self.options()
        self.assertEqual((options["pasv_min_port"], options["pasv_max_port"]), ("60000", "60009"))
        self.assertEqual(options["listen"], "YES")
        # Nothing of vsftpd's own file is left.
        self.assertEqual(options["local_enable"], "NO")

    def test_without_our_package_vsftpds_own_file_is_kept(self) -> None:
        (self.root / services.VSFTPD_TEMPLATE).unlink()
        self.configure(EXAMPLE)
        options = self.options()
        self.assertEqual(options["local_enable"], "YES")
        self.assertEqual(options["pasv_max_port"], "50100")

    def test_whom_nobody_may_reach_does_not_start(self) -> None:
        self.assertEqual(self.configure(EXAMPLE.replace(FTP, "")), ["vsftpd"])
        self.assertEqual(self.started(), {"S10dropbear", "S20syslog", "S01camfw"})
        self.assertEqual(self.configure(EXAMPLE.replace(FTP, "").replace(SSH, "")), ["vsftpd", "dropbear"])
        self.assertEqual(self.started(), {"S20syslog", "S01camfw"})

    def test_vsftpd_does_not_listen_where_it_is_started_for_each_connection(self) -> None:
        self.put("../" + services.FTP_STARTER, "")
        self.assertEqual(self.configure(EXAMPLE), [])
        self.assertEqual(self.started(), {"S20syslog", "S01camfw", "S10dropbear"})
        # Its ports are in its file all the same.
        self.assertEqual(self.options()["pasv_min_port"], "50000")

    def test_nor_under_systemd(self) -> None:
        (self.etc / "systemd/system").mkdir(parents=True)
        self.configure(EXAMPLE.replace(FTP, ""))
        self.assertEqual((self.etc / "systemd/system/vsftpd.service").readlink(), Path("/dev/null"))
        self.assertFalse((self.etc / "systemd/system/dropbear.socket").is_symlink())

    def test_each_way_to_let_somebody_in_counts(self) -> None:
        without = EXAMPLE.replace(SSH, "")
        for name, text in {
            "by its port": SSH.replace('"ssh"', "{ tcp = [22] }"),
            "in a range": SSH.replace('"ssh"', '{ tcp = ["20-30"] }'),
            "among others": SSH.replace('"ssh"', '["https", "ssh"]'),
            "one host": SSH + 'source  = "192.168.5.10"\n',
            "a camera's own line": '[[cameras]]\nname = "porch"\naddress = "192.168.8.20"\n'
                                   'allow = [{ to = "router", service = "ssh" }]\n',
        }.items():
            with self.subTest(name):
                self.assertEqual(self.configure(without + text), [])
                # The control: the same line about another target.
                self.assertEqual(self.configure(without + text.replace('"router"', '"external"').replace(
                    "[[cameras]]", '[[exceptions]]\nfrom = "porch"\nto = "external"\nservice = "ssh"\n[[cameras]]')),
                    ["dropbear"])

    def test_a_line_in_another_file_counts(self) -> None:
        self.assertEqual(self.configure(EXAMPLE.replace(SSH, ""), admin=SSH), [])

    def test_so_does_ipv6_alone(self) -> None:
        text = EXAMPLE.replace('mode = "drop"', 'mode = "same"').replace(
            '"192.168.5.200/24"', '["192.168.5.200/24", "fd00:5::1/64"]')
        self.assertNotEqual(text, EXAMPLE)
        self.assertEqual(self.configure(text.replace(SSH, SSH + 'source = "fd00:5::2"\n')), [])
        self.assertEqual(self.configure(text.replace(SSH, "")), ["dropbear"])

    def test_ftp_on_another_port_is_served_there(self) -> None:
        text = EXAMPLE.replace("tcp     = [21]", "tcp     = [2121]")
        self.assertEqual(self.configure(text), [])
        self.assertEqual(self.options()["listen_port"], "2121")

    def test_what_does_not_go_together_fails_the_build(self) -> None:
        for text, why in (
            (EXAMPLE + '[[allow]]\nfrom = "moon"\n', r"camfw\.toml:\d+:\d+: "),
            # Two ranges, and one server.
            (EXAMPLE + '[services.other]\ntcp = [2121]\npassive = "1-2"\n' + FTP.replace('"ftp"', '"other"'), "one range"),
            # FTP without its data connections.
            (EXAMPLE.replace(FTP, FTP.replace('"ftp"', "{ tcp = [21] }")), "no allow line lets FTP"),
        ):
            with self.subTest(why), self.assertRaisesRegex(services.ServiceError, why):
                self.configure(text)


class Writers(unittest.TestCase):
    """camfw alone configures interfaces and tables, or the image is not built."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="camfw-layer-")
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        # What a camera router has: none of it writes either.
        for link in ("etc/rcS.d/S01camfw", "etc/rc5.d/S80vsftpd", "etc/rc5.d/S10dropbear", "etc/rc6.d/K80networking",
                     "etc/systemd/system/sysinit.target.wants/camfw.service"):
            self.put(link)

    def put(self, link: str) -> None:
        place = self.root / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to("../somewhere")

    def test_an_image_with_camfw_alone_is_built(self) -> None:
        self.assertEqual(writers.found(self.root), [])

    def test_each_other_writer_is_named_with_what_to_do(self) -> None:
        for link, program in {
            "etc/rc5.d/S01networking": "ifupdown", "etc/rcS.d/S40networking": "ifupdown",
            "etc/rc5.d/S05connman": "ConnMan", "etc/rc3.d/S20dhcpcd": "dhcpcd",
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "systemd-networkd",
            "usr/lib/systemd/system/multi-user.target.wants/NetworkManager.service": "NetworkManager",
            "etc/systemd/system/basic.target.wants/iptables.service": "iptables",
            "etc/systemd/system/multi-user.target.wants/docker.service": "Docker",
            "etc/systemd/system/multi-user.target.requires/firewalld.service": "firewalld",
            "etc/systemd/system/multi-user.target.wants/shorewall6.service": "Shorewall",
            "etc/rcS.d/S40arno-iptables-firewall": "Arno's firewall",
            "usr/lib/systemd/system/multi-user.target.wants/ebtables.service": "ebtables' own rules file",
        }.items():
            with self.subTest(link):
                self.put(link)
                self.assertEqual(len(writers.found(self.root)), 1)
                self.assertRegex(writers.found(self.root)[0], rf"^{link}: {program}.* would configure .*PACKAGE_EXCLUDE")
                name = Path(link).name.removesuffix(".service").removeprefix("S")
                name = name[2:] if name[:2].isdigit() else name
                self.assertEqual(writers.found(self.root, frozenset({name})), [])
                (self.root / link).unlink()

    def test_an_instance_of_a_template_counts_and_another_name_does_not(self) -> None:
        for link, program in {
            "etc/systemd/system/multi-user.target.wants/dhcpcd@eth0.service": "dhcpcd",
            "etc/systemd/system/multi-user.target.wants/ifup@eth1.service": "ifupdown",
        }.items():
            with self.subTest(link):
                self.put(link)
                self.assertRegex("\n".join(writers.found(self.root)), rf"^{link}: {program} ")
                mask = self.root / "etc/systemd/system" / re.sub("@.*", "@.service", Path(link).name)
                mask.symlink_to("/dev/null")
                self.assertEqual(writers.found(self.root), [])
                (self.root / link).unlink()
        self.put("etc/systemd/system/multi-user.target.wants/ufw-reporter.service")
        self.assertEqual(writers.found(self.root), [])

    def test_a_unit_that_is_masked_does_not_start(self) -> None:
        self.put("usr/lib/systemd/system/multi-user.target.wants/systemd-networkd.service")
        self.assertEqual(len(writers.found(self.root)), 1)
        mask = self.root / "etc/systemd/system/systemd-networkd.service"
        mask.symlink_to("/dev/null")
        self.assertEqual(writers.found(self.root), [])


class Asked(unittest.TestCase):
    """What does not go together is told when the recipes are read."""

    def refused(self, iptables: str = "legacy", layers: str = "core networking-layer", data_device: str = "",
                features: str = "sysvinit camfw") -> str | None:
        return distribution.refusal(iptables=iptables, layers=layers.split(), data_device=data_device,
                                    features=features.split())

    def test_what_goes_together_is_built(self) -> None:
        for asked in ({}, {"layers": "core"}, {"iptables": "nft"}, {"data_device": "/dev/mmcblk0p3"}, {"features": "systemd"}):
            with self.subTest(asked):
                self.assertIsNone(self.refused(**asked))

    def test_what_does_not_is_refused_with_what_to_do(self) -> None:
        for asked, why in (
            ({"iptables": "nftables"}, 'CAMFW_IPTABLES = "nftables" is none of legacy and nft'),
            ({"iptables": "nft", "layers": "core"}, "add it with meta-oe and meta-python"),
            ({"data_device": "/dev/mmcblk0p3", "features": "systemd camfw"}, "with systemd leave it out"),
        ):
            with self.subTest(why):
                self.assertIn(why, self.refused(**asked) or "")


if __name__ == "__main__":
    unittest.main()
