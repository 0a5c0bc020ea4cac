"""Owns how the program under test is run: where, with which iptables, and what it can
see.

The program never sees the machine: it runs in the router's network namespace and in a
mount namespace with its own /dev, /run and /var/lib, so that its log lines stay out of
the machine's log and no two runs share a lock or state.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.namespace import LabError, Namespace
from lab.probes import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CAMFW", ROOT / "target/debug/camfw"))
EXAMPLE = ROOT / "examples/camera-router.toml"

BACKENDS = {"legacy": "xtables-legacy-multi", "nft": "xtables-nft-multi"}
COMMANDS = tuple(
    f"{family}{tool}" for family in ("iptables", "ip6tables") for tool in ("", "-restore", "-save")
)
DEVICES = ("null", "zero", "urandom")
SECONDS = 120
# The time to confirm of a trial that does not end before the test ends it.
LONG = "1h"


def multi(backend: str) -> Path:
    """The multi-call program that implements all iptables commands of a backend."""
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
    """Replaces a command in a folder of `tools` with a shell script.

    In the script, `real` runs the command itself, with the arguments it is given.
    """
    wrapper = folder / name
    wrapper.unlink(missing_ok=True)
    # The multi-call program depends on the name by which it is called.
    wrapper.write_text(
        f"#!/bin/bash\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        f"real() {{ (exec -a {name} {multi(backend)} \"$@\"); }}\n{script}\n"
    )
    wrapper.chmod(0o755)


@dataclass(frozen=True)
class Result:
    """The result of one run. `log` is what it wrote to the kernel's log."""

    code: int
    stdout: str
    stderr: str
    log: str

    @property
    def said(self) -> str:
        """All output, from every channel."""
        return self.stdout + self.stderr + self.log

    def __str__(self) -> str:
        return f"exit {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}\nkernel log: {self.log}"


class Program:
    """The program with a configuration, as on one router."""

    def __init__(self, namespace: Namespace, scratch: Path, backend: str) -> None:
        """`scratch` is a folder for this program; everything it may write is below it."""
        self.namespace = namespace
        self.backend = backend
        self.tools = tools(scratch / "tools", backend)
        self.config = scratch / "camfw.toml"
        self.configure(EXAMPLE.read_text())
        self.dev = scratch / "dev"
        self.kmsg = self.dev / "kmsg"
        self.run_folder = scratch / "run"
        # The name servers that it queries: none, unless a test sets them.
        self.resolv = scratch / "resolv.conf"
        self.resolv.touch()
        # What survives a reboot.
        self.var = scratch / "var"
        for folder in (self.dev, self.run_folder, self.var):
            folder.mkdir()
        for device in DEVICES:
            (self.dev / device).touch()
        # A pipe works like the kernel's log: each write is a separate record.
        os.mkfifo(self.kmsg)
        self._reader = os.open(self.kmsg, os.O_RDONLY | os.O_NONBLOCK)

    def close(self) -> None:
        """Releases the resources; no run may follow."""
        os.close(self._reader)

    def configure(self, text: str) -> None:
        """Replaces the configuration."""
        self.config.write_text(text)
        self.config.chmod(0o644)

    def run(
        self, *arguments: str, path: Path | None = None, config: Path | None = None,
        before: Sequence[str | Path] = (), binary: Path = BINARY, seconds: float = SECONDS,
    ) -> Result:
        """Runs `camfw --config FILE ARGUMENTS`, with PATH set to the folder `path`
        alone.

        `before` is a command prefix, such as `strace -f`.
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
        """Starts the same in the background; the pid is that of the program (or of
        `before`)."""
        binds = "".join(f"mount --bind /dev/{name} {self.dev}/{name}\n" for name in DEVICES)
        # exec throughout: a signal to the pid reaches the program.
        script = (
            f"set -e\n{binds}mount --rbind {self.dev} /dev\nmount --bind {self.run_folder} /run\n"
            f"mount --bind {self.var} /var/lib\nmount --bind {self.resolv} /etc/resolv.conf\n"
            # /sys shows the interfaces of the namespace in which it is mounted.
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

    @contextlib.contextmanager
    def watching(
        self, ready: Callable[[], bool] = lambda: True, *, before: Sequence[str | Path] = (),
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Runs `camfw watch` in the background, from when it is ready; it must go on until it is ended, in order."""
        process = self.start("watch", before=before)
        try:
            if not wait_until(ready):
                raise AssertionError("watch does not get ready")
            yield process
            if process.poll() is not None:
                raise AssertionError(f"watch ended by itself with {process.returncode}")
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=PATIENCE)

    def forget(self, *folders: Path) -> None:
        """Deletes the state of earlier runs: in /run, as a reboot does, and in
        /var/lib, or in only one of the two."""
        for folder in folders or (self.run_folder, self.var):
            shutil.rmtree(folder / "camfw", ignore_errors=True)

    @property
    def state_file(self) -> Path:
        """Where the program keeps what is in force."""
        return self.run_folder / "camfw/state.json"

    def reach_the_deadline(self, seconds: int = 1) -> None:
        """Makes the trial that is in force one of so many seconds whose deadline is now."""
        state = json.loads(self.state_file.read_text())
        now = float(Path("/proc/uptime").read_text().split()[0])
        state["in_force"]["trial"].update(deadline=now, seconds=seconds)
        new = self.state_file.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.rename(self.state_file)

    def syslog(self) -> socket.socket:
        """A /dev/log for the program, as syslogd would create it, to read from."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.bind(str(self.dev / "log"))
        listening.setblocking(False)
        return listening

    def logged(self) -> str:
        """The records written to its /dev/kmsg since the last call, one per line."""
        records = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 65536):
                records += data
        # Each record begins with its priority: "<29>camfw: ...".
        return re.sub(r"(?=<\d+>)", "\n", records.decode(errors="replace")).strip()
