"""Owns how the program under test is run: where, with which iptables, seeing what.

Never lets it see the machine: it runs in the router's network namespace and in
a mount namespace with a /dev, a /run and a /var/lib of its own, so that its lines do not
end in the machine's log and no two runs share a lock or state.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.namespace import LabError, Namespace

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CAMFW", ROOT / "target/debug/camfw"))
EXAMPLE = ROOT / "examples/camera-router.toml"

BACKENDS = {"legacy": "xtables-legacy-multi", "nft": "xtables-nft-multi"}
COMMANDS = tuple(
    f"{family}{tool}" for family in ("iptables", "ip6tables") for tool in ("", "-restore", "-save")
)
DEVICES = ("null", "zero", "urandom")
SECONDS = 120


def multi(backend: str) -> Path:
    """The one program that is all the iptables commands of a backend."""
    found = shutil.which(BACKENDS[backend], path="/usr/sbin:/sbin:/usr/bin")
    if found is None:
        raise LabError(f"no {BACKENDS[backend]}: tests/lab/install installs it")
    return Path(found)


def tools(folder: Path, backend: str, without: Sequence[str] = ()) -> Path:
    """A folder for PATH that holds the iptables commands of a backend and nothing else."""
    folder.mkdir()
    for name in COMMANDS:
        if name not in without:
            (folder / name).symlink_to(multi(backend))
    return folder


def wrap(folder: Path, name: str, script: str, backend: str) -> None:
    """Put a shell script in the place of a command in a folder of `tools`.

    In the script, `real` runs the command itself, with the arguments it is given.
    """
    wrapper = folder / name
    wrapper.unlink(missing_ok=True)
    # The multi-call program goes by the name it is called by.
    wrapper.write_text(
        f"#!/bin/bash\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        f"real() {{ (exec -a {name} {multi(backend)} \"$@\"); }}\n{script}\n"
    )
    wrapper.chmod(0o755)


@dataclass(frozen=True)
class Result:
    """How one run ended. `log` is what it wrote to the kernel's log."""

    code: int
    stdout: str
    stderr: str
    log: str

    @property
    def said(self) -> str:
        """All it said, wherever."""
        return self.stdout + self.stderr + self.log

    def __str__(self) -> str:
        return f"exit {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}\nkernel log: {self.log}"


class Program:
    """The program with a configuration, as one router would have it."""

    def __init__(self, namespace: Namespace, scratch: Path, backend: str) -> None:
        """`scratch` is a folder of its own; everything it may write is below it."""
        self.namespace = namespace
        self.backend = backend
        self.tools = tools(scratch / "tools", backend)
        self.config = scratch / "camfw.toml"
        self.configure(EXAMPLE.read_text())
        self.dev = scratch / "dev"
        self.kmsg = self.dev / "kmsg"
        self.run_folder = scratch / "run"
        # Whom it asks for names: nobody, unless a test says so.
        self.resolv = scratch / "resolv.conf"
        self.resolv.touch()
        # What is kept over a boot.
        self.var = scratch / "var"
        for folder in (self.dev, self.run_folder, self.var):
            folder.mkdir()
        for device in DEVICES:
            (self.dev / device).touch()
        # A pipe, as the kernel's log: each write is a record of its own, added.
        os.mkfifo(self.kmsg)
        self._reader = os.open(self.kmsg, os.O_RDONLY | os.O_NONBLOCK)

    def close(self) -> None:
        """No more runs."""
        os.close(self._reader)

    def configure(self, text: str) -> None:
        """Replace the configuration."""
        self.config.write_text(text)
        self.config.chmod(0o644)

    def run(
        self, *arguments: str, path: Path | None = None, config: Path | None = None,
        before: Sequence[str | Path] = (), binary: Path = BINARY, seconds: float = SECONDS,
    ) -> Result:
        """`camfw --config FILE ARGUMENTS`, with PATH the folder `path` alone.

        `before` is a command that runs it, as in `strace -f`.
        """
        self.logged()
        process = self.start(*arguments, path=path, config=config, before=before, binary=binary)
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(
                f"camfw {' '.join(arguments)} was not done after {seconds} s; "
                f"it said: {stdout.decode()} {stderr.decode()} {self.logged()}"
            ) from None
        return Result(
            process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"),
            self.logged(),
        )

    def start(
        self, *arguments: str, path: Path | None = None, config: Path | None = None,
        before: Sequence[str | Path] = (), binary: Path = BINARY,
        stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """The same in the background; the pid is the program's own (or `before`'s)."""
        binds = "".join(f"mount --bind /dev/{name} {self.dev}/{name}\n" for name in DEVICES)
        # exec all the way down: a signal to the pid reaches the program.
        script = (
            f"set -e\n{binds}mount --rbind {self.dev} /dev\nmount --bind {self.run_folder} /run\n"
            f"mount --bind {self.var} /var/lib\nmount --bind {self.resolv} /etc/resolv.conf\n"
            # /sys shows the interfaces of the namespace that it is mounted from.
            "mount -t sysfs sysfs /sys\n"
            'path=$1; shift; exec env -i PATH="$path" "$@"\n'
        )
        return self.namespace.start(
            [
                "unshare", "--mount", "--propagation", "private", "--",
                "sh", "-c", script, "sh", str(path or self.tools),
                *map(str, before), str(binary), "--config", str(config or self.config), *arguments,
            ],
            stdin=stdin, stdout=stdout, stderr=stderr,
        )

    def forget(self, *folders: Path) -> None:
        """Nothing is kept of earlier runs: in /run, as after a boot, and in
        /var/lib, or in just these of the two folders."""
        for folder in folders or (self.run_folder, self.var):
            shutil.rmtree(folder / "camfw", ignore_errors=True)

    def syslog(self) -> socket.socket:
        """A /dev/log of the program's own, as syslogd would make it; read from it."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.bind(str(self.dev / "log"))
        listening.setblocking(False)
        return listening

    def logged(self) -> str:
        """The records of its /dev/kmsg since the last time, a line each."""
        records = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 65536):
                records += data
        # Each record begins with its priority: "<29>camfw: ...".
        return re.sub(r"(?=<\d+>)", "\n", records.decode(errors="replace")).strip()
