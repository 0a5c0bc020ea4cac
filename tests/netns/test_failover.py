"""Two ways out: which one is taken, what stays closed meanwhile, and what comes back to whom.

Both providers' routers are hosts that have the same server behind them, at the same address: who is
asked tells which way was taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time

from lab import example, probes
from lab.capture import Capture
from lab.dialup import Line
from lab.hosts import Wiring
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, PING, PRIVATE, allow
from netns.program import ROOT
from netns.recipes import FILE, recipe
from netns.schema import differences

LTE = Wiring("lte", "eth5", "192.168.100.1", 24, router="192.168.100.2",
             address6="fd00:100::1", router6="fd00:100::2")
WAN = example.INTERNET
SERVER = "203.0.113.7"
# Somebody on the internet, whose packets come in by either way.
CALLER = "9.9.9.9"
PORT = 443


def zone(name: str, wiring: Wiring, *more: str) -> str:
    return "\n".join((f"[zones.{name}]", f'interface = "{wiring.interface}"', 'role = "external"', *more)) + "\n"


def fixed(wiring: Wiring) -> tuple[str, str]:
    return f'address = "{wiring.router}/{wiring.prefix}"', f'gateway = "{wiring.address}"'


WAYS = zone("wan", WAN, *fixed(WAN)) + zone("lte", LTE, *fixed(LTE), "metric = 100")
LINES = (CAMERA + PRIVATE + PING
         + "".join(allow("private", way, f"{{ tcp = [{PORT}], udp = [{PORT}] }}") for way in ("wan", "lte"))
         + allow("private", "camera", "rtsp"))
MASQUERADE = '[[masquerade]]\nfrom = "private"\nto = ["wan", "lte"]\n'
# By these the kernel does not notice by itself that a connection leaves by another interface.
SNAT = "".join(f'[[snat]]\nfrom = "private"\nto = "{way}"\naddress = "{wiring.router}"\n'
               for way, wiring in (("wan", WAN), ("lte", LTE)))


class Ways(RouterTest):
    """A base class without tests."""

    wirings = (*example.WIRINGS, LTE)

    def setUp(self) -> None:
        super().setUp()
        self.lte = self.lab.hosts["lte"].namespace
        self.servers: dict[str, Listener] = {}
        for name, host in (("wan", self.internet), ("lte", self.lte)):
            host.ip(batch=f"address add {SERVER}/32 dev lo\naddress add {CALLER}/32 dev lo\nlink set lo up")
            self.servers[name] = Listener(host, [PORT], [PORT])
            self.addCleanup(self.servers[name].stop)
        for host in (self.camera, self.laptop):
            listener = Listener(host, [PORT])
            self.addCleanup(listener.stop)
        self.heard = ""

    def taken(self) -> str:
        """By which way the house reaches the server; empty if it does not."""
        before = {name: server.accepted[PORT] for name, server in self.servers.items()}
        if not probes.tcp(self.laptop, SERVER, PORT, wait=1.0):
            return ""
        for name, server in self.servers.items():
            if wait_until(lambda s=server, n=name: s.accepted[PORT] > before[n], 0.5):  # type: ignore[misc]
                return name
        return ""

    def takes(self, way: str, seconds: float = probes.PATIENCE) -> None:
        found: list[str] = []

        def now() -> bool:
            found.append(self.taken())
            return found[-1] == way

        if not wait_until(now, seconds):
            self.fail(f"{way} is not taken, but {found[-3:]}: {self.program.logged()}")

    def hears(self, *words: str, seconds: float = probes.PATIENCE) -> None:
        def heard() -> bool:
            self.heard += self.program.logged()
            return all(word in self.heard for word in words)

        if not wait_until(heard, seconds):
            self.fail(f"not heard: {words}: {self.heard}")

    def ways(self) -> dict[str, dict[str, object]]:
        report = json.loads(self.camfw("status", "--json").stdout)
        schema = json.loads((ROOT / "docs/status.schema.json").read_text())
        self.assertEqual(differences(report, schema), [])
        return {way["zone"]: way for way in report["ways"]}

    def assert_closed(self) -> None:
        """What no line allows, by either way."""
        for host, own in ((self.internet, WAN.router), (self.lte, LTE.router)):
            self.assertFalse(probes.tcp(host, example.LAPTOP.address, PORT, wait=0.5))
            self.assertFalse(probes.tcp(host, example.CAMERA.address, PORT, wait=0.5))
            self.assertFalse(probes.tcp(host, own, 22, wait=0.5))
        self.assertFalse(probes.tcp(self.camera, SERVER, PORT, wait=0.5))

    def answers_on(self, host: Namespace, own: str) -> bool:
        """Whether somebody on the internet who pings the router by this way is answered by it."""
        return bool(probes.ping(host, own, 2.0, "-I", CALLER))


@both_backends
class Failover(Ways):
    """Fixed addresses."""

    def test_the_kernel_leaves_a_way_without_carrier_though_nobody_watches(self) -> None:
        self.boot(WAYS, LINES, MASQUERADE)
        self.takes("wan")
        self.assertIn("camfw watch does not run", self.camfw("status").said)
        self.assertEqual([way["in_use"] for way in self.ways().values()], [True, False])
        self.assert_closed()
        self.internet.ip("link", "set", "eth0", "down")
        self.takes("lte")
        self.assertEqual([way["in_use"] for way in self.ways().values()], [False, True])
        self.assert_closed()
        self.internet.ip("link", "set", "eth0", "up")
        self.takes("wan")
        self.assert_closed()
        # Nothing of it differs from the policy, and what is loaded is proven.
        self.camfw("prove", "--live")
        # The control: without a firewall each of what did not pass does.
        self.camfw("open")
        self.open_router()
        for host in (self.internet, self.lte):
            host.ip("route", "replace", "default", "via", (WAN if host is self.internet else LTE).router)
            self.assertTrue(probes.tcp(host, example.LAPTOP.address, PORT))
            self.assertTrue(probes.tcp(host, example.CAMERA.address, PORT))

    def test_each_way_is_answered_by_itself(self) -> None:
        self.boot(WAYS, LINES, MASQUERADE)
        for host, wiring in ((self.internet, WAN), (self.lte, LTE)):
            with Capture(host, f"icmp and src host {wiring.router} and dst host {CALLER}") as arrived:
                self.assertTrue(self.answers_on(host, wiring.router), wiring.name)
                self.assertGreater(arrived.count(expected=1), 0)
        # The network of a way itself is reached directly, and not by its router.
        for host, wiring in ((self.internet, WAN), (self.lte, LTE)):
            beside = f"{wiring.address}9"
            host.ip("address", "add", f"{beside}/{wiring.prefix}", "dev", "eth0")
            went = self.router.run(["ip", "route", "get", beside, "from", wiring.router], check=True).stdout
            self.assertNotIn(" via ", went)
            self.assertTrue(probes.ping(host, wiring.router, 2.0, "-I", beside))
        # A dead way answers by no other: the default route of the other one is not for it.
        self.internet.ip("link", "set", "eth0", "down")
        went = self.router.run(["ip", "route", "get", SERVER, "from", WAN.router])
        self.assertNotIn("eth5", went.stdout)
        # The control: by the default route alone the standby's answer goes by the other way.
        self.internet.ip("link", "set", "eth0", "up")
        # The kernel tells a carrier up to a second later.
        self.takes("wan")
        self.router.ip("rule", "del", "from", LTE.router, "priority", "20001")
        self.assertFalse(self.answers_on(self.lte, LTE.router))
        self.assertIn("not so: add rule: from 192.168.100.2", self.camfw("status", expect=1).said)
        self.camfw("apply")
        self.assertTrue(self.answers_on(self.lte, LTE.router))

    def test_a_router_that_does_not_answer_is_left_and_taken_again(self) -> None:
        metrics = self.scratch / "run/camfw-metrics/camfw.prom"
        self.boot(WAYS, LINES, SNAT, '[watch]\nmetrics = "/run/camfw-metrics/camfw.prom"\n')
        client = self.laptop.socket(kind=socket.SOCK_DGRAM)
        self.addCleanup(client.close)

        def arrives(way: str, token: bytes) -> bool:
            client.sendto(token, (SERVER, PORT))
            return wait_until(lambda: self.servers[way].received(token), 1.0)

        with self.program.watching():
            self.takes("wan")
            self.assertTrue(wait_until(lambda: arrives("wan", b"before")))
            # Its interface stays up, and nobody is there any more.
            self.internet.ip("address", "flush", "dev", "eth0")
            self.hears("way out lte is in use, since wan is not alive: its router 192.168.0.1 does not answer")
            self.takes("lte")
            # What was open begins anew, with the source of the other way.
            with Capture(self.lte, f"udp dst port {PORT}") as arrived:
                self.assertTrue(wait_until(lambda: arrives("lte", b"after")))
            self.assertIn(f" IP {LTE.router}.", "\n".join(arrived.packets))
            self.assertNotIn(f" IP {WAN.router}.", "\n".join(arrived.packets))
            self.assert_closed()
            # It holds, and no command takes the dead way back.
            self.assertRegex(self.camfw("status").said, r"ways out: wan not alive for \d+ s, lte in use for \d+ s")
            self.camfw("apply")
            ways = self.ways()
            self.assertEqual((ways["wan"]["in_use"], ways["wan"]["why"]), (False, "its router 192.168.0.1 does not answer"))
            self.assertTrue(ways["lte"]["in_use"] and ways["lte"]["alive"] and ways["lte"]["watched"])
            self.takes("lte")
            self.assertTrue(wait_until(lambda: metrics.is_file() and
                            'camfw_way_out_in_use{zone="lte",interface="eth5"} 1' in metrics.read_text()))
            self.internet.ip("address", "add", f"{WAN.address}/{WAN.prefix}", "dev", "eth0")
            # What is mended is not told as the fault.
            self.assertTrue(wait_until(lambda: self.ways()["wan"]["holds_since"]))
            said = self.camfw("status").said
            self.assertRegex(said, r"ways out: wan alive again for \d+ s, lte in use for \d+ s")
            self.assertRegex(said, r"way out wan: alive again for \d+ s; used after 30 s")
            self.assertNotIn("does not answer", said)
            self.hears("way out wan is in use again")
            self.takes("wan")
            self.assert_closed()
            self.hears("connections ended by way out lte")
            self.assertEqual(self.heard.count("is in use"), 2, self.heard)
        self.camfw("status")
        self.camfw("prove", "--live")

    def test_a_line_that_flaps_is_not_taken_until_it_holds(self) -> None:
        self.boot(WAYS, LINES, MASQUERADE)
        with self.program.watching():
            self.takes("wan")
            for _ in range(3):
                self.internet.ip("link", "set", "eth0", "down")
                self.takes("lte")
                self.hears("since wan is not alive: its interface has no carrier")
                self.internet.ip("link", "set", "eth0", "up")
                self.assertEqual(self.taken(), "lte")
            self.hears("")
            self.assertEqual(self.heard.count("is in use"), 1, self.heard)
            # The other one dies too: nothing that is alive is left for the first, so that it need not hold.
            self.lte.ip("link", "set", "eth0", "down")
            # Its router may not have answered by then: "again" in place of why.
            self.hears("way out wan is in use")
            self.takes("wan")

    def test_where_no_way_is_alive_the_last_one_is_not_left(self) -> None:
        self.boot(WAYS, LINES, MASQUERADE)
        self.lte.ip("link", "set", "eth0", "down")
        with self.program.watching(), self.laptop.socket() as flow:
            self.hears("way out lte is not alive: its interface has no carrier")
            flow.settimeout(probes.PATIENCE)
            flow.connect((SERVER, PORT))
            for _ in range(3):
                self.assertTrue(probes.echoes(flow))
                self.internet.ip("link", "set", "eth0", "down")
                self.hears("no way out is alive: wan is not alive: its interface has no carrier")
                # So that watch sees each of them.
                time.sleep(1.0)
                self.assertFalse(any(way["in_use"] or way["alive"] for way in self.ways().values()))
                self.internet.ip("link", "set", "eth0", "up")
                self.hears("way out wan is alive again")
                time.sleep(1.0)
            # There was none to leave it for: what is open goes on, and what flaps is told once.
            self.assertTrue(probes.echoes(flow))
            self.assertTrue(wait_until(lambda: [way["in_use"] for way in self.ways().values()] == [True, False]))
            self.hears("")
            self.assertLess(self.heard.count("no way out is alive"), 3, self.heard)
            for word in ("connections ended", "eth0, metric 10000"):
                self.assertNotIn(word, self.heard)
            # As soon as there is one it is left, whether it was dead before or not.
            self.internet.ip("link", "set", "eth0", "down")
            time.sleep(1.0)
            self.lte.ip("link", "set", "eth0", "up")
            self.hears("way out lte is in use, since wan is not alive", "connections ended by way out wan")
            self.takes("lte")

    def test_the_recipe_is_carried_out(self) -> None:
        file = FILE.read_text()
        self.assertEqual(file.count('address   = "dhcp"'), 1)
        self.program.configure(file.replace('address   = "dhcp"', "\n".join(fixed(WAN))))
        folder = self.program.config.with_suffix(".d")
        folder.mkdir()
        (folder / "lte.toml").write_text(recipe("Two ways out").block())
        self.camfw("apply")
        self.laptop.ip("route", "replace", "default", "via", "192.168.5.1")
        self.takes("wan")
        self.internet.ip("link", "set", "eth0", "down")
        self.takes("lte")
        self.assertFalse(probes.tcp(self.camera, SERVER, PORT, wait=0.5))
        self.assertFalse(probes.tcp(self.lte, LTE.router, 22, wait=0.5))


# As a line's ends are given: pppd makes the interface, and its other end takes everything.
PPP_OWN, PPP_FAR = "100.64.1.2", "100.64.0.1"
DIALED = ('[zones.lte]\ninterface = "ppp0"\naddress = "given"\ngateway = "device"\nmetric = 100\nrole = "external"\n'
          f'[zones.modem]\ninterface = "{LTE.interface}"\naddress = "none"\nrole = "external"\n')


@both_backends
class ByDevice(Ways):
    """The standby is a modem's PPP: its default route leads to the device, and has no router that could be asked. A
    line of tun devices stands for pppd's."""

    def dial(self) -> Line:
        line = Line(self.router, self.lte)
        self.addCleanup(line.hang_up)
        line.address(PPP_OWN, PPP_FAR)
        # Its other end knows the ways inside, as nobody on the internet does.
        for inside in (f"{example.CAMERA.address}/32", f"{example.LAPTOP.address}/32"):
            self.lte.ip("route", "replace", inside, "dev", line.interface)
        return line

    def defaults(self) -> str:
        return self.router.run(["ip", "-4", "route", "show", "default"], check=True).stdout

    def test_the_device_is_taken_while_the_router_does_not_answer(self) -> None:
        self.boot(zone("wan", WAN, *fixed(WAN)), DIALED, LINES, MASQUERADE)
        with self.program.watching():
            self.takes("wan")
            self.assertFalse("ppp0" in self.defaults())
            line = self.dial()
            self.assertTrue(wait_until(lambda: "default dev ppp0" in self.defaults()), self.defaults())
            # It stands by, and answers who comes in by it.
            self.takes("wan")
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.lte, PPP_OWN, 2.0, "-I", CALLER))))
            self.assertEqual([way["in_use"] for way in self.ways().values()], [True, False])
            self.internet.ip("address", "flush", "dev", "eth0")
            self.hears("way out lte is in use, since wan is not alive: its router 192.168.0.1 does not answer")
            with Capture(self.lte, f"tcp dst port {PORT}", "ppp0") as arrived:
                self.takes("lte")
                self.assertGreater(arrived.count(expected=1), 0)
            self.assertIn(f" IP {PPP_OWN}.", arrived.packets[0])
            self.assert_closed_to_the_line()
            self.camfw("apply")
            self.assertEqual([way["in_use"] for way in self.ways().values()], [False, True])
            self.takes("lte")
            # The line is hung up while it is used: none is alive, until it is there again, and is used at once.
            line.hang_up()
            self.hears("no way out is alive")
            self.assertEqual(self.taken(), "")
            line = self.dial()
            self.takes("lte")
            # The routes are there before watch has looked whether the way is alive.
            self.hears("way out lte is alive again")
            self.internet.ip("address", "add", f"{WAN.address}/{WAN.prefix}", "dev", "eth0")
            self.hears("way out wan is in use again")
            self.takes("wan")
            self.assert_closed_to_the_line()
            # The kernel does the same by itself where only the carrier goes.
        self.internet.ip("link", "set", "eth0", "down")
        self.takes("lte")
        self.internet.ip("link", "set", "eth0", "up")
        self.takes("wan")
        self.camfw("prove", "--live")
        # The control: without a firewall each of what did not pass does.
        self.camfw("open")
        self.open_router()
        self.router.write_sysctl("net.ipv4.conf.ppp0.rp_filter", "0")
        for target in (example.LAPTOP.address, example.CAMERA.address):
            self.assertTrue(probes.tcp(self.lte, target, PORT), target)

    def assert_closed_to_the_line(self) -> None:
        """What no line of the file allows, by the modem's line."""
        for target, port in ((example.LAPTOP.address, PORT), (example.CAMERA.address, PORT), (PPP_OWN, 22)):
            self.assertFalse(probes.tcp(self.lte, target, port, wait=0.5), target)
        self.assertFalse(probes.tcp(self.camera, SERVER, PORT, wait=0.5))


@both_backends
class Leased(Ways):
    """Both ways by DHCP, each with a server of its own."""

    def serve(self, host: Namespace, own: str) -> None:
        network = own.rpartition(".")[0]
        leases = self.scratch / f"leases-{network}"
        leases.touch(mode=0o666)
        self.scratch.chmod(0o755)
        process = host.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--port=0",
            "--conf-file=/dev/null", "--interface=eth0", "--no-ping",
            f"--dhcp-range={network}.50,{network}.60,255.255.255.0,2m", f"--dhcp-option=3,{own}",
            f"--dhcp-leasefile={leases}", "--pid-file=", "--user=root",
        ])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def leased(self, interface: str) -> str:
        shown = self.router.run(["ip", "-4", "-br", "address", "show", "dev", interface], check=True).stdout
        found = re.search(r"([\d.]+)/24", shown)
        return found[1] if found else ""

    def client(self, interface: str) -> int:
        return int((self.scratch / "run" / f"camfw-udhcpc-{interface}.pid").read_text())

    def end_clients(self) -> None:
        for file in (self.scratch / "run").glob("camfw-udhcpc-*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)

    def test_a_way_whose_lease_is_lost_is_left_and_taken_again(self) -> None:
        busybox = shutil.which("busybox", path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert busybox is not None, "tests/lab/install installs busybox"
        (self.program.tools / "udhcpc").symlink_to(busybox)
        self.serve(self.internet, WAN.address)
        self.serve(self.lte, LTE.address)
        self.addCleanup(self.end_clients)
        self.boot(zone("wan", WAN, 'address = "dhcp"'), zone("lte", LTE, 'address = "dhcp"', "metric = 100"),
                  LINES, MASQUERADE)
        self.assertTrue(wait_until(lambda: bool(self.leased("eth0") and self.leased("eth5"))), "two leases")
        routes = self.router.run(["ip", "-4", "route", "show", "default"], check=True).stdout
        self.assertRegex(routes, rf"default via {WAN.address} dev eth0 proto \S+ *\n")
        self.assertRegex(routes, rf"default via {LTE.address} dev eth5 proto \S+ metric 100 *\n")
        with self.program.watching():
            self.takes("wan")
            # What follows of an address is made once there is one.
            for host, interface in ((self.internet, "eth0"), (self.lte, "eth5")):
                self.assertTrue(wait_until(lambda h=host, i=interface: self.answers_on(h, self.leased(i))),  # type: ignore[misc]
                                interface)
            self.camfw("status")
            os.kill(self.client("eth0"), signal.SIGUSR2)
            self.hears("way out lte is in use, since wan is not alive: nobody gave it an address and a router")
            self.takes("lte")
            self.camfw("status")
            self.assert_closed()
            os.kill(self.client("eth0"), signal.SIGUSR1)
            self.hears("way out wan is in use again")
            self.takes("wan")
            self.assertTrue(wait_until(lambda: self.answers_on(self.internet, self.leased("eth0"))))
            # A lease that is renewed meanwhile takes nothing back.
            self.internet.ip("address", "flush", "dev", "eth0")
            self.hears(f"its router {WAN.address} does not answer")
            self.takes("lte")
            self.internet.ip("address", "add", f"{WAN.address}/{WAN.prefix}", "dev", "eth0")
            os.kill(self.client("eth0"), signal.SIGUSR1)
            self.assertEqual(self.taken(), "lte")
            self.camfw("status")
        self.camfw("prove", "--live")
