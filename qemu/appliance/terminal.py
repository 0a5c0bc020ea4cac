"""Owns the user's terminal while it is the machine's console."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty

from appliance.machine import Machine, MachineError

# As telnet and `virsh console` have it: Ctrl-]
LEAVE = b"\x1d"


def attend(machine: Machine) -> None:
    """Hand the console to the user until Ctrl-], the end of the input, or the
    machine's end."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    before = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
    machine.relay(lambda data: _write(screen, data))
    try:
        if before is not None:
            tty.setraw(keyboard)
        while machine.running:
            if not select.select([keyboard], [], [], 0.2)[0]:
                continue
            typed = os.read(keyboard, 4096)
            if not typed or LEAVE in typed:
                break
            with contextlib.suppress(MachineError):
                machine.type(typed)
    finally:
        machine.relay(None)
        if before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        print()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data):]
