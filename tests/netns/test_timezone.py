"""Lines restricted to certain hours of a time zone's local time.

The machine's clock is left as it is: zones are chosen, and made, around the present.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lab import example, probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow
from netns.program import ROOT, Result
from netns.schema import differences

ROUTER = example.LAPTOP.router
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES = timedelta(minutes=1)
HOUR = 3600
WATCHED = "[watch]\ninterval = 1\n"


def zone(name: str) -> str:
    return f'[router]\ntimezone = "{name}"\n'


def around(now: datetime, first: timedelta, last: timedelta) -> str:
    """A `when` table from and to so far from a time of some clock."""
    start, end = ((now + ahead).strftime("%H:%M") for ahead in (first, last))
    return f'when = {{ from = "{start}", to = "{end}" }}'


def data(*seasons: tuple[int, int]) -> bytes:
    """What a zone's file says of seasons: where each begins, and how far ahead of UTC it is;
    the first is that of all times before (RFC 9636)."""
    kinds = b"".join(struct.pack(">ibB", ahead, 0, 0) for _, ahead in seasons)

    def block(size: str, later: tuple[tuple[int, int], ...]) -> bytes:
        counts = struct.pack(">6I", 0, 0, 0, len(later), len(seasons), 4)
        times = b"".join(struct.pack(size, start) for start, _ in later)
        return b"TZif2" + bytes(15) + counts + times + bytes(range(1, len(later) + 1)) + kinds + b"LOC\0"

    last = seasons[-1][1]
    sign, minutes = "-" if last > 0 else "+", abs(last) // 60
    rule = f"\n<LOC>{sign}{minutes // 60}:{minutes % 60:02}\n"
    return block(">i", ()) + block(">q", seasons[1:]) + rule.encode()


@both_backends
class TimeZone(RouterTest):
    """The same connection at hours of local time around the present and beside it."""

    def setUp(self) -> None:
        super().setUp()
        self.zones = self.scratch / "zones"
        (self.zones / "Test").mkdir(parents=True)
        listener = Listener(self.router, tcp=[22, 80])
        self.addCleanup(listener.stop)

    def here(self, *arguments: str, expect: int = 0) -> Result:
        """Runs camfw by the zones that the test made."""
        return self.camfw(*arguments, expect=expect, before=("/usr/bin/env", f"TZDIR={self.zones}"))

    def make(self, *seasons: tuple[int, int], name: str = "Test/Zone") -> None:
        new = self.zones / "new"
        new.write_bytes(data(*seasons))
        new.rename(self.zones / name)

    def policy(self, name: str, when: str, more: str = "") -> str:
        line = allow("private", "router", "ssh", when)
        return zone(name) + ZONES + line + allow("private", "router", "http") + more

    def reaches(self, wait: float = probes.PATIENCE) -> bool:
        self.assertTrue(probes.tcp(self.laptop, ROUTER, 80), "control: a line without hours")
        return bool(probes.tcp(self.laptop, ROUTER, 22, wait))

    def status(self, expect: int = 0) -> dict[str, Any]:
        told = dict(json.loads(self.here("status", "--json", expect=expect).stdout))
        self.assertEqual(differences(told, json.loads((ROOT / "docs/status.schema.json").read_text())), [])
        return told

    def needs(self, told: dict[str, Any]) -> list[str]:
        """What needs attention of clocks and zones."""
        return [line for line in told["needs"] if "lines with when" in line]

    def watching(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return self.program.watching(before=("/usr/bin/env", f"TZDIR={self.zones}"))

    def test_hours_are_those_of_the_zone(self) -> None:
        for name in ("Asia/Kolkata", "America/New_York"):
            local = datetime.now(ZoneInfo(name))
            for clock, is_open in ((local, True), (datetime.now(UTC), False)):
                with self.subTest(zone=name, is_open=is_open):
                    self.program.configure(self.policy(name, around(clock, -5 * MINUTES, 5 * MINUTES)))
                    self.camfw("boot")
                    self.assertEqual(self.reaches(probes.PATIENCE if is_open else 0.5), is_open)
            # All of this day there, over midnight in UTC.
            today, later = DAYS[local.weekday()], DAYS[(local.weekday() + 2) % 7]
            for day, is_open in ((today, True), (later, False)):
                with self.subTest(zone=name, day=day):
                    self.program.configure(self.policy(name, f'when = {{ days = "{day}" }}'))
                    self.camfw("apply")
                    self.assertEqual(self.reaches(probes.PATIENCE if is_open else 0.5), is_open)
        self.assertIn(f"local time of {name}: {local:%Y-%m-%d}", self.camfw("status").stdout)
        told = json.loads(self.camfw("check", "--json").stdout)
        self.assertEqual(differences(told, json.loads((ROOT / "docs/check.schema.json").read_text())), [])
        self.assertIn(" UTC", told["local_time"][1])

    def test_only_the_season_of_the_day_counts(self) -> None:
        now = int(time.time())
        local = datetime.now(UTC) + timedelta(hours=5)
        hours = around(local, -5 * MINUTES, 5 * MINUTES)
        # It changed a minute ago, or will in an hour; before and after it is 5 hours apart.
        for change, is_open in ((now - 60, True), (now + HOUR, False)):
            self.make((0, 0), (change, 5 * HOUR))
            self.program.configure(self.policy("Test/Zone", hours))
            self.here("boot")
            self.assertIs(self.reaches(probes.PATIENCE if is_open else 0.5), is_open)
            rules = [rule.rule for rule in self.tables.rules("iptables") if "-m time" in rule.rule]
            stamp = datetime.fromtimestamp(change, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self.assertEqual(sum(f"--datestart {stamp}" in rule for rule in rules), 1, rules)
            self.assertEqual(self.status()["drift"], [])

    def test_watch_takes_the_coming_seasons(self) -> None:
        now = int(time.time())
        hours = around(datetime.now(UTC) + timedelta(hours=5), -5 * MINUTES, 10 * MINUTES)
        self.make((0, 0))
        self.program.configure(self.policy("Test/Zone", hours, WATCHED))
        self.here("boot")
        self.assertFalse(self.reaches(0.5))
        # The zone got another rule; the rules in force are those that were loaded.
        self.make((0, 0), (now - 60, 5 * HOUR))
        told = self.status()
        self.assertEqual((told["state"], told["drift"]), ("applied", []))
        self.assertIn("UTC+00:00", told["local_time"][0])
        with self.watching():
            self.assertTrue(wait_until(lambda: self.reaches(0.5)), "watch takes it")
            told = self.status()
            self.assertEqual((told["state"], told["drift"], self.needs(told)), ("applied", [], []))
            self.assertIn("UTC+05:00", told["local_time"][0])
            # Another program's rule is told, and not undone along with the next.
            self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
            self.program.logged()
            self.assertTrue(wait_until(lambda: "rule that is not ours" in self.program.logged()))
        self.assertIn("--dport 23", " ".join(self.status(expect=1)["drift"]))
        self.here("apply")
        # Without its data the box stays as it is, and says so before the next boot does.
        (self.zones / "Test/Zone").unlink()
        self.assertEqual(self.status()["drift"], [])
        self.assertIn('no time zone in', self.here("apply", expect=2).stderr)
        self.assertTrue(self.reaches())

    def test_rules_run_out_and_that_is_told_before(self) -> None:
        hours = 'when = { from = "00:00", to = "23:59:58" }'
        self.make((0, 0))
        self.program.configure(self.policy("Test/Zone", hours))
        self.here("boot")
        self.assertTrue(self.reaches())
        self.assertEqual(self.needs(self.status()), [])
        # As a box that was applied long ago and is not watched.
        kept = self.program.run_folder / "camfw/local-time"
        head = kept.read_text().splitlines()[0]
        for ends in (90 * 24 * HOUR, -HOUR):
            kept.write_text(f"{head}\n1793491200 {int(time.time()) + ends} 0\n")
            needs = self.needs(self.status(expect=1))
            self.assertEqual(len(needs), 1, needs)
            self.assertIn("local time is computed until", needs[0])
        self.here("apply")
        self.assertEqual(self.needs(self.status()), [])
        self.assertTrue(self.reaches())

    def test_what_is_no_zone_is_refused(self) -> None:
        secret = self.scratch / "secret"
        secret.write_bytes(data((0, 0)))
        (self.zones / "Test/Out").symlink_to(secret)
        (self.zones / "Test/In").symlink_to("Zone")
        (self.zones / "Test/Torn").write_bytes(data((0, 0))[:60])
        (self.zones / "Test/Large").write_bytes(data((0, 0)) + bytes(1 << 16))
        self.make((0, 0))
        hours = 'when = { from = "08:00", to = "18:00" }'
        for name, what in (
            ("Test/None", "no time zone in"), ("Test/Out", "cannot read"), ("Test", "cannot read"),
            ("Test/Torn", "do not tell its time"), ("Test/Large", "it is too large"),
            ("../zones/Test/Zone", "is not a time zone's name"), ("/etc/localtime", "is not a time zone's name"),
        ):
            self.program.configure(self.policy(name, hours))
            for command in ("check", "apply", "boot"):
                with self.subTest(zone=name, command=command):
                    said = self.here(command, expect=2).stderr.splitlines()
                    told = [line for line in said if "camfw.toml:2:12: " in line]
                    self.assertTrue(told and what in told[0], said)
        self.program.configure(self.policy("Test/In", hours))
        self.here("boot")
        self.zones.rename(self.scratch / "moved")
        self.assertIn("install tzdata", self.here("check", expect=2).stderr)
        (self.scratch / "moved").rename(self.zones)
        # Others could make the hours what they like.
        (self.zones / "Test").chmod(0o777)
        self.assertIn("others than its owner can write", self.here("apply", expect=2).stderr)
