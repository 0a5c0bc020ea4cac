"""The suite itself: it sees what gets through, or it would prove nothing."""

from __future__ import annotations

import unittest
from typing import ClassVar

from attack import routers
from attack.campaign import GENERATORS, attack
from attack.scenarios import SAME
from attack.stage import Stage
from netns.case import both_backends

# Of which nothing can arrive elsewhere, even where there are no rules.
_NEVER = {4: {"neighbours", "extension-headers"}, 6: {"dhcp", "options"}}
_FRAMES = 900


class OpenLegacy(unittest.TestCase):
    """A router without rules, whatever the backend."""

    def test_most_shots_of_each_kind_arrive(self) -> None:
        with Stage(SAME, "legacy", routers.open_to_all) as stage:
            for outcome in attack(stage, "legacy", _FRAMES, seed=1):
                with self.subTest(side=outcome.zone, six=outcome.six):
                    arrived = sum(outcome.arrived_by_generator.values())
                    self.assertGreater(arrived, outcome.shots * 0.5)
                    kinds = set(GENERATORS) - _NEVER[6 if outcome.six else 4]
                    self.assertEqual(kinds - outcome.arrived_by_generator.keys(), set())


@both_backends
class AsEverybody(unittest.TestCase):
    """A router whose rules are those of most: with one for RELATED and ESTABLISHED that
    asks neither who sends an error nor where it goes."""

    backend: ClassVar[str]

    def test_errors_of_anybody_get_through(self) -> None:
        with Stage(SAME, self.backend, routers.as_everybody) as stage:
            for outcome in attack(stage, self.backend, 300, 1, frozenset({"errors", "wrapped-errors"})):
                with self.subTest(side=outcome.zone, six=outcome.six):
                    across = [one for one in outcome.findings if set(one.places) - {"router"}]
                    self.assertGreater(len(across), 5)
