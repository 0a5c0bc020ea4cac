"""Lines restricted to certain times, in UTC as the kernel's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

ROUTER = example.LAPTOP.router
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def window(start: timedelta, end: timedelta, days: str = "") -> str:
    """A `when` table, relative to now, in minutes."""
    now = datetime.now(UTC)
    first, last = ((now + ahead).strftime("%H:%M") for ahead in (start, end))
    return f'when = {{ from = "{first}", to = "{last}"{days} }}'


def on(*ahead: int) -> str:
    """The names of the days at these distances from today."""
    today = datetime.now(UTC).weekday()
    return ",".join(DAYS[(today + number) % 7] for number in ahead)


def away_from_midnight() -> None:
    """Waits until the current day lasts for at least another minute."""
    now = datetime.now(UTC)
    if (now.hour, now.minute) == (23, 59):
        time.sleep(61 - now.second)


MINUTES = timedelta(minutes=1)


@both_backends
class Time(RouterTest):
    """The same connection with time windows around the present and beside it, minutes
    apart."""

    def setUp(self) -> None:
        super().setUp()
        listener = Listener(self.router, tcp=[22, 80])
        self.addCleanup(listener.stop)

    def reaches(self, when: str, wait: float = probes.PATIENCE) -> bool:
        self.boot(ZONES, allow("private", "router", "ssh", when), allow("private", "router", "http"))
        self.assertTrue(probes.tcp(self.laptop, ROUTER, 80), "control: a line without a time")
        return bool(probes.tcp(self.laptop, ROUTER, 22, wait))

    def test_part_of_a_day(self) -> None:
        # Wraps around midnight if the present is near it.
        self.assertTrue(self.reaches(window(-5 * MINUTES, 5 * MINUTES)))
        self.assertTrue(self.reaches(window(-5 * MINUTES, 23 * 60 * MINUTES)))
        self.assertFalse(self.reaches(window(5 * MINUTES, 60 * MINUTES), 0.5))
        self.assertFalse(self.reaches(window(-60 * MINUTES, -5 * MINUTES), 0.5))
        self.assertFalse(self.reaches(window(5 * MINUTES, -5 * MINUTES), 0.5))

    def test_days(self) -> None:
        away_from_midnight()
        self.assertTrue(self.reaches(f'when = {{ days = "{on(0)}" }}'))
        self.assertTrue(self.reaches(f'when = {{ days = "{on(6)}-{on(1)}" }}'))
        self.assertFalse(self.reaches(f'when = {{ days = "{on(1, 2, 3, 4, 5, 6)}" }}', 0.5))

    def test_days_as_a_list(self) -> None:
        away_from_midnight()

        def listed(*ahead: int) -> str:
            names = ", ".join(f'"{name}"' for name in on(*ahead).split(","))
            return f"when = {{ days = [{names}] }}"

        self.assertTrue(self.reaches(listed(3, 0)))
        self.assertTrue(self.reaches(f'when = {{ days = ["{on(2)}", "{on(6)}-{on(1)}"] }}'), "a range among them")
        self.assertFalse(self.reaches(listed(1, 2, 3, 4, 5, 6), 0.5))

    def test_part_of_some_days(self) -> None:
        away_from_midnight()
        now = datetime.now(UTC)
        # All of today except the past or the coming minutes.
        today, others = f', days = "{on(0)}"', f', days = "{on(2, 3, 4)}"'
        whole = 'when = {{ from = "00:00", to = "23:59:59"{} }}'
        self.assertTrue(self.reaches(whole.format(today)))
        self.assertFalse(self.reaches(whole.format(others), 0.5))
        if now.hour < 23:
            self.assertFalse(self.reaches(f'when = {{ from = "23:30", to = "23:59:59"{today} }}', 0.5))
        else:
            self.assertFalse(self.reaches(f'when = {{ from = "00:00", to = "00:30"{today} }}', 0.5))

    def test_what_is_open_goes_on(self) -> None:
        self.assertTrue(self.reaches(window(-5 * MINUTES, 5 * MINUTES)))
        with self.laptop.socket() as connection:
            connection.settimeout(probes.PATIENCE)
            connection.connect((ROUTER, 22))
            over = allow("private", "router", "ssh", window(-60 * MINUTES, -5 * MINUTES))
            self.program.configure(ZONES + over)
            self.camfw("apply")
            self.assertFalse(probes.tcp(self.laptop, ROUTER, 22, 0.5), "no new one")
            connection.sendall(b"goes on")
            self.assertEqual(connection.recv(100), b"goes on")
