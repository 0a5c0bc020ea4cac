"""Boots the image by a command of runqemu's, and looks at it from its console.

    runqemu.py SETUID GOLDENS COMMAND...

SETUID lists the setuid and setgid files that the image may have. GOLDENS is the
folder of rules that camfw is known to make: its kernel and its iptables are to
load each of them. Needs no privilege.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from console import BOOT_SECONDS, COMMAND_SECONDS, ROUTER, SSH, Console, ConsoleError, stamp

# Loads each file of rules, and names those that it cannot; after that the box is turned off.
LOAD = """for rules in /tmp/golden/*; do case $rules in *.v6.rules) tool=ip6tables-restore ;; *) tool=iptables-restore ;; esac; \
$tool <$rules >/tmp/said 2>&1 || { echo "not loaded: $rules: $(head -n 3 /tmp/said)"; }; done; \
ls /tmp/golden | wc -l"""


def main() -> int:
    allowed = set(Path(sys.argv[1]).read_text().split())
    rules = archive(Path(sys.argv[2]))
    try:
        with Console(sys.argv[3:], Path("runqemu.console")) as machine:
            boot = machine.wait_for_boot()
            machine.log_in()
            said = {name: machine.run(command) for name, command in {
                "status": "camfw status; echo code $?",
                "setuid": "find / -xdev -type f -perm /6000",
                "uptime": "cat /proc/uptime",
                # Each line has its time, and this kernel does not say it unasked.
                "log": "echo 1 >/sys/module/printk/parameters/time; dmesg | grep camfw:",
                "scripts": "ls /etc/rcS.d /etc/rc5.d",
            }.items()}
            subprocess.run([*SSH, ROUTER, "tar -x -C /tmp"], input=rules, check=True, timeout=COMMAND_SECONDS)
            said["load"] = machine.run(LOAD, BOOT_SECONDS)
            machine.power_off()
    except (ConsoleError, subprocess.SubprocessError) as error:
        print(f"runqemu: {error}", file=sys.stderr)
        return 1
    return judge(boot, said, allowed)


def archive(goldens: Path) -> bytes:
    """Every golden's rules, as golden/NAME.v4.rules and .v6.rules."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path in sorted(goldens.glob("*/v[46].rules")):
            tar.add(path, f"golden/{path.parent.name}.{path.name}")
    return data.getvalue()


def judge(boot: str, said: dict[str, str], allowed: set[str]) -> int:
    """Says what was seen; 1 where any of it is not as it should be."""
    wrong = []
    for word in ("Sealed", "Applied"):
        seconds = stamp(said["log"], word)
        if seconds:
            print(f"{word}: {seconds} s after the kernel's start")
        else:
            wrong.append(f"the kernel's log has no line of {word}")
        if boot.count(f"camfw: {word}") != 1:
            wrong.append(f"the console says {word} {boot.count(f'camfw: {word}')} times")
    print(f"a shell: {said['uptime'].split()[0]} s")
    if "code 0" not in said["status"]:
        wrong.append(f"camfw status: {said['status']}")
    found = set(said["setuid"].split())
    print(f"setuid and setgid files: {' '.join(sorted(found)) or 'none'}")
    if found != allowed:
        wrong.append(f"setuid files that are not listed: {sorted(found - allowed)}; listed and not there: {sorted(allowed - found)}")
    count = re.search(r"(?m)^(\d+)$", said["load"])
    print(f"{count[1] if count else 0} golden files of rules are loaded by its kernel")
    # A long command's echo comes in lines, with $rules in the file's place.
    if not count or int(count[1]) == 0 or "not loaded: /" in said["load"]:
        wrong.append(said["load"])
    if "networking" in said["scripts"]:
        wrong.append("ifupdown's script is started")
    for line in wrong:
        print(f"runqemu: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
