"""A box that was sealed is not opened by a command that began before: by one that
waits for the lock, nor by one that fails and would put back what was."""

from __future__ import annotations

import time

from netns.case import both_backends
from netns.test_seal import STATED, SealTest


@both_backends
class SealedMeanwhile(SealTest):
    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.other_policy()

    def test_an_apply_that_waits_for_the_lock_does_not_open_it(self) -> None:
        with self.holding("camfw.lock"):
            apply = self.program.start("apply")
            # It has begun, and does nothing but wait.
            time.sleep(2)
            self.camfw("seal")
            self.assertIsNone(apply.poll())
        _, said = apply.communicate(timeout=STATED)
        self.assertEqual(apply.returncode, 3, said)
        self.assertIn(b"sealed meanwhile", said)
        self.assert_sealed()
        self.camfw("apply")

    def test_an_apply_that_fails_does_not_put_the_old_rules_back(self) -> None:
        self.apply_while_seal_is_killed("instead")
