"""Boots the image by a command of runqemu's, and looks at it from its console.

    console.py SETUID GOLDENS COMMAND...

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

import pexpect  # Debian's python3-pexpect, which OE-Core asks for

BOOT_SECONDS = 600
COMMAND_SECONDS = 120
PROMPT = r"root@qemuarm64:~# $"
# Root has no password in this image; the port is camfw-image's own.
SSH = ("ssh", "-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
       "root@127.0.0.1")
# Loads each file of rules, and names those that it cannot; after that the box is turned off.
LOAD = """for rules in /tmp/golden/*; do case $rules in *.v6.rules) tool=ip6tables-restore ;; *) tool=iptables-restore ;; esac; \
$tool <$rules >/tmp/said 2>&1 || { echo "not loaded: $rules: $(head -n 3 /tmp/said)"; }; done; \
ls /tmp/golden | wc -l"""


def main() -> int:
    allowed = set(Path(sys.argv[1]).read_text().split())
    rules = archive(Path(sys.argv[2]))
    machine = pexpect.spawn(sys.argv[3], sys.argv[4:], timeout=BOOT_SECONDS, encoding="utf-8", codec_errors="replace")
    log = Path("runqemu.console").open("w")
    machine.logfile_read = log
    try:
        machine.expect("login: ")
        boot = machine.before
        machine.sendline("root")
        machine.expect(PROMPT)
        said = {name: run(machine, command) for name, command in {
            "status": "camfw status; echo code $?",
            "setuid": "find / -xdev -type f -perm /6000",
            "uptime": "cat /proc/uptime",
            "scripts": "ls /etc/rcS.d /etc/rc5.d",
        }.items()}
        subprocess.run([*SSH, "tar -x -C /tmp"], input=rules, check=True, timeout=COMMAND_SECONDS)
        said["load"] = run(machine, LOAD, BOOT_SECONDS)
        machine.sendline("poweroff")
        machine.expect(pexpect.EOF)
    except (pexpect.TIMEOUT, pexpect.EOF, subprocess.SubprocessError) as error:
        print(f"console: {type(error).__name__}: {error}; it ends:\n{str(machine.before)[-3000:]}", file=sys.stderr)
        return 1
    finally:
        machine.close(force=True)
        log.close()
    return judge(boot, said, allowed)


def archive(goldens: Path) -> bytes:
    """Every golden's rules, as golden/NAME.v4.rules and .v6.rules."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path in sorted(goldens.glob("*/v[46].rules")):
            tar.add(path, f"golden/{path.parent.name}.{path.name}")
    return data.getvalue()


def run(machine: pexpect.spawn, command: str, seconds: float = COMMAND_SECONDS) -> str:
    """What a command prints, without its echo."""
    machine.sendline(command)
    machine.expect(PROMPT, timeout=seconds)
    return str(machine.before).partition("\n")[2].replace("\r", "")


def judge(boot: str, said: dict[str, str], allowed: set[str]) -> int:
    """Says what was seen; 1 where any of it is not as it should be."""
    wrong = []
    stamps = {word: re.search(rf"\[ *(\d+\.\d+)\] camfw: {word}", boot) for word in ("Sealed", "Applied")}
    for word, stamp in stamps.items():
        if stamp:
            print(f"{word}: {stamp[1]} s after the kernel's start")
        else:
            wrong.append(f"the console has no line of {word}")
    if boot.count("camfw: Applied") != 1:
        wrong.append(f"the console says Applied {boot.count('camfw: Applied')} times")
    print(f"a shell: {said['uptime'].split()[0]} s")
    if "code 0" not in said["status"]:
        wrong.append(f"camfw status: {said['status']}")
    found = set(said["setuid"].split())
    print(f"setuid and setgid files: {' '.join(sorted(found)) or 'none'}")
    if found != allowed:
        wrong.append(f"setuid files that are not listed: {sorted(found - allowed)}; listed and not there: {sorted(allowed - found)}")
    count = re.search(r"(?m)^(\d+)$", said["load"])
    print(f"{count[1] if count else 0} golden files of rules are loaded by its kernel")
    if not count or int(count[1]) == 0 or "not loaded" in said["load"]:
        wrong.append(said["load"])
    if "networking" in said["scripts"]:
        wrong.append("ifupdown's script is started")
    for line in wrong:
        print(f"console: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
