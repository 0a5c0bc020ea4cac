"""Owns the other end of a WireGuard tunnel: wireguard-go in a host's namespace, which needs
nothing of the kernel's but a tun device, and wg, which tells it its keys and peers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Self

from lab.namespace import LabError, Namespace
from lab.probes import wait_until

INTERFACE = "wg0"
# What is left of an Ethernet frame, as wg-quick(8) has it.
MTU = 1420


class Key:
    """A pair of keys of WireGuard's."""

    def __init__(self) -> None:
        self.private = _wg("genkey")
        self.public = _wg("pubkey", input=self.private)


class Device:
    """A device with an end of a tunnel. A context manager."""

    def __init__(
        self, namespace: Namespace, address: str, key: Key, peer: str, endpoint: str, behind: Sequence[str],
    ) -> None:
        """`peer` is the public key of the other end, which is asked at `endpoint`; `behind` are the
        networks that are there."""
        self._namespace = namespace
        # Its socket is in /run, where a namespace of its own has one of its own.
        self._process = namespace.start(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs /run && exec wireguard-go --foreground {INTERFACE}"],
            stderr=subprocess.PIPE)
        try:
            if not wait_until(lambda: self._process.poll() is not None or self._run("show", INTERFACE).returncode == 0):
                raise LabError("wireguard-go does not answer")
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise LabError(f"wireguard-go: {self._process.stderr.read().decode(errors='replace').strip()}")
            self.wg("setconf", INTERFACE, "/dev/stdin", input="\n".join((
                "[Interface]", f"PrivateKey = {key.private}", "[Peer]", f"PublicKey = {peer}",
                f"Endpoint = {endpoint}", f"AllowedIPs = {', '.join(behind)}", "")))
            namespace.ip(batch="\n".join((
                f"address add {address} dev {INTERFACE}", f"link set {INTERFACE} mtu {MTU} up",
                *(f"route replace {network} dev {INTERFACE}" for network in behind), "")))
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wg(self, *arguments: str, input: str | None = None) -> str:
        """What `wg ...` says of it."""
        done = self._run(*arguments, input=input)
        if done.returncode != 0:
            raise LabError(f"wg {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def shaken(self) -> int:
        """When the other end last answered, by the clock in seconds; 0 if it never did."""
        return int(self.wg("show", INTERFACE, "latest-handshakes").split()[1])

    def stop(self) -> None:
        """The device is gone, and its interface with it; may be called again."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return self._namespace.run(
            ["nsenter", "--mount", f"--target={self._process.pid}", "wg", *arguments], input=input)


def _wg(*arguments: str, input: str | None = None) -> str:
    done = subprocess.run(["wg", *arguments], input=input, capture_output=True, text=True, check=True)
    return done.stdout.strip()
