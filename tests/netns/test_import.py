"""Runs the scripts that camfw-import reads, and holds what it makes of them against what the kernel then has.

Each folder of import/tests/script has a script; what iptables-save prints after it is its `dump`, which the
crate's own tests compare as well. `UPDATE=1` writes it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from lab.namespace import Namespace
from netns.case import both_backends
from netns.program import BINARY, ROOT, multi

CASES = ROOT / "import/tests/script"
IMPORT = BINARY.with_name("camfw-import")
ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


@both_backends
class Import(unittest.TestCase):
    """A namespace for each script, with its interfaces."""

    backend: ClassVar[str]

    def dump_of(self, case: Path, scratch: Path) -> str:
        """What the kernel holds after the script, by iptables-save."""
        wanted = (case / "config.toml").read_text()
        with Namespace("import") as namespace:
            for number, name in enumerate(re.findall(r'^interface = "(.*)"$', wanted, re.M)):
                namespace.ip("link", "add", name, "type", "veth", "peer", "name", f"peer{number}")
                for end in (name, f"peer{number}"):
                    namespace.ip("link", "set", end, "up")
            # The scripts name iptables by its path: the machine's alternatives are this backend's, for them alone.
            alternatives = scratch / "alternatives"
            shutil.copytree("/etc/alternatives", alternatives, symlinks=True)
            for family in ("iptables", "ip6tables"):
                for tool in ("", "-restore", "-save"):
                    link = alternatives / f"{family}{tool}"
                    link.unlink(missing_ok=True)
                    link.symlink_to(multi(self.backend))
            stubs = scratch / "stubs"
            stubs.mkdir()
            for name, text in {"sudo": 'exec "$@"', "modprobe": ":"}.items():
                (stubs / name).write_text(f"#!/bin/sh\n{text}\n")
                (stubs / name).chmod(0o755)
            namespace.run(
                ["unshare", "-m", "sh", "-c",
                 f"mount --bind {alternatives} /etc/alternatives && PATH={stubs}:$PATH exec bash {case / 'script'}"],
                check=True,
            )
            saved = namespace.run([str(multi(self.backend)), "iptables-save"], check=True).stdout
        lines = [line for line in saved.splitlines() if not line.startswith("#")]
        text = "".join(re.sub(r" \[\d+:\d+\]$", " [0:0]", line) + "\n" for line in lines)
        # Which tables it has without rules, and in which order, is the backend's.
        tables = sorted(re.findall(r"^\*.*?^COMMIT\n", text, re.M | re.S))
        return "".join(table for table in tables if "\n-A " in table)

    def test_what_is_imported_lets_through_no_more(self) -> None:
        compared_cases = 0
        for case in sorted(CASES.iterdir()):
            if not (case / "dump").is_file() and "UPDATE" not in os.environ:
                continue
            text = (case / "script").read_text()
            # What is a dump itself is its own.
            if not text.startswith("#!"):
                continue
            scratch = Path(tempfile.mkdtemp(prefix="camfw-test-"))
            self.addCleanup(shutil.rmtree, scratch)
            with self.subTest(case.name), Namespace("desk") as desk:
                dump = self.dump_of(case, scratch)
                if "UPDATE" in os.environ:
                    (case / "dump").write_text(dump)
                self.assertEqual(same_names(dump), same_names((case / "dump").read_text()))
                zones = [word for line in (case / "zones").read_text().split() for word in ("--zone", line)]
                made = desk.run([str(IMPORT), "script", str(case / "script"), *zones])
                self.assertIn(made.returncode, (0, 1), made.stderr)
                config = scratch / "camfw.toml"
                config.write_text(made.stdout)
                answered = re.sub(r"^((?::.*\n)+)(?=-A INPUT)", rf"\1{answers()}", dump, flags=re.M)
                (scratch / "dump").write_text(answered)
                compared = desk.run([str(BINARY), "compare", "--json", str(scratch / "dump"), str(config)])
                self.assertEqual(compared.returncode, 1, compared.stderr)
                found = json.loads(compared.stdout)
                self.assertFalse(found["too_large"])
                let = [change for change in found["changes"] if change["change"] == "let-through" and change["certain"]]
                self.assertEqual(let, [])
                compared_cases += 1
        self.assertGreaterEqual(compared_cases, 5)


def answers() -> str:
    """What camfw lets through by itself, which begins no connection of anybody: answers, and the loopback."""
    own = "-A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\n"
    # Of the router's DHCP server, to who has no address.
    own += "-A OUTPUT -d 255.255.255.255/32 -p udp -m udp --sport 67 --dport 68 -m conntrack --ctstate NEW -j ACCEPT\n"
    return own + "".join(f"-A {chain} {ANSWERS}\n" for chain in ("INPUT", "FORWARD", "OUTPUT"))


def same_names(dump: str) -> list[str]:
    """The lines, by whichever name the backend prints the same match."""
    return [line.replace("-m state --state", "-m conntrack --ctstate") for line in dump.splitlines()]
