"""A box that was sealed is not opened by a command that began before: by one that
waits for the lock, nor by one that fails and would put back what was."""

from __future__ import annotations

import time

from netns.case import both_backends
from netns.program import tools, wrap
from netns.test_seal import STATED, SealTest
from lab.probes import wait_until


@both_backends
class SealedMeanwhile(SealTest):
    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.change_config('service = "ssh"', 'service = ["ssh", "https"]')
        # By which table raw is loaded too.
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')

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
        path = tools(self.scratch / "fails", self.backend)
        waits, go = self.scratch / "waits", self.scratch / "go"
        # The first load of a policy fails late; all others work.
        wrap(path, "iptables-restore", "input=$(cat)\n"
             f'if [[ $input == *SPOOFED* && ! -e {waits} ]]; then\n'
             f"touch {waits}; until [ -e {go} ]; do sleep 0.05; done; exit 1\n"
             'else real "$@" <<<"$input"; fi', self.backend)
        apply = self.program.start("apply", path=path)
        self.assertTrue(wait_until(waits.exists))
        seal = self.program.start("seal")
        self.assertTrue(wait_until(self.mark().exists))
        # Killed, so that it does not close the box again when the lock is free.
        seal.kill()
        seal.communicate()
        go.touch()
        _, said = apply.communicate(timeout=STATED)
        self.assertEqual(apply.returncode, 3, said)
        self.assert_sealed()
