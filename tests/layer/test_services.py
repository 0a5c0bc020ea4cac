"""What the image makes of the configuration for its servers."""

from __future__ import annotations

import sys
import unittest

from layer import LAYER, ROOT

sys.path.append(str(LAYER / "lib"))

from camfwlib import services  # noqa: E402

EXAMPLE = (ROOT / "examples/camera-router.toml").read_text()
VSFTPD = (ROOT / "qemu/overlay/etc/vsftpd.conf").read_text()


class Services(unittest.TestCase):
    def test_the_passive_range_is_the_files(self) -> None:
        self.assertEqual(services.passive_range(EXAMPLE), (50000, 50100))
        self.assertEqual(services.passive_range(EXAMPLE.replace("50000-50100", "60000-60009")), (60000, 60009))
        self.assertEqual(services.passive_range(""), (50000, 50100))

    def test_vsftpd_gets_it(self) -> None:
        conf = services.vsftpd(VSFTPD, EXAMPLE.replace("50000-50100", "60000-60009"))
        self.assertIn("\npasv_min_port=60000\n", conf)
        self.assertIn("\npasv_max_port=60009\n", conf)
        self.assertEqual(conf.count("pasv_min_port="), 1)
        self.assertIn("\nlisten=YES\n", conf)

    def test_who_may_be_reached(self) -> None:
        for port, open_to_somebody in ((21, True), (22, True), (80, False), (50000, False)):
            self.assertEqual(services.reachable(EXAMPLE, port), open_to_somebody, port)

    def test_of_each_way_to_write_a_service(self) -> None:
        for written in ('"ssh"', '["http", "ssh"]', "{ tcp = [22] }", '{ tcp = ["20-30"] }', '"console"'):
            text = f'[services.console]\ntcp = [22]\n[[allow]]\nfrom = "private"\nto = "router"\nservice = {written}\n'
            self.assertTrue(services.reachable(text, 22), written)
            self.assertFalse(services.reachable(text.replace('"router"', '"camera"'), 22), written)


if __name__ == "__main__":
    unittest.main()
