"""Owns QEMU: the emulated machine, its console, and its end.

Knows neither what runs on the machine nor what its network cards lead to.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.image import Image

MEMORY_MIB = 256

# A line of the kernel's log on the console: seconds since the kernel started.
STAMP = re.compile(r"^\[ *(\d+\.\d+)\] (.*)")
# The kernel writes its own lines whole, and into the middle of a program's.
AMID = re.compile(r"(?<=.)(?=\[ *\d+\.\d{6}\] )")


class MachineError(Exception):
    """The machine did not do what it was asked to."""


@dataclass(frozen=True)
class Line:
    """One line of the console. `kernel` is seconds since the kernel started,
    where the line has them."""

    kernel: float | None
    text: str


def mac(card: int) -> str:
    """The address of a network card, by its number from 0: eth0, eth1 ..."""
    return f"52:54:00:00:00:{card + 1:02x}"


class Machine:
    """An emulated aarch64 machine, from its start to its end. A context manager.

    Its console is kept, line by line, as it comes.
    """

    def __init__(
        self, image: Image, cards: Sequence[int] = (), *, log: Path | None = None,
        echo: Callable[[str], None] | None = None, data: Path | None = None,
        more: Sequence[str] = (),
    ) -> None:
        """`cards` are file descriptors of tap devices, eth0 first; they stay the
        caller's. `log` gets the console's lines, and so does `echo`. `data` is a
        disk image that keeps what is written to it: the last virtio disk. `more`
        are arguments of QEMU's own."""
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._log = log.open("w") if log else None
        self._echo = echo
        self._silent = False
        self._raw: Callable[[bytes], None] | None = None
        self._process = subprocess.Popen(
            # Dies with this process, however that ends.
            ["setpriv", "--pdeathsig", "KILL", "--", *_command(image, cards, data), *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=tuple(cards), start_new_session=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Is it still there?"""
        return self._process.poll() is None

    @property
    def lines(self) -> list[Line]:
        """The console so far."""
        with self._changed:
            return list(self._lines)

    @property
    def console(self) -> str:
        """The console so far, as text."""
        return "\n".join(line.text for line in self.lines)

    def find(self, pattern: str) -> Line | None:
        """The first line so far that has the pattern."""
        return next((line for line in self.lines if re.search(pattern, line.text)), None)

    def wait_for(self, pattern: str, seconds: float = 600) -> Line:
        """The first line that has the pattern, from the start of the machine on."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if re.search(pattern, line.text):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    why = f"not within {seconds:g} s" if left <= 0 else "the machine ended"
                    last = "\n".join(line.text for line in self._lines[-40:])
                    raise MachineError(f"no line with {pattern!r}: {why}; its console ends:\n{last}")
                self._changed.wait(min(left, 1))

    def wait_for_kernel(self, pattern: str, seconds: float = 600) -> Line:
        """The first line of the kernel's log that begins with the pattern."""
        return self.wait_for(rf"^\[ *\d+\.\d+\] (?:{pattern})", seconds)

    def type(self, data: bytes) -> None:
        """Type at the console."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise MachineError("the machine has ended") from error

    def command(self, command: str, seconds: float = 300) -> tuple[int, str]:
        """Run a shell command at the console, where a shell is waiting: its exit
        code and what it printed."""
        if not self._silent:
            # No echo of what is typed, and no kernel lines between the output's.
            self.type(b"stty -echo; dmesg -n 1\n")
            self._silent = True
        begin, end = secrets.token_hex(8), secrets.token_hex(8)
        # Quotes inside, so that what is typed is not taken for what is printed;
        # one line, so that no prompt comes in between.
        self.type(f"echo {begin[:8]}''{begin[8:]}; {{ {command}; }}; echo {end[:8]}''{end[8:]} $?\n".encode())
        self.wait_for(rf"{end} \d+", seconds)
        printed = "\n".join(line.text for line in self.lines)
        output, _, code = printed.partition(begin)[2].partition(end)
        return int(code.split()[0]), output.strip("\n")

    def power_off(self, seconds: float = 120) -> None:
        """Turn it off by a command at the console's shell, and wait until it is off."""
        self.type(b"poweroff -f\n")
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise MachineError(f"not off after {seconds:g} s") from None
        self._close()

    def kill(self) -> None:
        """Pull the plug; again is harmless."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._close()

    def relay(self, raw: Callable[[bytes], None] | None) -> None:
        """Hand on the console byte by byte, from now on."""
        self._raw = raw

    def _close(self) -> None:
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while data := os.read(self._process.stdout.fileno(), 65536):
            if self._raw:
                self._raw(data)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self._take(line)
        if rest:
            self._take(rest)
        with self._changed:
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        whole = data.decode(errors="replace").rstrip("\r")
        for text in AMID.split(whole):
            self._take_line(text)

    def _take_line(self, text: str) -> None:
        stamped = STAMP.match(text)
        line = Line(float(stamped[1]) if stamped else None, text)
        if self._log and not self._log.closed:
            self._log.write(text + "\n")
            self._log.flush()
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
        if self._echo and not self._raw:
            self._echo(text)


def _command(image: Image, cards: Sequence[int], data: Path | None) -> list[str]:
    command = [
        "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2",
        "-m", str(MEMORY_MIB), "-accel", "tcg,thread=multi",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-kernel", str(image.kernel),
        "-append", " ".join((
            "console=ttyAMA0", "loglevel=7", "printk.time=1", "panic=-1", *image.arguments)),
    ]
    if image.archives:
        command += ["-initrd", str(_joined(image.archives))]
    if image.disk:
        command += [
            "-drive", f"if=none,id=root,format=raw,snapshot=on,file={image.disk}",
            "-device", "virtio-blk-pci,drive=root,addr=8",
        ]
    if data:
        command += [
            "-drive", f"if=none,id=data,format=raw,cache=writeback,file={data}",
            "-device", "virtio-blk-pci,drive=data,addr=9",
        ]
    for number, descriptor in enumerate(cards):
        command += [
            "-netdev", f"tap,id=card{number},fd={descriptor}",
            # A slot each, in order, so that the kernel finds eth0 first; no boot ROM.
            "-device", f"virtio-net-pci,netdev=card{number},mac={mac(number)},addr={number + 1},romfile=",
        ]
    return command


def _joined(archives: Sequence[Path]) -> Path:
    """One file of several archives, beside the last."""
    if len(archives) == 1:
        return archives[0]
    joined = archives[-1].with_name("initramfs")
    with joined.open("wb") as out:
        for archive in archives:
            data = archive.read_bytes()
            # An archive begins at a multiple of four.
            out.write(data + b"\0" * (-len(data) % 4))
    return joined
