"""What status reports: since when, which policy, and the counters."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from lab import example, probes, traffic
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import ROOT
from netns.schema import differences

COUNT = 5
SCHEMA = json.loads((ROOT / "docs/status.schema.json").read_text())


@both_backends
class Status(RouterTest):
    """The text for people and the JSON for programs."""

    def status(self, expect: int = 0) -> dict[str, Any]:
        report = json.loads(self.camfw("status", "--json", expect=expect).stdout)
        assert isinstance(report, dict)
        self.assertEqual(differences(report, SCHEMA), [])
        return report

    def counted(self, what: str) -> int:
        """The new connections counted by the example's allow lines for a service."""
        lines = self.status()["accounting"]["allow"]
        found = [line["new_connections"] for line in lines if line["what"] == what]
        self.assertNotEqual(found, [], f"{what} in {lines}")
        return sum(found)

    def dropped(self, reason: str, chain: str) -> int:
        drops = self.status()["accounting"]["drops"]
        return sum(drop["packets"] for drop in drops if (drop["reason"], drop["chain"]) == (reason, chain))

    def test_outcome_since_and_policy(self) -> None:
        self.assertEqual(self.status(expect=1)["state"], "unknown")
        # All of the policy differs then, and some of it says so.
        self.assertLess(len(self.camfw("status", expect=1).stdout.splitlines()), 30)
        for command in ("hosts", "blocked"):
            self.assertIn("no policy is in force (UNKNOWN)", self.camfw(command, expect=1).stderr)
        before = int(time.time())
        self.camfw("boot")
        after = int(time.time())
        time.sleep(1.1)
        report = self.status()
        self.assertTrue(report["holds"])
        self.assertEqual(report["state"], "applied")
        self.assertEqual(report["compared_with"], hashlib.sha256(self.program.config.read_bytes()).hexdigest())
        self.assertGreaterEqual(report["seconds"], 1)
        self.assertIn(report["since"], range(before - 1, after + 2))
        self.assertIsNone(report["seconds_left"])
        self.assertEqual(report["drift"], [])
        # An apply that changes nothing does not change the time.
        self.camfw("apply")
        self.assertGreaterEqual(self.status()["seconds"], 1)
        text = self.camfw("status").stdout
        self.assertRegex(text, r"^APPLIED for \d+ s\n")
        self.assertIn(f"the kernel holds policy {report['compared_with'][:12]} of {self.program.config}\n", text)
        self.assert_an_edit_is_told_as_one(report["compared_with"])
        self.camfw("seal")
        closed = self.status(expect=3)
        self.assertEqual((closed["state"], closed["compared_with"]), ("sealed", None))
        self.assertNotIn("the kernel holds", self.camfw("status", expect=3).stdout)
        self.camfw("open")
        self.assertEqual(self.status(expect=1)["state"], "open")

    def assert_an_edit_is_told_as_one(self, applied: str) -> None:
        """What an edited file changes is no drift, and what somebody changed still is."""
        text = self.program.config.read_text()
        edited = "the file was edited since it was applied"
        # What changes no rule is none.
        self.program.configure(text + "# a remark\n")
        self.assertEqual(self.status()["drift"], [])
        self.change_config('service = "ssh"', 'service = "https"')
        report = self.status(expect=1)
        self.assertEqual((report["compared_with"], len(report["drift"])), (applied, 1), report["drift"])
        self.assertTrue(report["drift"][0].startswith(edited), report["drift"])
        self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
        first, second = self.status(expect=1)["drift"]
        self.assertTrue(first.startswith(edited) and "--dport 23" in second, (first, second))
        self.program.configure(text)
        self.camfw("apply")
        self.assertEqual(self.status()["drift"], [])

    def test_any_user_is_told_what_it_may_know(self) -> None:
        self.camfw("boot")
        # Its file is one that others may read.
        for folder in (self.scratch, self.program.config.parent):
            folder.chmod(0o755)
        before = ("/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")
        for command in ("status", "hosts"):
            result = self.program.run(command, before=before)
            self.assertEqual(result.code, 1, result)
            self.assertIn("run it as root", result.stdout)
            self.assertIn("eth1", result.stdout)
        report = json.loads(self.program.run("status", "--json", before=before).stdout)
        self.assertEqual(differences(report, SCHEMA), [])
        self.assertEqual((report["state"], report["holds"]), ("unknown", False))
        links = {zone["name"]: zone["interface"]["link"] for zone in report["presence"]["zones"]}
        self.assertEqual(set(links.values()), {True}, links)

    def test_each_difference_is_there(self) -> None:
        self.camfw("boot")
        self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
        self.router.write_sysctl("net.ipv4.conf.all.rp_filter", "0")
        report = self.status(expect=1)
        self.assertFalse(report["holds"])
        self.assertEqual(len(report["drift"]), 2, report["drift"])
        self.assertIn("--dport 23", report["drift"][0])
        self.assertIn("net.ipv4.conf.all.rp_filter", report["drift"][1])
        self.assertIn("\n2 differences from policy ", self.camfw("status", expect=1).stdout)

    def test_a_file_that_is_lost_or_spoiled_hides_no_state(self) -> None:
        self.camfw("boot")
        text = self.program.config.read_text()
        self.program.config.unlink()
        said = self.camfw("status", expect=1).stdout
        self.assertRegex(said, "^APPLIED for ")
        self.assertIn(f"the file is gone: {self.program.config}; the policy in force stays", said)
        self.assertNotIn(":1:1", said)
        self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
        report = self.status(expect=1)
        self.assertEqual((report["state"], report["holds"]), ("applied", False))
        self.assertEqual(len(report["drift"]), 2, report["drift"])
        self.program.configure("nonsense")
        said = self.camfw("status", expect=1).stdout
        self.assertRegex(said, "^APPLIED for ")
        self.assertIn("the file is refused: ", said)
        self.program.configure(text)
        self.camfw("apply")
        self.camfw("status")

    def test_connections_of_an_allow_line_are_counted_and_survive_a_reload(self) -> None:
        self.camfw("boot")
        with Listener(self.camera, tcp=[80]), Listener(self.router, tcp=[22]):
            self.assertEqual((self.counted("http"), self.counted("ssh")), (0, 0))
            for _ in range(3):
                self.assertTrue(probes.tcp(self.laptop, example.CAMERA.address, 80))
            self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router, 22))
            self.assertEqual((self.counted("http"), self.counted("ssh")), (3, 1))
            # Every table is reloaded, and every line of the file has moved.
            text = self.program.config.read_text()
            text = text.replace('rate = "10/minute"', 'rate = "20/minute"')
            text = text.replace('service = "ssh"', 'service = ["ssh", "https"]')
            self.program.configure("# one line\n\n" + text)
            self.camfw("apply")
            self.assertEqual((self.counted("http"), self.counted("ssh"), self.counted("https")), (3, 1, 0))
            self.assertTrue(probes.tcp(self.laptop, example.CAMERA.address, 80))
            self.assertEqual(self.counted("http"), 4)
            self.camfw("apply")
            self.assertEqual(self.counted("http"), 4)

    def test_drops_are_counted_by_reason_and_survive_a_reload(self) -> None:
        self.camfw("boot")
        spoofed, refused = ("spoofed source", "source-camera"), ("not allowed", "INPUT")
        self.assertEqual(self.dropped(*spoofed), 0)
        before = self.dropped(*refused)
        traffic.send(self.camera, example.CAMERA.router, kind=traffic.UDP, port=53, source="10.1.2.3", count=COUNT)
        traffic.send(self.camera, example.CAMERA.router, kind=traffic.UDP, port=53, count=COUNT)
        self.assertEqual(self.dropped(*spoofed), COUNT)
        # Multicast sent by the hosts themselves is subject to the same policy.
        self.assertGreaterEqual(self.dropped(*refused) - before, COUNT)
        after = self.dropped(*refused)
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')
        self.camfw("apply")
        self.assertEqual(self.dropped(*spoofed), COUNT)
        self.assertGreaterEqual(self.dropped(*refused), after)
        text = self.camfw("status", "--all").stdout
        self.assertRegex(text, r"(?m)^ +5 +\d+  spoofed source \(source-camera\)$")

    def test_packets_of_a_camera_are_counted(self) -> None:
        self.program.configure(
            self.program.config.read_text() + '\n[[cameras]]\nname = "porch"\naddress = "192.168.8.110"\n')
        self.camfw("boot")
        (camera,) = self.status()["accounting"]["cameras"]
        self.assertEqual(camera["name"], "porch")
        traffic.send(self.camera, example.CAMERA.router, kind=traffic.UDP, port=53, count=COUNT)
        (after,) = self.status()["accounting"]["cameras"]
        self.assertEqual(after["packets"] - camera["packets"], COUNT)
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')
        self.camfw("apply")
        (kept,) = self.status()["accounting"]["cameras"]
        self.assertGreaterEqual(kept["packets"], after["packets"])
