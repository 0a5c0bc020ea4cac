"""A file whose rules break one of its guarantees is not loaded."""

from __future__ import annotations

from lab import example
from netns.case import RouterTest, both_backends

# The example allows the laptop to connect to the cameras.
BROKEN = '\n[[guarantees]]\nnever = { from = "private", to = "camera", service = "http" }\n'
KEPT = '\n[[guarantees]]\nalways = { from = "private", to = "router", service = "ssh" }\n'


@both_backends
class Guarantee(RouterTest):
    def promise(self, guarantee: str) -> None:
        self.program.configure(self.program.config.read_text() + guarantee)

    def test_apply_changes_nothing(self) -> None:
        self.promise(KEPT)
        self.camfw("boot")
        before = self.tables.save("iptables")
        self.promise(BROKEN)
        for command in ("check", "apply"):
            said = self.camfw(command, expect=1).said
            self.assertIn("private never opens a connection to camera for http", said)
            # The counterexample, and the rule that lets it through.
            self.assertIn("--dport 80", said)
            self.assertIn("private_to_camera", said)
        self.assertEqual(self.tables.save("iptables"), before)
        self.assertEqual(self.forwarding(), "1")
        # The control: a guarantee that holds.
        self.program.configure(self.program.config.read_text().replace(BROKEN, ""))
        self.camfw("apply")

    def test_boot_leaves_the_box_sealed(self) -> None:
        self.promise(BROKEN)
        self.camfw("boot", expect=3)
        self.assert_sealed()
        self.program.configure(self.program.config.read_text().replace(BROKEN, KEPT))
        self.camfw("boot")
        self.assertEqual(self.forwarding(), "1")

    def test_prove_live_sees_what_somebody_added(self) -> None:
        self.camfw("boot")
        said = self.camfw("prove", "--live").stdout
        self.assertIn("holds: camera never opens a connection to external", said)
        rule = ("-I", "FORWARD", "-i", example.CAMERA.interface, "-o", example.INTERNET.interface, "-j", "ACCEPT")
        self.tables.run("iptables", *rule)
        said = self.camfw("prove", "--live", expect=1).stdout
        self.assertIn("does not hold: camera never opens a connection to external", said)
        self.assertIn("ACCEPT by filter FORWARD 1: ", said)
