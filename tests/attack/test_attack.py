"""Nothing gets through that the policy does not allow: a bounded number of hostile
frames from each side, in both families.

CAMFW_FRAMES is how many from each side, CAMFW_SEED which.
"""

from __future__ import annotations

import os
import sys
import unittest
from typing import ClassVar

from attack import scenarios
from attack.campaign import attack
from attack.scenarios import Scenario
from attack.stage import Stage
from netns.case import both_backends

FRAMES = int(os.environ.get("CAMFW_FRAMES", "500"))
SEED = int(os.environ.get("CAMFW_SEED", "1"))


@both_backends
class Attack(unittest.TestCase):
    backend: ClassVar[str]
    maxDiff = None

    def assert_nothing_forbidden_arrives(self, scenario: Scenario) -> None:
        allowed = 0
        with Stage(scenario, self.backend) as stage:
            for outcome in attack(stage, self.backend, FRAMES, SEED):
                family = "IPv6" if outcome.six else "IPv4"
                print(f"{scenario.name} from {outcome.zone}, {family}, {self.backend}: {outcome.frames} frames, "
                      f"{outcome.allowed} arrived that may, {len(outcome.findings)} that must not", file=sys.stderr)
                with self.subTest(side=outcome.zone, wire=outcome.wire, family=family):
                    self.assertEqual([str(finding) for finding in outcome.findings], [])
                allowed += outcome.allowed
        # Beside the controls between the shots: among them are some that the lines allow.
        self.assertGreater(allowed, 0)

    def test_camera_router(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.CAMERA_ROUTER)

    def test_recorder_with_known_cameras(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.RECORDER)

    def test_one_box_that_opens_what_is_listed(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.LISTED)

    def test_ipv6_by_the_same_policy(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.SAME)

    def test_bridge_of_cameras(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.BRIDGE)

    def test_rewritten_addresses(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.NAT)

    def test_several_public_addresses(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.PUBLIC)

    def test_ftp_helper(self) -> None:
        self.assert_nothing_forbidden_arrives(scenarios.HELPER)
