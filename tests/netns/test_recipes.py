"""The recipes that need other hosts, another family or another hour than test_docs has, each carried out as it
stands in docs/recipes.md."""

from __future__ import annotations

import ipaddress
import re
import secrets
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from lab import dns, probes
from lab.hosts import INTERFACE, Wiring
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import Listener
from netns.case import both_backends
from netns.recipes import HOUSE, INTERNET, PORCH, PORCH_MAC, RECORDER, Party, RecipeTest, recipe
from netns.test_timezone import data

DNSMASQ = str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"))
HTTP, RTSP, DISCOVERY = 80, 554, 3702
# How long nothing must arrive.
SHORT = 1.0


def local(day: int, hour: int) -> tuple[int, int]:
    """The seasons of a zone in which it now is this day of a week (Monday is 0) and this hour."""
    now = datetime.now(UTC).replace(microsecond=0)
    monday = now.replace(hour=0, minute=0, second=0) - timedelta(days=now.weekday())
    return 0, int((monday + timedelta(days=day, hours=hour) - now).total_seconds())


@both_backends
class ByDay(RecipeTest):
    """The hours of the recipe. The machine's clock is left as it is: the zone's data say what it is in Berlin."""

    def setUp(self) -> None:
        super().setUp()
        self.zones = self.scratch / "zones"
        (self.zones / "Europe").mkdir(parents=True)
        self.drop_in("")
        self.boot_with_a_lease()
        self.drop_in(recipe("Only by day").block())
        self.addCleanup(Listener(self.camera, [HTTP, RTSP]).stop)

    def apply_at(self, day: int, hour: int) -> None:
        (self.zones / "Europe/Berlin").write_bytes(data(local(day, hour)))
        self.camfw("apply", before=("/usr/bin/env", f"TZDIR={self.zones}"))

    def reaches(self, wait: float = SHORT) -> bool:
        return bool(probes.tcp(self.laptop, PORCH.address, HTTP, wait))

    def test_the_house_looks_by_day_alone(self) -> None:
        wednesday, friday, saturday, sunday = 2, 4, 5, 6
        self.apply_at(wednesday, 12)
        self.assertTrue(self.reaches(probes.PATIENCE))
        with self.laptop.socket() as connection:
            connection.settimeout(probes.PATIENCE)
            connection.connect((PORCH.address, HTTP))
            connection.sendall(b"by day")
            self.assertEqual(connection.recv(100), b"by day")
            for day, hour in ((wednesday, 3), (friday, 21), (saturday, 12), (sunday, 12)):
                with self.subTest(day=day, hour=hour):
                    self.apply_at(day, hour)
                    self.assertFalse(self.reaches())
                    # What has no hours passes, and what was open goes on.
                    self.assertTrue(probes.tcp(self.laptop, PORCH.address, RTSP))
                    connection.sendall(b"goes on")
                    self.assertEqual(connection.recv(100), b"goes on")
        self.apply_at(friday, 7)
        self.assertTrue(self.reaches(probes.PATIENCE))

    def test_it_is_the_hour_in_berlin(self) -> None:
        # With the machine's own data, at whatever hour this runs.
        def by_day(ahead: timedelta) -> bool:
            there = datetime.now(ZoneInfo("Europe/Berlin")) + ahead
            return there.weekday() < 5 and 6 <= there.hour < 20

        while by_day(timedelta()) != by_day(timedelta(seconds=30)):
            time.sleep(1)
        self.camfw("apply")
        self.assertEqual(self.reaches(probes.PATIENCE if by_day(timedelta()) else SHORT), by_day(timedelta()))
        self.assertIn("local time of Europe/Berlin", self.camfw("status").stdout)


class BySix(RecipeTest):
    """A base class without tests: the house makes its IPv6 addresses of what the real dnsmasq on the router says,
    by what `camfw show dnsmasq` prints."""

    def serve(self, host: Namespace, *arguments: str) -> None:
        server = host.start([
            DNSMASQ, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--leasefile-ro", "--dhcp-leasefile=/dev/null",
            "--pid-file=", "--user=root", *arguments])
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

    def advertise_to_the_house(self) -> str:
        """The address that the house makes."""
        config = self.scratch / "dnsmasq.conf"
        config.write_text(self.camfw("show", "dnsmasq").stdout)
        self.serve(self.router, f"--conf-file={config}")
        self.laptop.ip("-6", "address", "flush", "dev", INTERFACE, "scope", "global")
        self.laptop.ip("-6", "route", "flush", "default")
        self.laptop.write_sysctl("net.ipv6.conf.eth0.accept_ra", "1")
        self.laptop.write_sysctl("net.ipv6.conf.eth0.router_solicitation_interval", "1")
        self.laptop.ip("link", "set", INTERFACE, "down")
        self.laptop.ip("link", "set", INTERFACE, "up")
        self.laptop.ip("route", "replace", "default", "via", HOUSE.router)
        self.laptop.ip("route", "replace", f"{PORCH.address}/32", "via", HOUSE.router, "src", RECORDER)
        self.assertTrue(wait_until(lambda: self.made(self.laptop, INTERFACE) != ""), "the house makes an address")
        self.assertTrue(wait_until(lambda: "proto ra" in self.laptop.run(["ip", "-6", "route", "show", "default"]).stdout))
        return self.made(self.laptop, INTERFACE)

    def give_the_cameras_ipv6(self) -> None:
        """The router has IPv6 in the camera's network, and forwards it."""
        for interface in ("all", PORCH.interface):
            self.router.write_sysctl(f"net.ipv6.conf.{interface}.disable_ipv6", "0")
        self.router.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.router.ip("address", "add", f"{PORCH.router6}/64", "dev", PORCH.interface, "nodad")
        # Whom it asked for in vain it asks for anew.
        self.camera.ip("neigh", "flush", "dev", INTERFACE)

    def made(self, host: Namespace, interface: str) -> str:
        """The address that a host made; nothing without one."""
        shown = host.run(["ip", "-6", "address", "show", "dev", interface, "scope", "global", "dynamic", "-tentative"]).stdout
        found = re.search(r"inet6 (\S+)/64", shown)
        return found[1] if found else ""


@both_backends
class HouseBySix(BySix):
    def test_the_house_has_ipv6_and_the_cameras_do_not(self) -> None:
        wanted = recipe("The house has IPv6")
        self.drop_in(wanted.block())
        self.boot_with_a_lease()
        house = self.advertise_to_the_house()
        self.assertIn(ipaddress.ip_address(house), ipaddress.ip_network("fd00:5::/64"))
        self.parties |= {
            "house": Party(self.laptop, house, "fd00:5::1"),
            "porch": Party(self.camera, PORCH.address6, PORCH.router6),
        }
        # The house asks dnsmasq itself for names.
        rows = [row for row in wanted.rows if row.port != 53]
        self.listen(rows, socket.AF_INET6)
        self.assert_rows(rows, wanted.title)
        [names] = [row for row in wanted.rows if row.port == 53]
        self.assertEqual((names.source, names.target, names.passes), ("house", "router", True))
        self.assertEqual(dns.ask(self.laptop, "fd00:5::1", "porch"), dns.Answer(dns.NO_ERROR, PORCH.address))
        # By IPv4 all is as it was.
        self.assertTrue(probes.tcp(self.laptop, PORCH.address, RTSP))
        self.camfw("status")
        # The control: without a firewall, and where the camera's network has IPv6.
        self.without_a_firewall()
        self.give_the_cameras_ipv6()
        self.assert_pass(rows)


@both_backends
class CameraBySix(BySix):
    """The drive's camera is the one on the cameras' wire, and the recorder the house's host by another address."""

    mac, address, recorder = "00:11:22:33:44:07", "fd00:8::17", "fd00:5::20"

    def setUp(self) -> None:
        super().setUp()
        self.wear(self.mac, self.address)
        self.laptop.ip("address", "add", f"{self.recorder}/64", "dev", INTERFACE, "nodad")

    def wear(self, mac: str, address: str) -> None:
        """Gives the camera this hardware address, and no other address than this one."""
        self.camera.ip("address", "flush", "dev", INTERFACE, "scope", "global")
        self.camera.ip("link", "set", INTERFACE, "address", mac)
        self.camera.ip("address", "add", f"{address}/64", "dev", INTERFACE, "nodad")
        self.camera.ip("-6", "route", "replace", "default", "via", PORCH.router6)

    def be(self, name: str) -> None:
        """Which of its addresses the house's host has towards the camera."""
        own = {"recorder": self.recorder, "house": HOUSE.address6}[name]
        self.laptop.ip("-6", "route", "replace", f"{self.address}/128", "via", HOUSE.router6, "src", own)

    def test_a_camera_has_an_ipv6_address(self) -> None:
        wanted = recipe("Cameras have IPv6 addresses")
        self.drop_in(wanted.block())
        self.boot_with_a_lease()
        self.parties = {
            "drive": Party(self.camera, self.address, PORCH.router6),
            "house": Party(self.laptop, HOUSE.address6, HOUSE.router6),
            "recorder": Party(self.laptop, self.recorder, HOUSE.router6),
        }
        self.listen(wanted.rows, socket.AF_INET6)
        of_house = [row for row in wanted.rows if row.source == "house"]
        others = [row for row in wanted.rows if row.source != "house"]
        self.be("recorder")
        self.assert_rows(others, wanted.title)
        self.be("house")
        self.assert_rows(of_house, wanted.title)
        self.camfw("status")
        # Another device with that address is not heard.
        self.be("recorder")
        [fetches] = [row for row in wanted.rows if row.passes]
        self.wear(PORCH_MAC, self.address)
        self.assertFalse(probes.tcp(self.laptop, self.address, fetches.port, SHORT))
        # The control.
        self.wear(self.mac, self.address)
        self.without_a_firewall()
        self.router.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.assert_pass(others)
        self.be("house")
        self.assert_pass(of_house)


@both_backends
class OutBySix(BySix):
    """The provider is the internet's host: DHCP, router advertisements, and a server behind it."""

    # One that nobody has as a bogon.
    SERVER6 = "2600::1"

    def test_the_house_gets_out_and_nobody_in(self) -> None:
        wanted = recipe("The internet's IPv6 comes by router advertisement")
        self.internet.ip("address", "add", f"{self.SERVER6}/128", "dev", "lo")
        self.drop_in(wanted.block())
        self.boot_with_a_lease()
        self.serve(self.internet, "--conf-file=/dev/null", "--port=0", f"--interface={INTERFACE}", "--enable-ra",
                   "--dhcp-range=fd00::,ra-only,64", f"--ra-param={INTERFACE},4,1800")
        self.assertTrue(wait_until(lambda: self.made(self.router, "eth0") != ""), "the router makes an address")
        own = self.made(self.router, "eth0")
        self.internet.ip("-6", "route", "replace", "default", "via", own, "dev", INTERFACE)
        house = self.advertise_to_the_house()
        self.assertIn(ipaddress.ip_address(house), ipaddress.ip_network("2001:db8:5::/64"))
        self.parties |= {
            "internet": Party(self.internet, self.SERVER6, own),
            "house": Party(self.laptop, house, "2001:db8:5::1"),
            "porch": Party(self.camera, PORCH.address6, PORCH.router6),
        }
        # dnsmasq has the router's port 53 in the house; from outside nobody is to reach anything there.
        with Listener(self.router, tcp=[22, 443], family=socket.AF_INET6) as router:
            hosts = {name: self.enterContext(Listener(host, [22, 443], [53], socket.AF_INET6))
                     for name, host in (("internet", self.internet), ("house", self.laptop), ("porch", self.camera))}
            self.listeners |= {**hosts, "router": router}
            rows = [row for row in wanted.rows if (row.target, row.port) != ("router", 53)]
            self.assertEqual(len(rows), len(wanted.rows) - 1)
            self.assert_rows(rows, wanted.title)
            self.assertIsNone(dns.ask(self.internet, own, "porch", wait=SHORT))
            # IPv4 is as it was.
            self.assertTrue(probes.ping(self.laptop, HOUSE.router))
            self.camfw("status")
            self.camfw("prove", "--live")
            # The control: without a firewall, and where the camera's network has IPv6.
            self.without_a_firewall()
            self.give_the_cameras_ipv6()
            self.assert_pass(rows)


def on_the_switch(name: str, interface: str, last: int) -> Wiring:
    return Wiring(name, interface, f"192.168.8.{last}", 24, router=PORCH.router,
                  address6=f"fd00:8::{last}", router6=PORCH.router6)


# As the page's file and the recipe have them.
GARAGE, GARAGE_MAC = on_the_switch("garage", "eth3", 12), "00:11:22:33:44:02"
SWITCHED, SWITCHED_MAC = on_the_switch("recorder", "eth4", 20), "00:11:22:33:44:20"
GROUP = "239.255.255.250"


@both_backends
class Switched(RecipeTest):
    """Two cameras and a recorder on three ports of the router."""

    wirings = (INTERNET, PORCH, HOUSE, GARAGE, SWITCHED)

    def setUp(self) -> None:
        super().setUp()
        self.garage, self.switched = (self.lab.hosts[name].namespace for name in ("garage", "recorder"))
        for host, mac in ((self.garage, GARAGE_MAC), (self.switched, SWITCHED_MAC)):
            host.ip("link", "set", INTERFACE, "address", mac)
        # What the house opens to a camera is the recorder's.
        self.laptop.ip("route", "replace", f"{GARAGE.address}/32", "via", HOUSE.router, "src", RECORDER)
        self.parties["garage"] = Party(self.garage, GARAGE.address, GARAGE.router)

    def not_isolated(self) -> None:
        for port in ("eth1", "eth3"):
            self.router.run(["bridge", "link", "set", "dev", port, "isolated", "off"], check=True)
        # Whom they asked for in vain they ask for anew.
        for host in (self.camera, self.garage):
            host.ip("neigh", "flush", "dev", INTERFACE)

    def carry_out(self, title: str) -> None:
        wanted = recipe(title)
        self.drop_in(wanted.block())
        self.boot_with_a_lease()
        self.listen(wanted.rows)
        self.assert_rows(wanted.rows, title)
        self.camfw("status")
        self.camfw("prove", "--live")
        # The control: the rest is stopped by the rules, and the cameras are kept apart by the bridge as well.
        cameras = {"porch", "garage"}
        apart = [row for row in wanted.rows if {row.source, row.target} == cameras]
        self.assertEqual(len(apart), 2)
        self.without_a_firewall()
        self.assert_pass([row for row in wanted.rows if row not in apart])
        self.assert_rows(apart, "without a firewall")
        self.not_isolated()
        self.assert_pass(apart, "on ports that are not isolated")

    def test_cameras_that_cannot_reach_each_other(self) -> None:
        self.carry_out("Cameras that cannot reach each other")

    def test_a_recorder_among_the_cameras(self) -> None:
        self.parties["recorder"] = Party(self.switched, SWITCHED.address, SWITCHED.router)
        self.carry_out("A recorder among the cameras")

    def listening(self, host: Namespace) -> socket.socket:
        """A camera that answers who looks for cameras (WS-Discovery: SOAP over UDP multicast)."""
        with host.entered():
            camera = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            camera.bind(("", DISCOVERY))
            member = socket.inet_aton(GROUP) + socket.inet_aton("0.0.0.0")
            camera.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self.addCleanup(camera.close)
        return camera

    def test_the_recorder_finds_the_cameras_by_itself(self) -> None:
        self.drop_in(recipe("A recorder among the cameras").block())
        self.boot_with_a_lease()
        cameras = {wiring.address: self.listening(host) for wiring, host in ((PORCH, self.camera), (GARAGE, self.garage))}

        def look(host: Namespace, wiring: Wiring) -> set[str]:
            """Whom a host finds among those that are cameras."""
            token = secrets.token_bytes(16)
            with host.socket(kind=socket.SOCK_DGRAM) as client:
                client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(wiring.address))
                client.sendto(token, (GROUP, DISCOVERY))
                for address, camera in cameras.items():
                    camera.settimeout(SHORT)
                    try:
                        while (asked := camera.recvfrom(100))[0] != token:
                            pass
                        if address != wiring.address:
                            camera.sendto(token, asked[1])
                    except TimeoutError:
                        pass
                client.settimeout(SHORT)
                found = set()
                try:
                    while True:
                        found.add(client.recvfrom(100)[1][0])
                except TimeoutError:
                    return found

        self.assertTrue(wait_until(lambda: look(self.switched, SWITCHED) == set(cameras)), "the recorder finds both")
        self.assertEqual(look(self.camera, PORCH), set())
        self.assertEqual(look(self.garage, GARAGE), set())
        # No router passes it on.
        self.assertEqual(look(self.laptop, HOUSE), set())
        # The control.
        self.not_isolated()
        self.assertTrue(wait_until(lambda: look(self.camera, PORCH) == {GARAGE.address}))
