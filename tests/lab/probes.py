"""Owns the clients: each tries to reach one service and reports whether it did.

Does not decide what is right. A probe succeeds only if the service answered correctly
(the page, the file, the command's output), so that a half-open path does not count as
open.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.facts import TCP_PORTS, UDP_PORTS
from lab.namespace import LabError, Namespace

# How long to wait for an answer that must come. It is needed in full only on a very
# busy machine, so a large value costs nothing.
PATIENCE = 60.0

# How long a probe waits before it reports a service as unreachable: long compared with
# a round trip (tens of milliseconds through an emulated router), but each such probe
# takes this long.
WAIT_SECONDS = 2.0

# The retransmission interval of probes whose transport does not retransmit.
AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Reach:
    """The result of one attempt. `detail` is for the reader: what the client saw."""

    reached: bool
    detail: str

    def __bool__(self) -> bool:
        return self.reached


# What clients say when they were told that a host is unreachable: a socket, curl, and ping's last line.
UNREACHABLE = re.compile(r"No route to host|Couldn't connect to server|\+\d+ errors")


def _while_unreachable(wait: float, attempt: Callable[[float], Reach]) -> Reach:
    """Tries again, while there is time, if the client gave up because a host was said to be unreachable.

    The sender's own kernel says so when ARP or neighbour discovery has had no answer for three seconds, to all that
    wait for it: also to one that began after most of that time, which an earlier probe had used up.
    """
    end = time.monotonic() + wait
    left = wait
    while True:
        reach = attempt(max(left, 0.05))
        left = end - time.monotonic()
        if reach or left <= 0 or not UNREACHABLE.search(reach.detail):
            return reach
        time.sleep(min(left, AGAIN_SECONDS / 10))


def ping(source: Namespace, target: str, wait: float = PATIENCE, *options: str) -> Reach:
    """Sends an ICMP echo request, IPv4 or IPv6 depending on the address; while there is
    time, one per second until it is answered. `options` are passed to ping, such as the
    source address."""
    def attempt(left: float) -> Reach:
        # With -w, ping ends before its time at an error that the network reports.
        until = ["-w", f"{left:.0f}"] if left > AGAIN_SECONDS else ["-W", f"{left:g}"]
        done = source.run(["ping", "-n", "-c", "1", *until, *options, target], timeout=left + PATIENCE)
        return Reach(done.returncode == 0, _last_line(done.stdout if done.returncode else "answered"))

    return _while_unreachable(wait, attempt)


def http(
    source: Namespace, target: str, page: str, port: int = 80, wait: float = PATIENCE
) -> Reach:
    """Fetches `/` with curl; it must be the text `page`."""
    def attempt(left: float) -> Reach:
        done = source.run(
            ["curl", "-q", "-sS", "--noproxy", "*", "--connect-timeout", f"{left:g}",
             "--max-time", f"{left * 5:g}", f"http://{_bracketed(target)}:{port}/"],
            timeout=left * 5 + PATIENCE,
        )
        if done.returncode != 0:
            return Reach(False, _last_line(done.stderr))
        if done.stdout != page:
            return Reach(False, f"another page: {done.stdout[:60]!r}")
        return Reach(True, "got the page")

    return _while_unreachable(wait, attempt)


def ftp_upload(
    source: Namespace,
    target: str,
    *,
    size: int = 100_000,
    folder: str = "incoming",
    user: str = "anonymous:camera@lab",
    port: int = 21,
    epsv: bool = True,
    active: bool = False,
    wait: float = PATIENCE,
    transfer_seconds: float = 60,
    received: Callable[[str], bytes] | None = None,
) -> Reach:
    """Uploads a file of `size` random bytes with curl in passive mode, as cameras do;
    with `active`, the server opens the data connection.

    Succeeds only if the file arrived complete: `received(name)` returns the server's
    copy; without it, the file is downloaded again. With `epsv`, curl first tries EPSV
    or EPRT, its default; without it only PASV or PORT, as old cameras do.
    """
    content = os.urandom(size)
    name = f"picture-{secrets.token_hex(6)}.jpg"
    url = f"ftp://{_bracketed(target)}:{port}/{folder}/{name}"
    curl = ["curl", "-q", "-sS", "--noproxy", "*", "--user", user, "--connect-timeout", f"{wait:g}",
            *(["--ftp-port", "-"] if active else ["--ftp-pasv"]),
            *([] if epsv else ["--disable-epsv", "--disable-eprt"]),
            "--max-time", f"{wait + transfer_seconds:g}"]
    limit = wait + transfer_seconds + PATIENCE
    with tempfile.TemporaryDirectory(prefix="camfw-lab-") as scratch:
        upload, download = Path(scratch, "upload"), Path(scratch, "download")
        upload.write_bytes(content)
        # Without a separate limit for the data connection, curl waits for it as long as
        # for the whole transfer.
        def attempt(_: float) -> Reach:
            done = source.run([*curl, "--ftp-method", "singlecwd", "-T", upload, url], timeout=limit)
            return Reach(done.returncode == 0, _last_line(done.stderr))

        uploaded = _while_unreachable(wait, attempt)
        if not uploaded:
            return uploaded
        if received is not None:
            arrived = received(name)
        else:
            done = source.run([*curl, "-o", download, url], timeout=limit)
            if done.returncode != 0:
                return Reach(False, f"uploaded, not to be read back: {_last_line(done.stderr)}")
            arrived = download.read_bytes()
    if hashlib.sha256(arrived).digest() != hashlib.sha256(content).digest():
        return Reach(False, f"arrived changed: {len(arrived)} of {size} bytes")
    return Reach(True, f"{size} bytes arrived whole")


def ssh(
    source: Namespace, target: str, key: Path, user: str = "root", port: int = 22,
    wait: float = PATIENCE,
) -> Reach:
    """Logs in with ssh and `key` and runs a command whose output must come back."""
    token = secrets.token_hex(8)

    def attempt(left: float) -> Reach:
        done = source.run(
            ["ssh", "-F", "none", "-i", key, "-p", str(port), "-o", "BatchMode=yes",
             "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
             "-o", f"ConnectTimeout={max(1, round(left))}", f"{user}@{target}", f"echo {token}"],
            timeout=left + 60,
        )
        if done.returncode != 0 or token not in done.stdout:
            return Reach(False, _last_line(done.stderr or done.stdout))
        return Reach(True, "logged in")

    return _while_unreachable(wait, attempt)


def tcp(source: Namespace, target: str, port: int, wait: float = PATIENCE) -> Reach:
    """Opens a TCP connection. The detail distinguishes a refusal from no answer."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET

    def attempt(left: float) -> Reach:
        with source.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(left)
            try:
                connection.connect((target, port))
            except TimeoutError:
                return Reach(False, "no answer")
            except OSError as error:
                return Reach(False, error.strerror or str(error))
        return Reach(True, "connected")

    return _while_unreachable(wait, attempt)


def udp(
    source: Namespace,
    target: str,
    port: int,
    received: Callable[[bytes], bool] | None = None,
    wait: float = PATIENCE,
) -> Reach:
    """Sends a UDP datagram and checks that it arrived: `received` asks the listener
    (services.Listener.received); without it, an echo server must return the datagram.
    Sent again each second, as UDP clients do: a busy server may have dropped it."""
    token = secrets.token_bytes(16)
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with source.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect((target, port))
            end = time.monotonic() + wait
            while (left := end - time.monotonic()) > 0:
                sender.send(token)
                if received is not None:
                    if wait_until(lambda: received(token), min(left, AGAIN_SECONDS)):
                        return Reach(True, "arrived")
                    continue
                sender.settimeout(min(left, AGAIN_SECONDS))
                with contextlib.suppress(TimeoutError):
                    echoed = sender.recv(1024) == token
                    return Reach(echoed, "echoed" if echoed else "another answer")
            return Reach(False, "no answer" if received is None else "did not arrive")
        except OSError as error:
            return Reach(False, error.strerror or str(error))


def scan(
    source: Namespace, target: str, ports: str = "-", expected: Collection[int] = ()
) -> frozenset[int]:
    """Runs nmap's SYN scan, by default of all TCP ports. Returns the open ports.

    The rate is high enough to scan all ports quickly, with three tries each. Ports in
    `expected` that were not found are scanned again with more time per answer, so that
    a busy machine does not hide an open port.
    """
    found = _scan(source, target, ports, "--min-rate", "15000", "--max-retries", "2",
                  "--max-rtt-timeout", "200ms", "--initial-rtt-timeout", "100ms")
    missing = frozenset(expected) - found
    if missing:
        found |= _scan(source, target, ",".join(map(str, sorted(missing))), "--max-retries", "4",
                       "--max-rtt-timeout", "5s", "--initial-rtt-timeout", "5s", "--max-parallelism", "10")
    return found


def _scan(source: Namespace, target: str, ports: str, *pace: str) -> frozenset[int]:
    done = source.run(
        ["nmap", "-n", "-Pn", "-sS", f"-p{ports}", "--disable-arp-ping", *pace, "--open", "-oG", "-", target],
        timeout=600,
    )
    if done.returncode != 0 or "# Nmap done" not in done.stdout:
        raise LabError(f"nmap: {_last_line(done.stderr or done.stdout)}")
    return frozenset(int(port) for port in re.findall(r"(\d+)/open/tcp", done.stdout))


@dataclass(frozen=True)
class Target:
    """What a probe needs to know about the target."""

    address: str
    page: str = ""
    ssh_key: Path | None = None
    ssh_user: str = "root"
    udp_received: Callable[[bytes], bool] | None = None
    ftp_folder: str = "incoming"
    ftp_user: str = "anonymous:camera@lab"


Probe = Callable[[Namespace, Target, float], Reach]


def _ssh(source: Namespace, target: Target, wait: float) -> Reach:
    if target.ssh_key is None:
        raise LabError(f"no ssh key for {target.address}")
    return ssh(source, target.address, target.ssh_key, target.ssh_user, wait=wait)


def _tcp(port: int) -> Probe:
    return lambda source, target, wait: tcp(source, target.address, port, wait)


def _udp(port: int) -> Probe:
    return lambda source, target, wait: udp(source, target.address, port, target.udp_received, wait)


# The services that a table tries, by name.
PROBES: Mapping[str, Probe] = {
    "ping": lambda source, target, wait: ping(source, target.address, wait),
    "http": lambda source, target, wait: http(source, target.address, target.page, wait=wait),
    "ftp": lambda source, target, wait: ftp_upload(
        source, target.address, folder=target.ftp_folder, user=target.ftp_user, wait=wait),
    "ssh": _ssh,
    **{name: _tcp(port) for name, port in TCP_PORTS.items()},
    **{name: _udp(port) for name, port in UDP_PORTS.items()},
}


def echoes(flow: socket.socket, wait: float = PATIENCE) -> bool:
    """Whether an open flow, connected to a service that sends back what it is sent, still does."""
    flow.settimeout(wait)
    try:
        flow.send(b"still there?")
        return flow.recv(100) != b""
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Polls until the condition holds or the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
