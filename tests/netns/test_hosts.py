"""camfw hosts: who is there, by what the kernel, dnsmasq's leases and camfw watch know."""

from __future__ import annotations

import json
import subprocess
import tomllib
from contextlib import AbstractContextManager
from typing import Any

from lab import example, probes
from lab.hosts import INTERFACE
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PING, PRIVATE, allow, camera
from netns.program import ROOT
from netns.schema import differences

PORCH, YARD, SHED = example.CAMERA.address, "192.168.8.111", "192.168.8.112"
STRANGER = "192.168.8.150"
ZONE = """
[zones.camera]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"
"""
POLICY = (
    EXTERNAL + ZONE + PRIVATE
    + camera("porch", PORCH) + camera("yard", YARD) + camera("shed", SHED)
    + PING + "[watch]\ninterval = 1\n"
)
# What a hostile host calls itself: a terminal code, a line of its own, a key, a tag.
HOSTILE = '\x1b[2Jcam"}<script>,x=1'


@both_backends
class Hosts(RouterTest):
    """What is told of cameras, and of hosts that nobody listed."""

    def setUp(self) -> None:
        super().setUp()
        self.camera.ip("address", "add", f"{STRANGER}/24", "dev", INTERFACE)
        self.mac = example.CAMERA.mac
        self.policy = POLICY.replace(f'"{PORCH}"\n', f'"{PORCH}"\nmac = "{self.mac}"\n', 1)
        self.assertNotEqual(self.policy, POLICY)

    def watching(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Runs camfw watch, once it compares."""
        return self.program.watching(lambda: bool(self.hosts()["watching"]))

    def hosts(self) -> dict[str, Any]:
        told = dict(json.loads(self.program.run("hosts", "--json").stdout))
        self.assertEqual(differences(told, json.loads((ROOT / "docs/hosts.schema.json").read_text())), [])
        return told

    def zone(self, name: str = "camera") -> dict[str, Any]:
        (zone,) = (zone for zone in self.hosts()["zones"] if zone["name"] == name)
        return dict(zone)

    def states(self) -> dict[str, str]:
        return {camera["name"]: camera["state"] for camera in self.zone()["cameras"]}

    def test_a_zone_that_is_not_for_cameras_has_a_count(self) -> None:
        self.boot(self.policy)
        self.assertTrue(probes.ping(self.laptop, example.LAPTOP.router))
        self.assertTrue(wait_until(lambda: self.zone("private")["others"]), "--json has it")
        laptop, counted = f"  not listed       {example.LAPTOP.address}", "  not listed       1 host; camfw hosts --zone private\n"
        text = self.program.run("hosts").stdout
        self.assertIn(counted, text)
        self.assertNotIn(laptop, text)
        self.assertIn(laptop, self.program.run("hosts", "--all").stdout)
        text = self.program.run("hosts", "--zone", "private").stdout
        self.assertIn(laptop, text)
        self.assertNotIn("(role camera)", text)
        for flags, said in (
            (("--zone", "privat"), "--zone privat: no zone is called so; did you mean private?"),
            (("--zone", "x"), "--zone x: no zone is called so; camfw hosts names each"),
            (("--all", "--json"), "--all and --zone are for the text; leave them out, or --toml and --json"),
        ):
            self.assertIn(said, self.camfw("hosts", *flags, expect=2).said)

    def test_who_has_an_address_of_a_line_is_told_with_the_line(self) -> None:
        laptop = example.LAPTOP
        line = allow("private", "porch", "rtsp", f'source = "{laptop.address}"')
        self.boot(self.policy + line)
        number = (self.policy + line).splitlines().index(f'source = "{laptop.address}"') - 3
        self.assertTrue(probes.ping(self.laptop, laptop.router))
        self.assertTrue(wait_until(lambda: self.zone("private")["named"]), "--json has it")
        (host,) = self.zone("private")["named"]
        self.assertEqual((host["addresses"], host["line"]), ([laptop.address], f"camfw.toml:{number}"))
        self.assertEqual(self.zone("private")["others"], [])
        for flags in ((), ("--zone", "private"), ("--all",)):
            text = self.program.run("hosts", *flags).stdout
            self.assertRegex(text, rf"(?m)^  named            {laptop.address}, {host['hardware']}, seen .* ago: camfw.toml:{number}$")

    def test_two_devices_that_take_turns_at_one_address_are_told(self) -> None:
        # Of a camera without a hardware address in the file: which one answers is all that tells them apart.
        self.boot(self.policy)
        one, other = "02:00:00:00:00:71", "02:00:00:00:00:72"
        with self.watching():
            for mac in (one, other, one):
                self.assertNotIn("two-devices", self.kinds(), mac)
                self.camera.ip(batch=f"""
                    address flush dev {INTERFACE} scope global
                    link set {INTERFACE} address {mac}
                    address add {SHED}/24 dev {INTERFACE}
                """)
                self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
                self.assertTrue(wait_until(lambda: mac in self.answering()), f"{mac} answers")
            self.assertTrue(wait_until(lambda: "two-devices" in self.kinds()), self.program.run("hosts").stdout)
            (problem,) = (it for it in self.hosts()["problems"] if it["kind"] == "two-devices")
            self.assertEqual(problem["camera"], "shed")
            text = f"{SHED} of camera shed is used by {one} and {other}; unplug one, or give it another address"
            self.assertIn(text, self.program.run("status").stdout)

    def kinds(self) -> set[str]:
        return {problem["kind"] for problem in self.hosts()["problems"]}

    def answering(self) -> str:
        """The line of the camera shed in what watch has compared: with the hardware address that answered last."""
        record = (self.program.run_folder / "camfw/seen").read_text()
        return next(line for line in record.splitlines() if line.startswith("shed ")).split()[3]

    def test_who_is_there(self) -> None:
        self.boot(self.policy)
        leases = self.program.var / "misc/dnsmasq.leases"
        leases.parent.mkdir()
        leases.write_text(f"0 02:00:00:00:00:77 {STRANGER} {HOSTILE} *\n0 x\n")
        self.assertEqual(self.states(), dict.fromkeys(("porch", "yard", "shed"), "never-seen"))
        with self.watching():
            self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
            self.assertTrue(wait_until(lambda: self.states()["porch"] == "seen"))
            self.assertEqual(self.hosts()["problems"], [])
            # The porch's hardware address with an address that nobody listed.
            probes.ping(self.camera, example.CAMERA.router, 0.2, "-I", STRANGER)
            self.assertTrue(wait_until(lambda: self.hosts()["problems"]), "it is told")
            (problem,) = self.hosts()["problems"]
            self.assertEqual((problem["kind"], problem["camera"]), ("other-address", "porch"))
            self.assertEqual(self.states(), {"porch": "seen", "yard": "never-seen", "shed": "never-seen"})
            (interface,) = (zone["interface"] for zone in self.hosts()["zones"] if zone["name"] == "camera")
            self.assertEqual((interface["name"], interface["up"], interface["link"]), ("eth1", True, True))
            # What veth tells of itself, in Mbit/s.
            self.assertEqual((interface["speed"], interface["receive_errors"], interface["transmit_errors"]), (10000, 0, 0))
            # A plain device that nobody listed, as a table that the file takes.
            self.camera.ip(batch=f"""
                address flush dev {INTERFACE} scope global
                link set {INTERFACE} address 02:00:00:00:00:77
                address add {STRANGER}/24 dev {INTERFACE}
            """)
            self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
            self.assertTrue(wait_until(lambda: self.zone()["others"]), "it is there")
            text = self.program.run("hosts").stdout
            self.assertIn("calls itself ??2Jcam???script??x?1\n", text)
            self.assertTrue(text.replace("\n", "").isprintable(), text)
            # Nowhere else is it more than those characters.
            for command in (("hosts", "--json"), ("status",), ("status", "--json"), ("blocked",), ("metrics",),
                            ("report", "--html", "-"), ("show", "matrix")):
                said = self.program.run(*command).said
                for hostile in ("\x1b", "<script", "cam\"}"):
                    self.assertNotIn(hostile, said, command)
            tables = tomllib.loads(self.program.run("hosts", "--toml").stdout)["cameras"]
            self.assertEqual(tables, [{
                "name": "new-192-168-8-150", "address": STRANGER, "mac": "02:00:00:00:00:77",
            }])
            self.program.configure(self.policy + self.program.run("hosts", "--toml").stdout)
            self.camfw("check")
        # What was known outlives watch and a reboot.
        self.program.configure(self.policy)
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        self.assertEqual(self.states()["porch"], "seen")
