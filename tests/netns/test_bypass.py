"""What carries frames past the firewall is reported, refused by apply, and shut down by
seal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator

from lab import example, probes
from lab.capture import Capture
from lab.namespace import Namespace
from lab.probes import wait_until
from netns.network import NetworkTest
from netns.program import LONG

# bpf(2): the numbers of include/uapi/linux/bpf.h.
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
BPF_PROG_LOAD, BPF_LINK_CREATE, BPF_PROG_TYPE_XDP, BPF_XDP = 5, 28, 6, 37


def bpf(command: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, 128)
    fd = int(libc.syscall(SYS_BPF, command, buffer, 128))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"bpf({command})")
    return fd


class BypassLegacy(NetworkTest):
    """Every bypass that this kernel supports, created by another program."""

    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.camfw("status")

    def assert_told(self, *words: str) -> None:
        """Checks that status and apply name it with advice, and that apply changes
        nothing."""
        lines = [line for line in self.camfw("status", expect=1).stdout.splitlines() if "past the firewall" in line
                 or "before the firewall" in line]
        self.assertTrue(any(all(word in line for word in words) for line in lines), f"{words}: {lines}")
        before = self.tables.snapshot()
        self.change_config('rate = "10/minute"', 'rate = "20/minute"')
        refused = self.camfw("apply", expect=2).said
        self.change_config('rate = "20/minute"', 'rate = "10/minute"')
        for word in words:
            self.assertIn(word, refused)
        self.assertEqual(self.tables.snapshot(), before)

    def assert_nothing_told(self) -> None:
        self.camfw("apply")
        self.camfw("status")

    def crosses(self, wait: float = 2) -> bool:
        """Whether a frame built by the camera arrives at the internet host."""
        with Capture(self.internet, "udp and dst port 4242") as internet, \
                self.camera.socket(kind=socket.SOCK_DGRAM) as sender:
            self.camera.ip("neigh", "replace", "192.168.8.77", "lladdr", example.INTERNET.mac, "dev", "eth0")
            return wait_until(lambda: bool(sender.sendto(b"x", ("192.168.8.77", 4242))) and internet.count() > 0, wait)

    @contextlib.contextmanager
    def bridge(self) -> Iterator[None]:
        self.router.ip(batch="""
            link add br9 type bridge
            link set br9 up
            link set eth0 master br9
            link set eth1 master br9
        """)
        # Bridged frames pass the FORWARD chain if br_netfilter is loaded; this test is
        # about the bridge alone.
        with contextlib.suppress(OSError):
            self.router.write_sysctl("net.bridge.bridge-nf-call-iptables", "0")
        yield
        self.router.ip("link", "del", "br9")

    def test_a_bridge_over_two_zones(self) -> None:
        self.assertFalse(self.crosses(0.5))
        with self.bridge():
            self.assertTrue(self.crosses(), "control: the bridge carries it")
            self.assert_told("eth0", "port of bridge br9", "ip link set eth0 nomaster")
            self.assert_told("eth1", "port of bridge br9")
        self.assert_nothing_told()

    def test_seal_is_true_on_layer_two(self) -> None:
        with self.bridge():
            self.assertTrue(self.crosses(), "control: the bridge carries it")
            self.assertIn("br9", self.camfw("seal").said)
            self.assertFalse(self.crosses(0.5))
            self.assertIn("SEALED", self.camfw("status", expect=3).stdout)
            # Another program sets the links up again.
            self.router.ip(batch="link set eth0 up\nlink set eth1 up")
            self.assertTrue(self.crosses(), "control: they carry it")
            said = self.camfw("status", expect=4).stdout
            self.assertIn("UNSEALED", said)
            self.assertIn("eth1: it is a port of bridge br9", said)
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))

    def test_a_boot_that_finds_one_stays_sealed_and_says_why(self) -> None:
        with self.bridge():
            said = self.camfw("boot", expect=3).said
            self.assertIn("eth1: it is a port of bridge br9", said)
            self.assertFalse(self.crosses(0.5))

    def test_watch_tells_it(self) -> None:
        with self.program.watching(), self.bridge():
            self.assertTrue(self.hears("eth1: it is a port of bridge br9"))

    def test_macvlan_and_macvtap(self) -> None:
        for kind in ("macvlan", "macvtap"):
            with self.subTest(kind):
                self.router.ip("link", "add", "link", "eth1", "name", "up0", "type", kind)
                self.assert_told("eth1", f"{kind} up0")
                self.router.ip("link", "del", "up0")
                self.assert_nothing_told()

    def test_a_macvlan_in_another_namespace(self) -> None:
        with Namespace("other") as other:
            self.router.ip("link", "add", "link", "eth1", "name", "up0", "netns", other.name,
                           "address", "02:00:00:00:77:01", "type", "macvlan", "mode", "bridge")
            other.ip(batch="link set up0 up\naddress add 192.168.8.77/24 dev up0")
            self.assertTrue(probes.ping(self.camera, "192.168.8.77"), "control: it is reached")
            self.assert_told("eth1", "02:00:00:00:77:01", "another network namespace")
        self.assertTrue(wait_until(lambda: self.program.run("status").code == 0))

    def test_a_port_that_the_files_bridge_does_not_have(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1"], name = "br-cam" }')
        self.router.ip("address", "flush", "dev", "eth1")
        self.camfw("apply")
        self.camfw("status")
        self.router.ip("link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
        self.router.ip("link", "set", "eth7", "master", "br-cam")
        told = self.camfw("status", expect=1).stdout
        self.assertIn("interface br-cam: eth7 is a port of it that the file does not name", told)
        # It is camfw's own bridge, so that it is taken out.
        self.assertIn("not so: interface eth7: take it out of br-cam", told)
        self.camfw("apply")
        self.camfw("status")
        self.assertNotIn("master", self.router.run(["ip", "link", "show", "eth7"], check=True).stdout)

    def test_a_port_that_a_bridge_of_others_has_beside_the_files(self) -> None:
        self.router.ip(batch="""
            link add br-cam type bridge
            link add eth7 type veth peer name eth8
            link set eth7 master br-cam
        """)
        self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1"], name = "br-cam" }')
        refused = self.camfw("apply", expect=2).said
        self.assertIn("interface br-cam: eth7 is a port of it that the file does not name", refused)
        self.assertIn("nothing was changed", refused)
        self.assertIn(" master br-cam ", self.router.run(["ip", "link", "show", "eth7"], check=True).stdout)

    def test_a_bridge_of_an_earlier_file_lets_its_port_go(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1"], name = "br-cam" }')
        self.camfw("apply")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
        self.change_config('interface = { bridge = ["eth1"], name = "br-cam" }', 'interface = "eth1"')
        self.assertIn("interface eth1: take it out of br-cam", self.camfw("apply", "--dry-run").stdout)
        self.camfw("apply")
        self.camfw("status")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
        self.assertEqual(self.traced("apply"), [])

    def test_a_policy_that_was_not_confirmed_goes_back_all_the_same(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1"], name = "br-cam" }')
        self.camfw("apply", "--confirm", LONG)
        with self.bridge_of("eth0"):
            self.program.reach_the_deadline()
            self.assertTrue(self.hears("goes back to the last good policy"))
            self.assertTrue(wait_until(lambda: "last good policy is in force" in self.program.run("status").stdout))
            self.assertTrue(wait_until(lambda: bool(probes.ping(self.camera, example.CAMERA.router, 1))))
            self.assertIn("eth0: it is a port of bridge br9", self.camfw("status", expect=1).stdout)

    @contextlib.contextmanager
    def bridge_of(self, port: str) -> Iterator[None]:
        self.router.ip(batch=f"link add br9 type bridge\nlink set {port} master br9")
        yield
        self.router.ip("link", "del", "br9")

    def tc(self, *arguments: str) -> None:
        self.router.run(["tc", *arguments], check=True)

    def test_a_redirect_by_traffic_control(self) -> None:
        self.tc("qdisc", "add", "dev", "eth1", "clsact")
        self.tc("filter", "add", "dev", "eth1", "ingress", "protocol", "ip", "u32", "match", "u32", "0", "0",
                "flowid", "1:1")
        self.assert_nothing_told()
        for hook in ("ingress", "egress"):
            with self.subTest(hook):
                self.tc("filter", "add", "dev", "eth1", hook, "protocol", "all", "prio", "9", "u32", "match", "u32",
                        "0", "0", "action", "mirred", "egress", "redirect", "dev", "eth0")
                if hook == "ingress":
                    self.assertTrue(self.crosses(), "control: it is redirected")
                self.assert_told("eth1", "traffic control filter (u32)")
                self.tc("filter", "del", "dev", "eth1", hook, "prio", "9")
                self.assert_nothing_told()

    def test_a_route_that_sends_packets_on_before_the_firewall(self) -> None:
        # By an interface that the file does not name, in the family that it does not speak of, and as the kernel's own.
        self.router.ip(batch="link add other9 type ifb\nlink set other9 up")
        route = ("fd00:99::1/128", "encap", "seg6local", "action", "End", "dev", "other9")
        for more in ((), ("proto", "kernel")):
            with self.subTest(more=more):
                self.router.ip("-6", "route", "add", *route, *more)
                told = self.camfw("status", expect=1).stdout
                self.assertIn("unicast route fd00:99::1/128 on other9, table 254 is not ours: encap seg6local sends its packets on "
                              "past the firewall; remove it: ip route del fd00:99::1/128 table 254", told)
                self.router.ip("route", "del", "fd00:99::1/128", "table", "254")
                self.camfw("status")

    def nft(self, text: str) -> None:
        self.router.run(["nft", "-f", "-"], input=text, check=True)

    def test_a_table_of_devices_that_sends_frames_on(self) -> None:
        self.nft('table netdev other { chain c { type filter hook ingress device "eth1" priority 0; '
                 'udp dport 4242 fwd to "eth0"; }; }')
        self.assertTrue(self.crosses(), "control: it is sent on")
        self.assert_told("eth1", "table netdev other of nftables", "nft delete table netdev other")
        self.assertIn("netdev other", self.camfw("seal").said)
        self.assertFalse(self.crosses(0.5))
        self.camfw("status", expect=3)
        self.router.ip("link", "set", "eth1", "up")
        self.assertTrue(self.crosses(), "control: it is sent on")
        self.assertIn("UNSEALED", self.camfw("status", expect=4).stdout)
        self.nft("delete table netdev other")
        self.assert_nothing_told()

    def test_a_macvlan_that_takes_all_in_another_namespace(self) -> None:
        note = "note: interface eth1: something takes every frame on it"
        with Namespace("other") as other:
            self.router.ip("link", "add", "link", "eth1", "name", "up0", "netns", other.name,
                           "type", "macvlan", "mode", "passthru")
            other.ip(batch="link set up0 up\naddress add 192.168.8.1/24 dev up0")
            self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "control: the other one answers")
            self.assertIn(note, self.camfw("status").stdout)
            self.assertIn("eth1: something takes every frame", self.camfw("seal").said)
            self.assertFalse(probes.ping(self.camera, example.CAMERA.router, 0.5))
        self.assertTrue(wait_until(lambda: self.program.run("apply").code == 0))
        self.assertNotIn(note, self.camfw("status").stdout)

    def test_a_program_of_traffic_control(self) -> None:
        self.tc("qdisc", "add", "dev", "eth1", "clsact")
        self.tc("filter", "add", "dev", "eth1", "ingress", "bpf", "bytecode", "1,6 0 0 0", "flowid", "1:1")
        self.assert_told("eth1", "traffic control filter (bpf)")

    def test_a_redirect_by_the_class_of_a_shaper(self) -> None:
        self.tc("qdisc", "add", "dev", "eth1", "root", "handle", "1:", "htb")
        self.tc("class", "add", "dev", "eth1", "parent", "1:", "classid", "1:1", "htb", "rate", "100mbit")
        self.tc("class", "add", "dev", "eth1", "parent", "1:1", "classid", "1:2", "htb", "rate", "100mbit")
        self.tc("filter", "add", "dev", "eth1", "parent", "1:", "protocol", "ip", "u32", "match", "u32", "0", "0",
                "flowid", "1:1")
        self.assert_nothing_told()
        self.tc("filter", "add", "dev", "eth1", "parent", "1:1", "protocol", "all", "prio", "9", "u32", "match",
                "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", "eth0")
        self.assert_told("eth1", "traffic control filter (u32)")

    def test_a_shaper_of_what_comes_in(self) -> None:
        self.router.ip(batch="link add ifb9 type ifb\nlink set ifb9 up")
        self.tc("qdisc", "add", "dev", "eth1", "ingress")
        self.tc("filter", "add", "dev", "eth1", "parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0",
                "action", "mirred", "egress", "redirect", "dev", "ifb9")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
        self.assert_nothing_told()

    def test_an_xdp_program(self) -> None:
        # r0 = XDP_PASS; exit
        code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))
        licence = ctypes.create_string_buffer(b"GPL")
        program = bpf(BPF_PROG_LOAD, struct.pack(
            "=IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence)))
        with self.router.entered():
            index = socket.if_nametoindex("eth1")
            link = bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, index, BPF_XDP, 2))
        self.assert_told("eth1", "XDP")
        os.close(link)
        os.close(program)
        self.assertTrue(wait_until(lambda: self.program.run("status").code == 0))
        self.assert_nothing_told()
