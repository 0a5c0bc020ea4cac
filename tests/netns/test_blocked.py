"""camfw blocked: what cameras tried and may not, recorded by camfw watch from the kernel's
packet log."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import example, frames, probes
from lab.capture import Capture
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import wait_until
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PING, PRIVATE, allow, camera
from netns.program import COMMANDS, ROOT, tools, wrap
from netns.schema import differences

# Three cameras on one wire: the second and the third are further addresses of its host.
PORCH, YARD, SHED = example.CAMERA.address, "192.168.8.111", "192.168.8.112"
STRANGER = "192.168.8.150"
ABROAD = ("203.0.113.7", "203.0.113.8", "203.0.113.9")

ZONE = """
[zones.camera]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"
known-only = true
"""
# An hour that is not now: the kernel's clock is UTC.
HOUR = (datetime.now(UTC).hour + 12) % 24
POLICY = (
    EXTERNAL + ZONE + PRIVATE
    + camera("porch", PORCH) + camera("yard", YARD) + camera("shed", SHED)
    + PING
    + allow("camera", "router", "https", f'when = {{ from = "{HOUR:02}:00", to = "{HOUR:02}:30" }}')
    + '[watch]\ninterval = 3600\n'
)

# Sends UDP to many ports of many hosts, as fast as it can.
FLOOD = """
import socket, sys
source, count = sys.argv[1], int(sys.argv[2])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((source, 0))
for number in range(count):
    try:
        sender.sendto(b"x", ("198.51.%d.%d" % (100 + number // 250 % 100, number % 250 + 1), 1024 + number % 60000))
    except OSError:
        pass
"""
# Sends the first packet of a TCP connection, or a datagram, and waits for no answer.
SEND = """
import socket, sys
kind, source, to, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sender.setblocking(False)
sender.bind((source, 0))
try:
    sender.connect((to, port))
    if kind == "udp":
        sender.send(b"x")
except BlockingIOError:
    pass
"""


@both_backends
class Blocked(RouterTest):
    """What is recorded, how it is shown, and what is kept."""

    def setUp(self) -> None:
        super().setUp()
        for address in (YARD, SHED, STRANGER):
            self.camera.ip("address", "add", f"{address}/24", "dev", INTERFACE)

    def watching(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Runs camfw watch, once it records."""
        return self.program.watching(lambda: bool(self.blocked(expect=None)["recording"]))

    def blocked(self, *flags: str, expect: int | None = 0) -> dict[str, Any]:
        result = self.program.run("blocked", "--json", *flags)
        if expect is not None:
            self.assertEqual(result.code, expect, result)
        told = dict(json.loads(result.stdout))
        self.assertEqual(differences(told, json.loads((ROOT / "docs/blocked.schema.json").read_text())), [])
        return told

    def hosts(self, *flags: str, expect: int | None = 0) -> dict[str, list[dict[str, Any]]]:
        """What each host tried, by its name or by each address that is told of it."""
        hosts: dict[str, list[dict[str, Any]]] = {}
        for host in self.blocked(*flags, expect=expect)["hosts"]:
            for name in [host["camera"]] if host["camera"] else host["addresses"]:
                hosts.setdefault(name, []).extend(host["tried"])
        return hosts

    def send(self, kind: str, source: str, to: str, port: int, host: Namespace | None = None) -> None:
        (host or self.camera).run(["python3", "-c", SEND, kind, source, to, str(port)], check=True)

    def flood(self, source: str, count: int) -> None:
        self.camera.run(["python3", "-c", FLOOD, source, str(count)])

    def shows(self, name: str, to: str, reason: str, port: int) -> bool:
        def shown() -> bool:
            tried = self.hosts(expect=None).get(name, [])
            return any((it["to"], it["reason"], it["port"]) == (to, reason, port) for it in tried)
        return bool(wait_until(shown))

    def assert_shown(self, name: str, to: str, reason: str, port: int) -> None:
        self.assertTrue(self.shows(name, to, reason, port), f"{name} {to} {port}: {self.hosts(expect=None)}")

    def test_each_camera_is_told_by_its_name_with_what_it_tried(self) -> None:
        self.boot(POLICY)
        with self.watching():
            for host in ABROAD:
                self.send("tcp", PORCH, host, 443)
            self.send("udp", YARD, example.LAPTOP.address, 53)
            self.send("udp", YARD, example.CAMERA.router, 53)
            self.send("tcp", SHED, example.CAMERA.router, 443)
            self.send("tcp", STRANGER, ABROAD[0], 80)
            for host in ABROAD:
                self.assert_shown("porch", host, "not allowed", 443)
            self.assert_shown("yard", example.LAPTOP.address, "not allowed", 53)
            self.assert_shown("yard", example.CAMERA.router, "not allowed", 53)
            self.assert_shown("shed", example.CAMERA.router, "not its hours", 443)
            self.assert_shown(STRANGER, ABROAD[0], "unknown", 80)
            hosts = self.hosts()
            self.assertEqual(len(hosts["porch"]), 3, hosts["porch"])
            self.assertTrue(all(it["service"] == "https" and it["allow"] is None for it in hosts["porch"]))
            lines = {it["to"]: it["allow"] for it in hosts["yard"]}
            self.assertEqual(lines[example.CAMERA.router], 'from = "yard"\nto = "router"\nservice = "dns"')
            self.assertIsNone(lines[example.LAPTOP.address], "its role forbids it")
            # The line is one that the file takes, and lets it.
            self.program.configure(POLICY + "\n[[allow]]\n" + lines[example.CAMERA.router])
            self.camfw("check")
            self.program.configure(POLICY)
            self.assertEqual(set(self.hosts("--camera", "porch")), {"porch"})
            self.camfw("blocked", "--camera", "nobody", expect=2)
            text = self.camfw("blocked").stdout
            self.assertIn("porch (192.168.8.110, ", text)
            self.assertTrue(re.search(r"203\.0\.113\.7 \(external\) https: not allowed, \d+ packets?, first ", text), text)
            self.assertIn("not its hours", text)
            self.assertNotIn("NOT RECORDING", text)

    def test_each_new_attempt_is_told_once_in_the_log(self) -> None:
        self.boot(POLICY)
        with contextlib.closing(self.program.syslog()) as syslog, self.watching():
            said = ""

            def heard(words: str) -> bool:
                nonlocal said
                with contextlib.suppress(BlockingIOError):
                    while True:
                        said += syslog.recv(65536).decode(errors="replace") + "\n"
                return words in said

            for _ in range(3):
                self.send("udp", PORCH, ABROAD[0], 443)
            self.send("udp", PORCH, ABROAD[1], 443)
            self.assertTrue(wait_until(lambda: heard(f"to {ABROAD[1]} udp 443")), said)
            line = f"refused: porch ({PORCH}, camera) to {ABROAD[0]} udp 443: not allowed"
            self.assertEqual(said.count(line), 1, said)

    def test_a_flood_hides_no_other_camera_and_fills_nothing(self) -> None:
        self.boot(POLICY)
        with self.watching() as watch:
            self.send("tcp", SHED, ABROAD[0], 8883)
            self.flood(YARD, 30_000)
            self.send("tcp", PORCH, ABROAD[2], 443)
            self.assert_shown("porch", ABROAD[2], "not allowed", 443)
            self.assert_shown("shed", ABROAD[0], "not allowed", 8883)
            tried = len(self.hosts(expect=None)["yard"])
            self.assertGreater(tried, 200, "as much as may come at once")
            self.assertLess(tried, 20_000, "a rate is kept")
            status = Path(f"/proc/{watch.pid}/status").read_text()
            peak = int(re.findall(r"VmRSS:\s*(\d+)", status)[0])
            self.assertLess(peak, 40_000, "KiB of the debug build")

    def test_a_device_with_many_addresses_is_one_host(self) -> None:
        """In whatever is told of it: a flood of addresses is no crowd."""
        zone = ZONE.replace("known-only = true\n", "").replace('"192.168.8.1/24"', '["192.168.8.1/24", "fd00:8::1/64"]')
        its = self.hardware(self.camera, INTERFACE)
        self.boot('[ipv6]\nmode = "same"\n', EXTERNAL, zone, camera("porch", PORCH, its), "[watch]\ninterval = 1\n")
        to = frames.address(self.hardware(self.router, example.CAMERA.interface))
        device = "02:00:00:00:00:99"
        own = to + frames.address(device)
        router = socket.inet_pton(socket.AF_INET6, "fd00:8::1")

        def ipv6(number: int) -> bytes:
            datagram = struct.pack("!HHHH", 40000, 8883, 13, 0) + b"camfw"
            source = router[:8] + number.to_bytes(8, "big")
            return b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(datagram), 17, 64) + source + router + datagram

        with (contextlib.closing(self.program.syslog()) as syslog, self.watching(),
              self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire):
            wire.bind((INTERFACE, 0))
            for number in range(200):
                wire.send(own + ipv6(1000 + number))
                source = f"192.168.8.{2 + number % 100}"
                wire.send(own + frames.IPV4 + frames.udp(source, example.CAMERA.router, 40000, 8883))
                # Another source, and no other.
                source = f"10.9.8.{1 + number}"
                wire.send(own + frames.IPV4 + frames.udp(source, example.CAMERA.router, 40000, 8883))
            wire.send(to + frames.address(its) + frames.IPV4 + frames.udp(PORCH, ABROAD[0], 40000, 8883))
            self.assertTrue(self.shows("porch", ABROAD[0], "not allowed", 8883), "a listed camera is itself")
            (host,) = (host for host in self.blocked()["hosts"] if host["hardware"] == device and not host["camera"])
            self.assertEqual(len(host["addresses"]), 4, host)
            self.assertGreater(host["more_addresses"], 200, host)
            self.assertFalse(any(":" in address for address in host["addresses"]), f"IPv4 first: {host}")
            self.assertEqual({(it["to"], it["port"], it["reason"]) for it in host["tried"]}, {
                (example.CAMERA.router, 8883, "not allowed"), ("fd00:8::1", 8883, "not allowed"),
                (example.CAMERA.router, 8883, "spoofed")})
            self.assertIn(f"and {host['more_addresses']} more addresses ({device}, camera)\n", self.camfw("blocked").stdout)
            said = ""
            with contextlib.suppress(BlockingIOError):
                while True:
                    said += syslog.recv(65536).decode(errors="replace") + "\n"
            told = [line for line in said.splitlines() if "refused: " in line and device in line]
            self.assertLessEqual(len(told), 3, f"once of each thing that it tried: {told}")
            zones = json.loads(self.program.run("hosts", "--json").stdout)["zones"]
            (unlisted,) = (it for zone in zones for it in zone["others"] if it["hardware"] == device)
            self.assertGreater(unlisted["more_addresses"], 200, unlisted)
            self.assertFalse(any(":" in address for address in unlisted["addresses"]), f"IPv4 first: {unlisted}")
            self.assertIn('camfw_unlisted_hosts{zone="camera"} 1\n', self.camfw("metrics").stdout)
            page = self.camfw("report", "--html", "-").stdout
            self.assertEqual(page.count(f"<h3>{device}</h3>"), 1)
            self.assertLess(page.count("192.168.8."), 40, "a few of its addresses")

    def test_who_is_past_the_bound_hides_no_listed_camera(self) -> None:
        zone = ZONE.replace("known-only = true\n", 'bound = { limit = "1/second", zone-limit = "1/second" }\n')
        self.boot(EXTERNAL, zone, camera("porch", PORCH), allow("camera", "router", "ntp"), "[watch]\ninterval = 3600\n")
        to = frames.address(self.hardware(self.router, example.CAMERA.interface))
        flood = [to + b"\x02\0" + number.to_bytes(4, "big") + frames.IPV4
                 + frames.udp(f"192.168.8.{2 + number % 100}", example.CAMERA.router, 10000 + number, 123)
                 for number in range(3_000)]
        own = to + frames.address(self.hardware(self.camera, INTERFACE))
        its = [own + frames.IPV4 + frames.udp(PORCH, example.CAMERA.router, 40000 + number, 123) for number in range(3)]
        with self.watching() as watch, self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((INTERFACE, 0))
            watch.send_signal(signal.SIGSTOP)
            for frame in [*flood, *its]:
                wire.send(frame)
            watch.send_signal(signal.SIGCONT)
            self.assertTrue(self.shows("porch", example.CAMERA.router, "too many", 123), self.hosts(expect=None))
            others = sum(len(host["tried"]) for host in self.blocked()["hosts"] if not host["camera"])
            self.assertGreater(others, 50, "the control: others are past it too")

    def test_ever_other_sources_hide_no_listed_camera(self) -> None:
        """Of a zone that lets in more than its cameras, any host has as many sources as it likes."""
        own = self.hardware(self.camera, INTERFACE)
        zone = ZONE.replace("known-only = true\n", "").replace('"192.168.8.1/24"', '["192.168.8.1/24", "fd00:8::1/64"]')
        external = EXTERNAL.replace('"192.168.0.2/24"', '["192.168.0.2/24", "fd00:0::2/64"]').replace(
            '"192.168.0.1"', '["192.168.0.1", "fd00:0::1"]')
        self.boot('[ipv6]\nmode = "same"\n', external, zone, camera("porch", PORCH, own), "[watch]\ninterval = 3600\n")
        to = frames.address(self.hardware(self.router, example.CAMERA.interface))

        def ipv4(number: int) -> bytes:
            source = f"192.168.8.{2 + number % 100}"
            return frames.IPV4 + frames.udp(source, f"198.51.100.{1 + number % 250}", 40000, 1024 + number)

        def ipv6(host: bytes, number: int) -> bytes:
            source = socket.inet_pton(socket.AF_INET6, "fd00:8::")[:8] + host
            datagram = struct.pack("!HHHH", 40000, 1024 + number, 13, 0) + b"camfw"
            header = struct.pack("!IHBB", 0x60000000, len(datagram), 17, 64)
            return b"\x86\xdd" + header + source + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + datagram

        flood = [to + b"\x02\0" + number.to_bytes(4, "big") + packet
                 for number in range(1_500) for packet in (ipv4(number), ipv6(number.to_bytes(8, "big"), number))]
        own_frame = to + frames.address(own)
        flood.insert(2_000, own_frame + frames.IPV4 + frames.tcp_syn(PORCH, ABROAD[0], 40000, 8883))
        flood.insert(2_000, own_frame + ipv6(b"\xff" * 8, 443 - 1024))
        porch6 = "fd00:8::ffff:ffff:ffff:ffff"
        with self.watching() as watch, self.camera.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((INTERFACE, 0))
            # All that comes meanwhile is in the kernel's queue, or lost.
            watch.send_signal(signal.SIGSTOP)
            for frame in flood:
                wire.send(frame)
            watch.send_signal(signal.SIGCONT)
            self.assertTrue(self.shows("porch", ABROAD[0], "not allowed", 8883), "by IPv4")
            self.assertTrue(self.shows(porch6, "2001:db8::7", "not allowed", 443), "by IPv6")
            hosts = self.hosts()
            counts = [it["count"] for name in ("porch", porch6) for it in hosts[name] if it["port"] in (8883, 443)]
            self.assertEqual(counts, [1, 1], "once each")
            others = sum(len(host["tried"]) for host in self.blocked()["hosts"] if host["camera"] != "porch")
            self.assertGreater(others, 400, "as many as may come at once, by each family")

    def hardware(self, host: Namespace, interface: str) -> str:
        (link,) = json.loads(host.run(["ip", "-json", "link", "show", interface]).stdout)
        return str(link["address"])

    def test_what_is_recorded_outlives_watch_and_a_power_cut(self) -> None:
        self.boot(POLICY)
        with self.watching():
            self.send("tcp", PORCH, ABROAD[0], 443)
            self.assert_shown("porch", ABROAD[0], "not allowed", 443)
        text = self.camfw("blocked", expect=1).stdout
        self.assertIn("NOT RECORDING", text)
        self.assertIn(ABROAD[0], text)
        self.assertEqual(self.camfw("status").stdout.count("NOT RECORDING"), 1)
        page = self.camfw("report", "--html", "-").stdout
        self.assertEqual(page.count("what is refused is not recorded"), 1, "it is said once")
        # A reboot: /run is empty.
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        with self.watching() as watch:
            self.assertNotIn("NOT RECORDING", self.camfw("status").stdout)
            self.assert_shown("porch", ABROAD[0], "not allowed", 443)
            self.send("tcp", YARD, ABROAD[1], 443)
            self.assert_shown("yard", ABROAD[1], "not allowed", 443)
            # What is in /run outlives even a watch that is killed.
            watch.kill()
            watch.wait()
            self.assert_shown("yard", ABROAD[1], "not allowed", 443)
            again = self.program.start("watch")
            try:
                self.assertTrue(wait_until(lambda: self.blocked(expect=None)["recording"]))
                self.assert_shown("yard", ABROAD[1], "not allowed", 443)
            finally:
                again.kill()
                again.communicate()
            watch.poll = lambda: None  # type: ignore[method-assign]

    def test_a_torn_record_starts_empty_and_says_so(self) -> None:
        self.boot(POLICY)
        for folder in (self.program.run_folder, self.program.var):
            (folder / "camfw").mkdir(mode=0o700, exist_ok=True)
            (folder / "camfw/refused").write_text("1 0 0 7\ncamera not-allowed 192.168.8.110 - 203.")
        self.assertIn("is torn", self.camfw("blocked", expect=1).stdout)
        self.program.logged()
        with self.watching():
            said = ""

            def heard() -> bool:
                nonlocal said
                said += self.program.logged()
                return "cannot use refused in /var/lib/camfw" in said

            # blocked reads the log as well: the record is whole once it was written.
            self.send("tcp", PORCH, ABROAD[0], 443)
            self.assert_shown("porch", ABROAD[0], "not allowed", 443)
            self.assertEqual(self.blocked()["problems"], [])

    def test_a_write_that_failed_is_tried_again(self) -> None:
        self.boot(POLICY)
        # A folder in the file's place cannot be replaced.
        in_the_way = [folder / "camfw/refused" for folder in (self.program.run_folder, self.program.var)]
        with self.watching():
            for path in in_the_way:
                path.mkdir(parents=True)
            self.program.logged()
            said = ""

            def heard(words: str) -> bool:
                nonlocal said
                said += self.program.logged() + "\n"
                return words in said

            self.send("udp", PORCH, ABROAD[0], 443)
            self.assertTrue(wait_until(lambda: heard("cannot write /run/camfw/refused")), said)
            for path in in_the_way:
                path.rmdir()
            # Nothing more is tried.
            self.assert_shown("porch", ABROAD[0], "not allowed", 443)
            self.assertEqual(said.count("cannot write /run/camfw/refused"), 1, said)

    def test_what_is_answered_is_recorded_once(self) -> None:
        listed = '[router]\negress = "listed"\n'
        self.boot(POLICY.replace('role = "camera"', 'role = "camera"\non-deny = "reject"'), listed)
        with self.watching():
            # The answers come from the router, and a second time from nobody.
            sent = dict.fromkeys(((to, port) for to in (ABROAD[0], example.CAMERA.router) for port in (23, 5005)), 0)
            for to in (ABROAD[0], example.CAMERA.router):
                sent[to, 23] = 1
                self.assertEqual(probes.tcp(self.camera, to, 23).detail, "Connection refused")
                with Capture(self.camera, "icmp[0] == 3 and icmp[1] == 13") as answers:
                    def is_answered(to: str = to, answers: Capture = answers) -> bool:
                        sent[to, 5005] += 1
                        self.send("udp", example.CAMERA.address, to, 5005)
                        return answers.count(expected=1, seconds=5) > 0

                    self.assertTrue(wait_until(is_answered))
                for port in (23, 5005):
                    self.assert_shown("porch", to, "not allowed", port)
            hosts = self.hosts()
            self.assertEqual(set(hosts), {"porch"})
            counts = {(it["to"], it["port"]): it["count"] for it in hosts["porch"]}
            self.assertEqual(counts.keys(), sent.keys())
            for it, count in counts.items():
                self.assertLessEqual(count, sent[it], it)

    def test_follow_goes_on_until_nobody_reads(self) -> None:
        self.boot(POLICY)
        with self.watching():
            self.send("udp", YARD, ABROAD[1], 443)
            self.assert_shown("yard", ABROAD[1], "not allowed", 443)
            reading, writing = os.pipe()
            following = self.program.start("blocked", "--follow", stdout=writing)
            os.close(writing)
            try:
                with os.fdopen(reading, "rb") as lines:
                    self.assertIn(b"yard (", lines.readline(), "what is there already")
                    self.assertIn(ABROAD[1].encode(), lines.readline())
                    self.send("udp", PORCH, ABROAD[0], 443)
                    self.assertRegex(
                        lines.readline().decode(),
                        rf"^porch \(192\.168\.8\.110, .*\): {re.escape(ABROAD[0])} \(external\) udp 443: not allowed, 1 packet,",
                    )
                    self.assertIsNone(following.poll(), "it goes on")
                # Nothing comes, so no write can fail.
                self.assertTrue(wait_until(lambda: following.poll() is not None), "it ends")
                self.assertEqual(following.returncode, 0)
            finally:
                following.kill()
                following.communicate()

    def test_a_kernel_without_nflog(self) -> None:
        folder = tools(self.scratch / "no-nflog", self.backend)
        for name in (name for name in COMMANDS if name.endswith("-restore")):
            wrap(folder, name, 'input=$(cat)\n[[ $input != *NFLOG* ]] || { echo "no target NFLOG" >&2; exit 3; }\n'
                 'real "$@" <<<"$input"', self.backend)
        # The lists of what the kernel has, without it.
        lists = self.scratch / "lists"
        lists.mkdir()
        script = (
            f'for list in /proc/net/ip*_tables_*; do sed /NFLOG/d "$list" >"{lists}/${{list##*/}}"; done\n'
            f'mount --bind {lists} /proc/$$/net\nexec "$@"\n'
        )
        before = ("/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script, "sh",
                  "/usr/bin/env", f"PATH={folder}")
        self.program.configure(POLICY + "[log]\ndropped = true\n")
        said = "this kernel has no NFLOG (CONFIG_NETFILTER_XT_TARGET_NFLOG)"
        boot = self.program.run("boot", before=before)
        self.assertEqual(boot.code, 0, boot)
        self.assertEqual(boot.said.count(said), 1, boot)
        again = self.program.run("apply", before=before)
        self.assertEqual(again.code, 0, again)
        self.assertNotIn("NFLOG", again.said, "once")
        rules = [rule.rule for family in ("iptables", "ip6tables") for rule in self.tables.rules(family)]
        self.assertFalse([rule for rule in rules if "NFLOG" in rule])
        logged = [rule for rule in rules if "-j LOG" in rule]
        self.assertTrue(logged, "as without it")
        # What would be recorded is logged, each source at a rate of its own.
        own = [rule for rule in logged if '--log-prefix "camera not-allowed "' in rule]
        self.assertTrue([rule for rule in own if "--hashlimit-mode srcip" in rule], logged)
        self.assertIn(said, self.camfw("status").stdout)
        self.assertIn(said, self.camfw("blocked", expect=1).stdout)
        self.send("udp", PORCH, ABROAD[0], 443)

        def counted() -> bool:
            drops = json.loads(self.camfw("status", "--json").stdout)["accounting"]["drops"]
            return any(drop["packets"] > 0 for drop in drops if drop["reason"] == "not allowed")
        self.assertTrue(wait_until(counted), "it is dropped and counted all the same")

        def reached() -> bool:
            return any(rule.packets > 0 for rule in self.tables.rules("iptables") if '"camera not-allowed "' in rule.rule)
        self.assertTrue(wait_until(reached), "it is logged")
        # Where the kernel has it, a boot records again.
        self.program.forget(self.program.run_folder)
        self.camfw("boot")
        with self.watching():
            self.assertNotIn("NOT RECORDING", self.camfw("status").stdout)

    def test_since(self) -> None:
        self.boot(POLICY)
        with self.watching():
            self.send("tcp", PORCH, ABROAD[0], 443)
            self.assert_shown("porch", ABROAD[0], "not allowed", 443)
        record = self.program.run_folder / "camfw/refused"
        head, *entries = record.read_text().splitlines()
        for number, entry in enumerate(entries):
            *kept, first, last = entry.split(" ")
            entries[number] = " ".join((*kept, str(int(first) - 7200), str(int(last) - 7200)))
        record.write_text("\n".join((head, *entries)) + "\n")
        self.assertEqual(self.hosts("--since", "1h", expect=1), {})
        self.assertEqual(set(self.hosts("--since", "3h", expect=1)), {"porch"})
        self.camfw("blocked", "--since", "soon", expect=2)

    def test_what_comes_too_often_and_what_nobody_can_be(self) -> None:
        policy = POLICY.replace(EXTERNAL, EXTERNAL + "record = true\n", 1)
        self.boot(policy + allow("camera", "router", "http", 'limit = "1/day"'))
        bogon = "10.9.9.9"
        self.internet.ip("address", "add", f"{bogon}/32", "dev", INTERFACE)
        with self.watching():
            self.send("tcp", PORCH, example.CAMERA.router, 80)
            self.assertNotIn("porch", self.hosts(), "the first is let through")
            self.send("tcp", PORCH, example.CAMERA.router, 80)
            self.assert_shown("porch", example.CAMERA.router, "too often", 80)
            self.send("udp", bogon, example.INTERNET.router, 53, self.internet)
            self.assert_shown(bogon, example.INTERNET.router, "bogon", 53)

    def test_the_routers_own_attempts(self) -> None:
        self.boot(POLICY, '[router]\negress = "listed"\n')
        with self.watching():
            self.send("tcp", "0.0.0.0", example.LAPTOP.address, 443, self.router)

            def shown() -> bool:
                found = self.blocked(expect=None)["hosts"]
                return any(host["zone"] is None for host in found)
            self.assertTrue(wait_until(shown), self.blocked(expect=None))
            (host,) = (host for host in self.blocked()["hosts"] if host["zone"] is None)
            keys = 'from = "router"\nto = "private"\nservice = "https"\naddress = "192.168.5.10"'
            self.assertEqual([it["allow"] for it in host["tried"]], [keys])
