"""Measures what a packet of an established stream costs on its way across the router, of one flow and of 64: without
rules, and under camfw's of one camera and of 1,000, with recording; and of one camera beside a flood of refused packets
from another.

usage: stream.py [--rounds N]      as root; CAMFW is the program, target/debug/camfw without it

Forwarding over veth happens in the sender's own system call, so the time of many sends is the time of the rules and of
what is the same for all of them. Each ruleset has a router of its own, which is there from the start to the end, and its
turn again and again in one run; the least time of each is compared: what else the machine does only adds. Each packet
that is sent must be one that the router forwarded.

The flood is sent on one core, and refused in its sender's system calls; the stream is timed on the other. What two busy
cores cost each other has nothing to do with the router: the measure is the same flood into a wire that leads nowhere,
taken twice. The medians are compared, since the recording's work may come on either core.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cameras  # noqa: E402
from lab import example, frames  # noqa: E402
from lab.namespace import LabError, Namespace  # noqa: E402
from lab.probes import wait_until  # noqa: E402
from lab.router import Lab  # noqa: E402
from netns.program import BACKENDS, Program, multi  # noqa: E402

PACKETS, FLOWS, PORT = 10_000, (1, 64), 5004
OPEN = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n"
# The lab gives the camera's host this one's hardware address; the next one is who floods.
NUMBER = 17
CAMERA = replace(example.CAMERA, address=cameras.camera(NUMBER)[0], prefix=16, router="10.8.0.1")
ALLOW = f"""
[[allow]]
from = "private"
to = "camera"
service = {{ udp = [{PORT}] }}

[watch]
interval = 3600
"""
ONE, ALL = range(NUMBER, NUMBER + 2), range(cameras.CAMERAS)
RECORDED = "camfw, 1,000 cameras, recorded by camfw watch"


class Router:
    """A router with its rules, and streams from the laptop to the camera."""

    def __init__(self, stack: contextlib.ExitStack, rules: Callable[[Lab], None]) -> None:
        self.lab = stack.enter_context(Lab((example.INTERNET, CAMERA, example.LAPTOP)))
        # The lab's are those of cameras that are listed.
        for number, name in enumerate(("internet", "laptop")):
            self.lab.hosts[name].namespace.ip("link", "set", "eth0", "address", f"02:00:00:01:00:{number:02x}")
        rules(self.lab)
        hosts = {name: host.namespace for name, host in self.lab.hosts.items()}
        self.receiver = stack.enter_context(hosts["camera"].socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.receiver.bind((CAMERA.address, PORT))
        self.receiver.settimeout(10)
        self.senders = [stack.enter_context(hosts["laptop"].socket(socket.AF_INET, socket.SOCK_DGRAM))
                        for _ in range(max(FLOWS))]
        for sender in self.senders:
            sender.settimeout(10)
            sender.connect((CAMERA.address, PORT))
            # Established is what was answered.
            sender.send(b"hello")
            self.receiver.sendto(b"hello", self.receiver.recvfrom(100)[1])
            sender.recv(100)
        # What is full is dropped at once, in all of them alike.
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def seconds(self, flows: int) -> float:
        """For so many packets, which the router forwarded."""
        sends = [sender.send for sender in self.senders[:flows]] * (PACKETS // flows + 1)
        before = forwarded(self.lab.router)
        start = time.perf_counter()
        for send in sends[:PACKETS]:
            send(b"stream")
        took = time.perf_counter() - start
        if not wait_until(lambda: forwarded(self.lab.router) - before >= PACKETS, 5):
            sys.exit(f"only {forwarded(self.lab.router) - before} of {PACKETS} packets were forwarded")
        if forwarded(self.lab.router) - before > PACKETS:
            sys.exit("more was forwarded than the stream's packets: is the flood let through?")
        return took


def forwarded(router: Namespace) -> int:
    """IPv4 packets so far, that the rules let out. Since Linux 6.7 ForwDatagrams has those that they refuse, too
    (ip_forward), and there is OutTransmits, which has the router's own."""
    with router.entered():
        names, values = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()[:2]]
    counted = dict(zip(names[1:], map(int, values[1:])))
    if "OutTransmits" in counted:
        return counted["OutTransmits"] - counted["OutRequests"]
    return counted["ForwDatagrams"]


def no_rules(lab: Lab) -> None:
    lab.configure_router()


def one_rule(backend: str, *, strict: bool = False) -> Callable[[Lab], None]:
    """With `strict`, the kernel checks each packet's source against the routes, as camfw has it do."""
    def load(lab: Lab) -> None:
        lab.configure_router()
        lab.router.run([multi(backend), "iptables-restore"], check=True, input=OPEN)
        if strict:
            lab.router.write_sysctl("net.ipv4.conf.all.rp_filter", "1")
    return load


def camfw(backend: str, stack: contextlib.ExitStack, which: range, *, record: bool = True,
          watch: bool = False) -> Callable[[Lab], None]:
    def apply(lab: Lab) -> None:
        scratch = Path(tempfile.mkdtemp(prefix="camfw-bench-"))
        stack.callback(shutil.rmtree, scratch)
        program = Program(lab.router, scratch, backend)
        stack.callback(program.close)
        text = cameras.policy(which) + ALLOW
        program.configure(text if record else text.replace('role = "camera"\n', 'role = "camera"\nrecord = false\n'))
        done = program.run("apply")
        if done.code != 0:
            sys.exit(str(done))
        if watch:
            stack.enter_context(program.watching(lambda: '"recording":true' in program.run("blocked", "--json").stdout))
    return apply


def streams(routers: dict[str, Router], rounds: int) -> None:
    for flows in FLOWS:
        best = dict.fromkeys(routers, float("inf"))
        for _ in range(rounds):
            for label, router in routers.items():
                best[label] = min(best[label], router.seconds(flows))
        print(f"established streams, {flows} flow{'s' if flows > 1 else ''}")
        first = next(iter(best.values()))
        for label, seconds in best.items():
            goal = "   (goal 0.97)" if label.startswith("camfw") else ""
            print(f"    {label:<46} {seconds / PACKETS * 1e9:7.0f} ns  {first / seconds:5.2f} of the rate{goal}", flush=True)


def send_flood(host: Namespace, router_mac: str, ready: Event, end: Event, sent: multiprocessing.Queue[int]) -> None:
    """In a process of its own, on the second core, until it is to end."""
    os.sched_setaffinity(0, {cores()[1]})
    address, mac = cameras.camera(NUMBER + 1)
    chance, count = random.Random(1), 0
    packets = [frames.frame(router_mac, mac, None, frames.udp(
        address, f"{chance.randrange(100, 120)}.{chance.randrange(256)}.0.9", 40000, chance.randrange(1, 65536)))
        for _ in range(5_000)]
    with host.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        while not end.is_set():
            for packet in packets[count % 5_000:][:100]:
                wire.send(packet)
            count += 100
            if count == 1_000:
                ready.set()
    sent.put(count)


@contextlib.contextmanager
def flooded(lab: Lab, rates: list[float]) -> Iterator[None]:
    mac = card(lab.router)
    ready, end, sent = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
    process = multiprocessing.Process(target=send_flood, args=(lab.hosts["camera"].namespace, mac, ready, end, sent))
    process.start()
    try:
        if not ready.wait(30):
            sys.exit("the flood does not begin")
        began = time.monotonic()
        yield
    finally:
        end.set()
    rates.append(sent.get(timeout=30) / (time.monotonic() - began))
    process.join()


def card(router: Namespace) -> str:
    """The hardware address of eth1."""
    return router.run(["ip", "-brief", "link", "show", "eth1"], check=True).stdout.split()[2]


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def flood(router: Router, nowhere: Lab, rounds: int) -> None:
    turns = {"the same flood into a wire that leads nowhere": nowhere, "the same once more": nowhere,
             "a flood that the router refuses and records": router.lab}
    times: dict[str, list[float]] = {label: [] for label in turns}
    rates: dict[str, list[float]] = {label: [] for label in turns}
    both = os.sched_getaffinity(0)
    for _ in range(rounds):
        for label, lab in turns.items():
            with flooded(lab, rates[label]):
                os.sched_setaffinity(0, {sorted(both)[0]})
                times[label].append(router.seconds(1))
            os.sched_setaffinity(0, both)
    print("one camera's stream beside a flood of another's, each on a core of its own")
    first = statistics.median(times["the same flood into a wire that leads nowhere"])
    for label, taken in times.items():
        took = statistics.median(taken)
        goal = "   (goal: not beyond what the two above differ)" if turns[label] is router.lab else ""
        print(f"    {label:<46} {took / PACKETS * 1e9:7.0f} ns  {first / took:5.2f} of the rate, "
              f"{statistics.median(rates[label]):.0f} packets a second{goal}", flush=True)


def main() -> None:
    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 40
    if len(cores()) < 2:
        sys.exit("a flood beside a stream takes two cores")
    for backend in BACKENDS:
        print(f"== {backend}")
        with contextlib.ExitStack() as stack:
            rules: dict[str, Callable[[Lab], None]] = {
                "no rules": no_rules,
                "one rule, for conntrack to be there": one_rule(backend),
                "the same, and strict rp_filter": one_rule(backend, strict=True),
                "camfw, one camera, without recording": camfw(backend, stack, ONE, record=False),
                "camfw, one camera": camfw(backend, stack, ONE),
                "camfw, 1,000 cameras": camfw(backend, stack, ALL),
                RECORDED: camfw(backend, stack, ALL, watch=True),
            }
            routers = {label: Router(stack, load) for label, load in rules.items()}
            streams(routers, rounds)
            nowhere = stack.enter_context(Lab((CAMERA,)))
            nowhere.router.ip("link", "set", "eth1", "up")
            flood(routers[RECORDED], nowhere, rounds)


if __name__ == "__main__":
    try:
        main()
    except (LabError, AssertionError) as error:
        sys.exit(str(error))
