"""Measures what a packet of an established stream costs on its way across the router.

Forwarding over veth happens in the sender's own system call, so the time of many sends
is the time of the rules and of what is the same for all of them. Each ruleset has its
turn again and again in one run, and the least time of each is compared: what else the
machine does only adds.

usage: stream.py [LABEL=RULES ...]    RULES is a file for iptables-restore

The networks are those of examples/camera-router.toml: the stream is from the laptop to
the camera's port 80. The first line is the router without rules.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import example  # noqa: E402
from lab.router import Lab  # noqa: E402

PACKETS, ROUNDS = 10_000, 40
OPEN = "*raw\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n"


def main() -> None:
    rulesets = {"one rule, for conntrack to be there": OPEN}
    for argument in sys.argv[1:]:
        label, path = argument.split("=", 1)
        rulesets[label] = Path(path).read_text()
    with Lab(example.WIRINGS) as lab:
        lab.configure_router()
        hosts = {name: host.namespace for name, host in lab.hosts.items()}
        with hosts["camera"].socket(socket.AF_INET, socket.SOCK_DGRAM) as camera, \
                hosts["laptop"].socket(socket.AF_INET, socket.SOCK_DGRAM) as laptop:
            camera.settimeout(10)
            camera.bind((example.CAMERA.address, 80))
            laptop.connect((example.CAMERA.address, 80))
            best = dict.fromkeys(rulesets, float("inf"))
            for _ in range(ROUNDS):
                for label, rules in rulesets.items():
                    # What opens the stream passes; conntrack has it from then on.
                    load(lab, OPEN)
                    laptop.send(b"hello")
                    _, back = camera.recvfrom(100)
                    camera.sendto(b"hello", back)
                    laptop.recv(100)
                    load(lab, rules)
                    # It is let through, or nothing is measured.
                    laptop.send(b"still here")
                    while camera.recv(100) != b"still here":
                        pass
                    camera.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    best[label] = min(best[label], timed(laptop))
                    drain(camera)
    first = next(iter(best.values()))
    for label, seconds in best.items():
        print(f"{label:<50} {seconds / PACKETS * 1e9:7.0f} ns  {seconds / first:5.2f} times")


def load(lab: Lab, rules: str) -> None:
    lab.router.run(["iptables-legacy-restore"], check=True, input=rules)


def timed(sender: socket.socket) -> float:
    send = sender.send
    start = time.perf_counter()
    for _ in range(PACKETS):
        send(b"stream")
    return time.perf_counter() - start


def drain(receiver: socket.socket) -> None:
    receiver.setblocking(False)
    try:
        while True:
            receiver.recv(100)
    except BlockingIOError:
        receiver.settimeout(10)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
