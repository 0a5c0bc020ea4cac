"""The example's policy, tested with real clients and a scan of every port."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from lab import example, probes, table, traffic
from lab.capture import Capture
from lab.services import FtpServer, HttpServer, Listener
from lab.stations import Station
from netns.case import RouterTest, both_backends

MEGABYTE = 1 << 20
# Ports besides those in the policy: services that are often left running, the
# neighbours of allowed ports, and both ends of the range.
LISTENING = frozenset({
    1, 20, 21, 22, 23, 25, 53, 80, 111, 139, 443, 445, 554, 631, 1883, 2222, 3306, 5060, 8080,
    8554, 49152, 49999, *example.PASSIVE, 50101, 65535,
})


@both_backends
class Policy(RouterTest):
    """Every allowed flow passes, and no other."""

    def test_every_allowed_flow_passes_and_every_other_flow_does_not(self) -> None:
        with contextlib.ExitStack() as stack:
            stations = {
                name: stack.enter_context(Station(namespace, self.scratch / name))
                for name, namespace in {
                    "router": self.router, "internet": self.internet,
                    "camera": self.camera, "laptop": self.laptop,
                }.items()
            }

            def rows(attempts: list[tuple[table.Flow, bool]]) -> list[table.Row]:
                return table.try_all(
                    attempts,
                    {name: host.namespace for name, host in self.lab.hosts.items()},
                    lambda flow: stations[flow.target].at(self.lab.address(flow.source, flow.target)),
                )

            self.lab.configure_router()
            everything = [(flow, True) for flow, _ in example.attempts()]
            stopped = [row.flow for row in rows(everything) if not row.reach]
            self.assertEqual(stopped, [], "control: without a firewall each attempt gets through")
            self.camfw("boot")
            found = rows(example.attempts())
            self.assertEqual(table.deviations(found), [], "\n" + table.render(found))

    def test_scan_of_all_ports_from_each_side_finds_those_allowed(self) -> None:
        with Listener(self.router, tcp=LISTENING):
            self.lab.configure_router()
            self.assertEqual(
                probes.scan(self.camera, example.CAMERA.router, expected=LISTENING), LISTENING,
                "control: without a firewall the scan finds every listener",
            )
            self.camfw("boot")
            with ThreadPoolExecutor() as pool:
                found = {
                    host.name: pool.submit(
                        probes.scan, host.namespace, host.wiring.router, expected=example.OPEN_PORTS[host.name])
                    for host in self.lab.hosts.values()
                }
            for name, ports in found.items():
                with self.subTest(scan_from=name):
                    self.assertEqual(ports.result(), example.OPEN_PORTS[name])

    def test_scan_of_the_routers_other_addresses_finds_no_more(self) -> None:
        # The router answers on all its addresses, whatever side they are on.
        with Listener(self.router, tcp=LISTENING):
            self.camfw("boot")
            ports = ",".join(map(str, sorted(LISTENING)))
            for host in self.lab.hosts.values():
                for other in self.lab.hosts.values():
                    if other is not host:
                        with self.subTest(scan_from=host.name, address=other.wiring.router):
                            found = probes.scan(host.namespace, other.wiring.router, ports)
                            self.assertLessEqual(found, example.OPEN_PORTS[host.name])

    def test_scan_through_the_router_finds_the_web_servers_alone(self) -> None:
        ports = frozenset({21, 22, 23, 25, 53, 79, 80, 81, 443, 554, 8000, 8080, 50000})
        scanned = ",".join(map(str, sorted(ports)))
        with contextlib.ExitStack() as stack:
            for host in self.lab.hosts.values():
                stack.enter_context(Listener(host.namespace, tcp=ports))
            self.lab.configure_router()
            self.assertEqual(probes.scan(self.internet, example.CAMERA.address, scanned, ports), ports, "control")
            self.camfw("boot")
            for source in self.lab.hosts.values():
                for target in self.lab.hosts.values():
                    if source is not target:
                        with self.subTest(source=source.name, target=target.name):
                            expected = {80} if source.name == "laptop" else set()
                            found = probes.scan(source.namespace, target.address, scanned, expected)
                            self.assertEqual(found, expected)

    def test_passive_ftp_upload_of_several_megabytes_arrives_whole(self) -> None:
        self.camfw("boot")
        with FtpServer(self.router, self.scratch, example.PASSIVE) as server:
            for epsv in (True, False):
                with self.subTest(command="EPSV" if epsv else "PASV"):
                    reach = probes.ftp_upload(
                        self.camera, example.CAMERA.router, size=8 * MEGABYTE + 1, epsv=epsv,
                        received=lambda name: (server.incoming / name).read_bytes(),
                    )
                    self.assertTrue(reach, reach.detail)

    def test_passive_ftp_outside_the_range_is_stopped(self) -> None:
        self.camfw("boot")
        with FtpServer(self.router, self.scratch, range(50101, 50110)):
            reach = probes.ftp_upload(self.camera, example.CAMERA.router, wait=2, transfer_seconds=3)
            self.assertFalse(reach, reach.detail)

    def test_the_router_itself_may_reach_every_host(self) -> None:
        self.camfw("boot")
        for host in self.lab.hosts.values():
            with self.subTest(host.name), Listener(host.namespace, tcp=[4711]):
                self.assertTrue(probes.tcp(self.router, host.address, 4711))

    def test_a_limit_counts_new_connections_of_each_source(self) -> None:
        self.change_config('service = "ssh"', 'service = "ssh"\nlimit = "6/minute"')
        another = "192.168.5.11"
        self.laptop.ip("address", "add", f"{another}/24", "dev", "eth0")
        tries = 20
        with Listener(self.router, tcp=[22]) as listener:
            self.camfw("boot")
            kept = self._connected(example.LAPTOP.address, tries)
            self.assertGreater(kept, 0)
            self.assertLess(kept, tries // 2, "some are over the limit")
            self.assertEqual(self._connected(another, 1), 1, "another source has a count of its own")
            self.assertTrue(probes.wait_until(lambda: listener.accepted[22] == kept + 1))

    def _connected(self, source: str, tries: int) -> int:
        """How many of these attempts get through, all in parallel."""
        with contextlib.ExitStack() as stack:
            tried = [stack.enter_context(self.laptop.socket()) for _ in range(tries)]
            for connection in tried:
                connection.bind((source, 0))
                connection.setblocking(False)
                connection.connect_ex((example.LAPTOP.router, 22))
            # Less than a second, after which a SYN would be retransmitted.
            time.sleep(0.9)
            return sum(is_connected(connection) for connection in tried)

    def test_the_laptop_is_not_masqueraded(self) -> None:
        self.camfw("boot")
        page = "a picture\n"
        with HttpServer(self.camera, self.scratch / "www", page), \
                Capture(self.camera, "tcp dst port 80") as arrived:
            reach = probes.http(self.laptop, example.CAMERA.address, page)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
            for packet in arrived.packets:
                self.assertIn(f"IP {example.LAPTOP.address}.", packet)

    def test_udp_to_a_broadcast_address_is_stopped(self) -> None:
        # ONVIF discovery and DHCP take this path.
        tries = 3
        broadcast = "192.168.8.255"
        with Listener(self.router, udp=[3702]) as listener:
            self.lab.configure_router()
            self._broadcast(broadcast, b"control", tries)
            self.assertTrue(probes.wait_until(lambda: listener.received(b"control")), "control")
            self.camfw("boot")
            self._broadcast(broadcast, b"stopped", tries)
            self.assertFalse(probes.wait_until(lambda: listener.received(b"stopped"), 1))

    def test_icmp_other_than_echo_is_stopped(self) -> None:
        # A timestamp request (13), which is answered (14) unless it is blocked.
        request = ("--icmp", "-C", "13")
        with Capture(self.camera, "icmp[icmptype] == 14") as answers:
            self.lab.configure_router()
            traffic.send(self.camera, example.CAMERA.router, kind=request)
            self.assertEqual(answers.count(expected=5), 5, "control: the router answers")
        self.camfw("boot")
        with Capture(self.camera, "icmp[icmptype] == 14") as answers:
            traffic.send(self.camera, example.CAMERA.router, kind=request)
            self.assertEqual(answers.count(), 0)

    def test_a_ping_in_fragments_passes(self) -> None:
        self.camfw("boot")
        reach = probes.ping(self.camera, example.CAMERA.router, probes.PATIENCE, "-s", "4000")
        self.assertTrue(reach, reach.detail)

    def test_tcp_that_does_not_begin_with_syn_is_stopped(self) -> None:
        # Unless they are blocked, a closed port answers each with a reset.
        scans = {"ACK": "-A", "FIN": "-F", "Xmas": "-FPU"}
        count = 3
        for firewall in (False, True):
            if firewall:
                self.camfw("boot")
            else:
                self.lab.configure_router()
            for name, flags in scans.items():
                with self.subTest(scan=name, firewall=firewall), \
                        Capture(self.camera, "tcp[tcpflags] & tcp-rst != 0") as resets:
                    traffic.send(self.camera, example.CAMERA.router, kind=(flags,), port=23, count=count)
                    expected = 0 if firewall else count
                    self.assertEqual(resets.count(expected=expected), expected)

    def _broadcast(self, address: str, token: bytes, times: int) -> None:
        with self.camera.socket(kind=socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for _ in range(times):
                sender.sendto(token, (address, 3702))


def is_connected(connection: socket.socket) -> bool:
    """Whether a non-blocking connect has succeeded."""
    try:
        connection.getpeername()
    except OSError:
        return False
    return True
