"""An evening with six cameras: blocked, hosts, status, matrix, report and metrics each tell what
happened, and nothing of the cameras that did nothing wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import xml.etree.ElementTree as ET
from typing import Any

from lab import example, probes
from lab.hosts import INTERFACE, Wiring
from lab.namespace import Namespace
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PING, PRIVATE, camera

ROUTER = example.CAMERA.router


def on_the_bridge(name: str, number: int, last: int) -> Wiring:
    return Wiring(name, f"eth{number}", f"192.168.8.{last}", 24, router=ROUTER,
                  address6=f"fd00:8::{last}", router6=example.CAMERA.router6)


PORCH = example.CAMERA
YARD = on_the_bridge("yard", 3, 111)
SHED = on_the_bridge("shed", 4, 112)
GATE = on_the_bridge("gate", 5, 113)
CELLAR = on_the_bridge("cellar", 6, 114)
# Its wire is the house's.
ATTIC, ATTIC_MAC = "192.168.8.115", "02:00:00:00:00:a7"
GATE_MAC = "02:00:00:00:00:99"

POLICY = EXTERNAL + PRIVATE + """
[zones.camera]
interface = { bridge = ["eth1", "eth3", "eth4", "eth5", "eth6"], name = "br-cam" }
address = "192.168.8.1/24"
role = "camera"
""" + "".join(
    camera(name, address, mac) for name, address, mac in (
        ("porch", PORCH.address, PORCH.mac), ("yard", YARD.address, YARD.mac), ("shed", SHED.address, SHED.mac),
        ("gate", GATE.address, GATE_MAC), ("cellar", CELLAR.address, None), ("attic", ATTIC, ATTIC_MAC),
    )
) + PING + '[watch]\ninterval = 1\nmetrics = "/run/camfw-metrics/camfw.prom"\n'

ABROAD = [f"203.0.113.{last}" for last in (7, 8, 9)]
HOSTS = 1000

# Sends the first packet of a TCP connection to each host.
CALL = """
import socket, sys
for host in sys.argv[1:]:
    call = socket.socket()
    call.setblocking(False)
    call.connect_ex((host, 443))
"""
# Sends a datagram to each of many hosts, no faster than the kernel passes them on.
TRY_MANY = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[1])):
    sender.sendto(b"x", ("198.51.%d.%d" % (100 + number // 250, number % 250 + 1), 32100))
    time.sleep(0.022 if number > 150 else 0)
"""
# Asks whoever is on the wire, as a camera does that gets no answer by ARP.
SHOUT = """
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sender.sendto(b"x", ("255.255.255.255", 3702))
"""


# How many of a camera's tries the page lists.
LISTED = 6


def cards(page: str) -> dict[str, tuple[str, list[str]]]:
    """Of each camera and other host on the page: all that its card says, and what it tried, as the page words it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for card in ET.fromstring(page.removeprefix("<!DOCTYPE html>\n")).iterfind(".//ul[@class='cams']/li"):
        name, children = card.findtext("h3") or "", list(card)
        assert name not in found, name
        tries = [following for heading, following in zip(children, children[1:], strict=False)
                 if heading.tag == "h4" and "tried" in (heading.text or "")]
        found[name] = (" ".join(card.itertext()),
                       [(row.findtext("span") or row.text or "") for it in tries for row in it])
    return found


@both_backends
class Evening(RouterTest):
    wirings = (example.INTERNET, PORCH, example.LAPTOP, YARD, SHED, GATE, CELLAR)

    def setUp(self) -> None:
        super().setUp()
        self.lab.hosts["cellar"].namespace.ip("link", "set", INTERFACE, "down")
        self.laptop.ip(batch=f"""
            address flush dev {INTERFACE} scope global
            link set {INTERFACE} address {ATTIC_MAC}
            address add {ATTIC}/24 dev {INTERFACE}
            route add default dev {INTERFACE}
        """)
        self.said = ""
        syslog = self.program.syslog()
        self.addCleanup(syslog.close)
        syslog.setblocking(True)
        threading.Thread(target=self.listen, args=(syslog,), daemon=True).start()
        self.boot(POLICY)
        watch = self.program.start("watch")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.send_signal, signal.SIGTERM)
        self.assertTrue(wait_until(lambda: self.json("blocked")["recording"]), "it records")
        self.assertTrue(wait_until(lambda: self.json("hosts")["watching"]), "it compares")

    def listen(self, syslog: socket.socket) -> None:
        """Reads the system log: who writes would wait for a reader."""
        with contextlib.suppress(OSError):
            while True:
                self.said += syslog.recv(65536).decode(errors="replace") + "\n"

    def json(self, command: str) -> dict[str, Any]:
        return dict(json.loads(self.program.run(command, "--json").stdout))

    def matrix(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.camfw("show", "matrix", "--json", *arguments).stdout))

    def host(self, name: str) -> Namespace:
        return self.lab.hosts[name].namespace

    def metrics(self) -> dict[str, int]:
        text = (self.program.run_folder / "camfw-metrics/camfw.prom").read_text()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        return {name: int(value) for name, value in samples}

    def test_each_says_what_happened_and_nothing_of_the_others(self) -> None:
        before = self.matrix("--live")
        self.assertTrue(probes.ping(self.camera, ROUTER))
        self.host("yard").run(["python3", "-c", CALL, *ABROAD], check=True)
        many = self.host("shed").start(["python3", "-c", TRY_MANY, str(HOSTS)])
        self.addCleanup(many.wait)
        probes.ping(self.host("gate"), ROUTER, 0.3)
        self.laptop.run(["python3", "-c", SHOUT], check=True)
        many.wait(probes.PATIENCE * 5)

        def tried() -> dict[str, set[tuple[str, int]]]:
            found: dict[str, set[tuple[str, int]]] = {}
            for host in self.json("blocked")["hosts"]:
                of = found.setdefault(host["camera"] or f"{host['address']} {host['hardware']}", set())
                of |= {(it["to"], it["port"]) for it in host["tried"]}
            return found

        self.assertTrue(wait_until(lambda: len(tried().get("shed", ())) >= HOSTS), len(tried().get("shed", ())))
        self.assertTrue(wait_until(lambda: len(self.json("hosts")["problems"]) == 2), self.json("hosts"))
        self.assertEqual(tried(), {
            "yard": {(host, 443) for host in ABROAD},
            "shed": {(f"198.51.{100 + it // 250}.{it % 250 + 1}", 32100) for it in range(HOSTS)},
            f"{GATE.address} {GATE.mac}": {(ROUTER, 8)},
            f"{ATTIC} {ATTIC_MAC}": {("255.255.255.255", 3702)},
        })

        hosts = self.json("hosts")
        states = {it["name"]: it["state"] for zone in hosts["zones"] for it in zone["cameras"]}
        here = {"porch": "seen", "yard": "seen", "shed": "seen"}
        self.assertEqual(states, {**here, "gate": "never-seen", "cellar": "never-seen", "attic": "never-seen"})
        problems = {(it["camera"], it["kind"], it["zone"]) for it in hosts["problems"]}
        self.assertEqual(problems, {("gate", "other-device", "camera"), ("attic", "other-zone", "private")})
        self.assertEqual([zone["others"] for zone in hosts["zones"]], [[], [], []])
        texts = [it["text"] for it in hosts["problems"]]
        self.assertEqual(texts, [
            f"{GATE.address} of camera gate is used by {GATE.mac} and not by {GATE_MAC}; "
            "unplug it, or correct the camera's mac in the file",
            f"camera attic ({ATTIC_MAC}) is on the wire of zone private (eth2); plug it into br-cam",
        ])

        status = self.json("status")
        self.assertEqual((status["state"], status["holds"], status["drift"]), ("applied", True, []))
        absent = "not seen for 1 hour or ever: cellar; look at power and cable"
        self.assertEqual(status["needs"], [*texts, absent])
        attempts = {it["name"]: it["attempts"] for it in status["refused"]["cameras"]}
        none = dict.fromkeys(("porch", "gate", "cellar", "attic"), 0)
        self.assertEqual(attempts, {"yard": 3, "shed": HOSTS, **none})
        lines = self.camfw("status").stdout.splitlines()
        self.assertTrue(lines[0].startswith("APPLIED for "), lines)
        for text in (*texts, absent):
            self.assertIn(f"  {text}", lines)
        self.on_a_terminal()

        self.assertTrue(wait_until(lambda: self.metrics().get('camfw_camera_refused_attempts{camera="shed"}') == HOSTS))
        metrics = self.metrics()
        for name, count in attempts.items():
            self.assertEqual(metrics[f'camfw_camera_refused_attempts{{camera="{name}"}}'], count, name)
        newest = {re.findall(r'"(.*)"', name)[0] for name in metrics if name.startswith("camfw_camera_new_attempt")}
        self.assertEqual(newest, {"yard", "shed"})
        wrong = {name for name in metrics if name.startswith("camfw_host_problem")}
        self.assertEqual(wrong, {
            'camfw_host_problem{camera="gate",kind="other-device",zone="camera"}',
            'camfw_host_problem{camera="attic",kind="other-zone",zone="private"}',
        })
        last_seen = 'camfw_camera_last_seen_timestamp_seconds{camera="%s",zone="camera"}'
        self.assertEqual({name for name in states if metrics[last_seen % name]}, set(here))
        self.assertEqual((metrics["camfw_holds"], metrics["camfw_drift"], metrics['camfw_state{state="applied"}']), (1, 0, 1))

        def samples(name: str, *labels: str) -> list[int]:
            return [value for sample, value in metrics.items()
                    if sample.partition("{")[0] == name and all(label in sample for label in labels)]

        self.assertGreaterEqual(sum(samples("camfw_allowed_connections_total", 'service="ping"')), 1)
        # At least a packet of each address abroad and of the laptop's, by what stopped it.
        self.assertGreaterEqual(sum(samples("camfw_dropped_packets_total", 'reason="not allowed"', 'chain="FORWARD"')), len(ABROAD))
        self.assertGreaterEqual(sum(samples("camfw_dropped_packets_total", 'reason="spoofed source"')), 1)
        self.assertEqual(samples("camfw_link_up", 'zone="camera"', 'interface="br-cam"'), [1])
        (entries,), (limit,) = samples("camfw_conntrack_entries"), samples("camfw_conntrack_entries_limit")
        self.assertTrue(0 < entries <= limit, (entries, limit))
        self.assertEqual((metrics["camfw_recording"], metrics["camfw_refused_entries_given_up_total"]), (1, 0))
        # Nothing comes by DHCP here.
        self.assertEqual(samples("camfw_lease"), [])

        self.the_matrix_tells(before, set(states))
        self.the_page_tells(status["needs"], attempts)

        # Once in the system log, however often it is looked at.
        for text in texts:
            self.assertTrue(wait_until(lambda text=text: text in self.said), self.said)  # type: ignore[misc]
            self.assertEqual(self.said.count(text), 1, self.said)

    def the_matrix_tells(self, before: dict[str, Any], cameras: set[str]) -> None:
        """Whatever was tried: each camera reaches the router by ping, and nothing else."""
        matrix = self.matrix("--live")
        self.assertEqual(matrix, before)
        self.assertEqual(matrix, self.matrix(), "what the kernel holds is what the file says")
        members = {row["name"]: row.get("cameras", ()) for row in matrix["from"]}
        self.assertEqual(sorted(it for row in members.values() for it in row), sorted(cameras))
        reached: dict[str, dict[str, list[str]]] = {}
        for cell in matrix["reaches"]:
            names = [service["name"] for service in cell["services"]]
            for camera_name in members[cell["from"]]:
                reached.setdefault(camera_name, {})[cell["to"]] = names
        self.assertEqual(reached, dict.fromkeys(cameras, {"router": ["ping"]}))

    def the_page_tells(self, needs: list[str], attempts: dict[str, int]) -> None:
        """What status, hosts and blocked tell: by camera, and nothing that it did not do."""
        page = self.camfw("report", "--html", "-").stdout
        told = cards(page)
        others = {GATE.address, ATTIC}
        self.assertEqual(set(told), set(attempts) | others)
        tried = {name: rows for name, (_, rows) in told.items() if rows}
        self.assertEqual(set(tried), {"yard", "shed"} | others)
        self.assertEqual(sorted(tried["yard"]), [f"{host} (external) https" for host in ABROAD])
        self.assertEqual(tried["shed"][LISTED:], [f"and {HOSTS - LISTED} more"])
        for row in tried["shed"][:LISTED]:
            self.assertRegex(row, r"^198\.51\.10[0-3]\.\d+ \(external\) udp 32100$")
        self.assertEqual([row.split(",")[0] for row in tried[GATE.address]], [f"router {ROUTER} ping"])
        self.assertEqual([row.split(",")[0] for row in tried[ATTIC]], ["router 255.255.255.255 onvif-discovery"])
        for name, (text, _) in told.items():
            abroad = "203.0.113." in text, "198.51." in text
            self.assertEqual(abroad, (name == "yard", name == "shed"), text)
        root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
        self.assertEqual(root.findtext(".//h1"), "APPLIED")
        hand = root.find(".//ul[@class='hand']")
        assert hand is not None
        self.assertEqual([row.text for row in hand], needs)
        self.assertIn("3/6", [tile.text for tile in root.iterfind(".//b")])

    def on_a_terminal(self) -> None:
        """One screen of 80 columns, in colours."""
        ours, theirs = pty.openpty()
        process = self.program.start("status", stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        os.close(ours)
        process.wait()
        text = shown.decode()
        self.assertIn("\x1b[1;32mAPPLIED\x1b[0m for ", text)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()
        self.assertEqual([line for line in lines if len(line) > 80], [])
        self.assertLessEqual(len(lines), 25, text)
        self.assertTrue(all(line.isprintable() for line in lines), lines)
