"""Owns random rules and random packets that have to do with each other.

Both come from few addresses and ports, so that rules are met, and just missed.
"""

from __future__ import annotations

from random import Random

from prove.wires import HOSTS, WIRES
from lab.frames import ICMP, TCP, UDP
from prove.packets import FLAGS, Packet

PORTS = (1, 22, 53, 79, 80, 81, 443, 1023, 1024, 8080, 50000, 65535)
MACS = ("02:00:00:00:aa:01", "02:00:00:00:aa:02", "02:00:00:00:ab:01")
# Where the link's header begins for a BPF program, and the source address in it.
SOURCE_MAC = 0xffe00000 + 6
SOURCES = tuple(f"10.{net}.0.{host}" for net in range(3) for host in (10, 11, 14, 25)) + (
    "10.1.7.1", "172.16.5.9", "8.8.8.8",
)
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "10.1.0.8/29", "10.2.0.10/32", "10.0.0.25/32", "172.16.0.0/12", "8.8.8.8/32")
RANGES = ("10.0.0.10-10.0.0.14", "10.1.0.11-10.2.0.10", "8.8.8.8-8.8.8.8")
STATES = (
    "NEW", "INVALID", "ESTABLISHED", "RELATED", "NEW,RELATED", "RELATED,ESTABLISHED", "INVALID,UNTRACKED", "UNTRACKED",
    "DNAT", "SNAT", "RELATED,DNAT",
)
ENDS = ("ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst")
# The errors of ICMP with some of their codes (RFC 792).
ERRORS = ((3, 0), (3, 1), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0))


def mac_bits(byte: int, mask: int, value: int) -> str:
    """A match on bits of the source hardware address."""
    return f'-m bpf --bytecode "5,48 0 0 {SOURCE_MAC + byte},84 0 0 {mask},21 0 1 {value},6 0 0 65535,6 0 0 0"'


class Rules:
    """A ruleset as iptables-restore reads it, of a random seed."""

    def __init__(self, random: Random, *, tracking: bool, rewriting: bool = False) -> None:
        self._random = random
        self.tracking = tracking or rewriting
        self.rewriting = rewriting
        self._hook = ""

    def text(self) -> str:
        """All tables."""
        parts = [self._table("raw", ("PREROUTING",), 3), self._table("mangle", ("PREROUTING", "FORWARD"), 4)]
        parts.append(self._table("filter", ("INPUT", "FORWARD"), self._random.choice((6, 14, 30))))
        if self.rewriting:
            parts.append(self._nat())
        return "".join(parts)

    def _table(self, name: str, hooks: tuple[str, ...], rules: int) -> str:
        random, lines = self._random, []
        lines.append(f"*{name}\n")
        for hook in hooks:
            policy = random.choice(("ACCEPT", "DROP")) if name == "filter" else "ACCEPT"
            lines.append(f":{hook} {policy} [0:0]\n")
        # Each hook has chains of its own, and chains call later ones alone.
        chains = {hook: [f"{hook[:2].lower()}{name}-{n}" for n in range(random.randint(0, 3))] for hook in hooks}
        lines += [f":{chain} - [0:0]\n" for hook in hooks for chain in chains[hook]]
        for hook in hooks:
            self._hook = hook
            for place, chain in enumerate([hook, *chains[hook]]):
                for _ in range(random.randint(1, rules)):
                    lines.append(f"-A {chain} {self._rule(name, chains[hook][place:])}\n")
        return "".join(lines) + "COMMIT\n"

    def _rule(self, table: str, below: list[str]) -> str:
        target, protocol = self._target(table, below)
        return f"{self._conditions(protocol)} {target}".strip()

    def _target(self, table: str, below: list[str]) -> tuple[str, str]:
        """A target, and the protocol that it needs."""
        random = self._random
        choices = [("-j RETURN", ""), ("", "")]
        if table == "filter":
            choices += [("-j ACCEPT", "")] * 3 + [("-j DROP", "")] * 2 + [("-j REJECT", ""), ("-j LOG", "")]
            choices.append(("-j REJECT --reject-with tcp-reset", "tcp"))
        elif table == "mangle":
            choices += [(f"-j MARK --set-xmark {random.choice((1, 2, 0x10)):#x}/0xffffffff", "")] * 3
            choices += [("-j DROP", ""), ("-j ACCEPT", "")]
        else:
            choices += [("-j DROP", ""), ("-j ACCEPT", "")]
            if self.tracking:
                choices.append(("-j CT --notrack", ""))
        choices += [(f"-j {chain}", "") for chain in below] * 2 + [(f"-g {chain}", "") for chain in below]
        return random.choice(choices)

    def _not(self) -> str:
        return "! " if self._random.random() < 0.3 else ""

    def _conditions(self, protocol: str) -> str:
        random = self._random
        words: list[str] = []
        if random.random() < 0.4:
            words.append(f"{self._not()}-s {random.choice(NETWORKS)}")
        if random.random() < 0.3:
            words.append(f"{self._not()}-d {random.choice(NETWORKS)}")
        if self._hook != "POSTROUTING" and random.random() < 0.3:
            words.append(f"{self._not()}-i {random.choice((*WIRES, 'eth+', 'wlan0'))}")
        if self._hook in ("FORWARD", "POSTROUTING") and random.random() < 0.3:
            words.append(f"{self._not()}-o {random.choice((*WIRES, 'eth+', 'wlan0'))}")
        protocol = protocol or random.choice(("", "", "tcp", "tcp", "udp", "icmp", "50", "253", "! tcp", "! icmp"))
        if protocol.startswith("! "):
            words.append(f"! -p {protocol[2:]}")
        elif protocol:
            words.append(f"-p {protocol}")
        words += self._of_protocol(protocol)
        words += self._others()
        return " ".join(words)

    def _range(self) -> str:
        # Not all ports there are: of those iptables-save 1.8.9 prints nothing, be
        # they negated or not (print_port in extensions/libxt_tcp.c).
        first, last = sorted(self._random.sample(PORTS[:-1], 2))
        return self._random.choice((str(first), f"{first}:{last}", f":{last}", f"{first}:"))

    def _of_protocol(self, protocol: str) -> list[str]:
        random, words = self._random, []
        if protocol in ("tcp", "udp"):
            if random.random() < 0.5:
                words.append(f"-m {protocol} {self._not()}--dport {self._range()}")
            if random.random() < 0.2:
                words.append(f"-m {protocol} {self._not()}--sport {self._range()}")
            if random.random() < 0.3:
                ports = random.sample(PORTS, 3)
                side = random.choice(("dports", "sports", "ports"))
                words.append(f"-m multiport {self._not()}--{side} {ports[0]},{min(ports[1:])}:{max(ports[1:])}")
        if protocol == "tcp" and random.random() < 0.4:
            mask = random.sample(FLAGS, random.randint(1, 6))
            on = random.sample(mask, random.randint(0, len(mask)))
            words.append(f"-m tcp {self._not()}--tcp-flags {','.join(mask)} {','.join(on) or 'NONE'}")
        if protocol == "icmp" and random.random() < 0.8:
            kind = random.choice(("8", "0", "3", "3/1", "5", "11/0", "12", "13", "any", "destination-unreachable"))
            # An `any` that must not be is refused by some versions.
            words.append(f"-m icmp {'' if kind == 'any' else self._not()}--icmp-type {kind}")
        return words

    def _others(self) -> list[str]:
        random, words = self._random, []
        if self.tracking and random.random() < 0.3:
            module = random.choice(("conntrack --ctstate", "state --state"))
            name, option = module.split()
            # The old match knows nothing of what is rewritten.
            states = random.choice(STATES if name == "conntrack" else STATES[:-3])
            words.append(f"-m {name} {self._not()}{option} {states}")
        elif self.tracking and random.random() < 0.15:
            # What errors are about: an end of the connection, a direction in it.
            end = random.choice(("", *(f"--{end} {random.choice(NETWORKS)}" for end in ENDS)))
            direction = random.choice(("", "--ctdir ORIGINAL", "--ctdir REPLY"))
            words.append(" ".join(("-m conntrack --ctstate RELATED", end, direction)).strip())
        if random.random() < 0.1:
            side = random.choice(("src", "dst"))
            words.append(f"-m iprange {self._not()}--{side}-range {random.choice(RANGES)}")
        if self._hook != "POSTROUTING" and random.random() < 0.1:
            words.append(f"-m mac {self._not()}--mac-source {random.choice(MACS)}")
        if self._hook != "POSTROUTING" and random.random() < 0.1:
            byte, mask = random.choice((4, 5)), random.choice((1, 3, 0xf0))
            value = random.choice(MACS).split(":")[byte]
            words.append(mac_bits(byte, mask, int(value, 16) & mask))
        if random.random() < 0.2:
            words.append(f"-m mark {self._not()}--mark {random.choice(('0x1', '0x2/0x3', '0x10', '0x0', '0x10/0xf0'))}")
        if not self.tracking and random.random() < 0.1:
            words.append(f"{self._not()}-f")
        return words

    def _nat(self) -> str:
        random = self._random
        lines = ["*nat\n", ":PREROUTING ACCEPT [0:0]\n", ":POSTROUTING ACCEPT [0:0]\n"]
        self._hook = "PREROUTING"
        for _ in range(random.randint(1, 4)):
            protocol = random.choice(("tcp", "udp"))
            address = f"10.{random.randint(0, 2)}.0.{random.choice((1, 10, 11, 14))}"
            port = random.choice(("", f":{random.choice(PORTS)}"))
            target = random.choice((f"DNAT --to-destination {address}{port}", "RETURN", "ACCEPT"))
            lines.append(f"-A PREROUTING {self._rewritten(protocol)} -j {target}\n")
        self._hook = "POSTROUTING"
        for _ in range(random.randint(1, 4)):
            protocol = random.choice(("tcp", "udp", "icmp"))
            # The router's own address, and one that nobody has.
            address = f"10.{random.randint(0, 2)}.0.{random.choice((1, 77))}"
            ports = "" if protocol == "icmp" else random.choice(("", ":61000-64000"))
            target = random.choice((
                "MASQUERADE", f"SNAT --to-source {address}{ports}", f"SNAT --to-source {address}", "RETURN", "ACCEPT",
            ))
            lines.append(f"-A POSTROUTING {self._rewritten(protocol)} -j {target}\n")
        return "".join(lines) + "COMMIT\n"

    def _rewritten(self, protocol: str) -> str:
        """Conditions that are met often enough."""
        wide = self._random.random() < 0.5
        return f"-p {protocol}" if wide else self._conditions(protocol)


def packets(random: Random, rules: Rules, first: int, count: int) -> list[Packet]:
    """So many, numbered from `first`; no two belong to one connection."""
    made = []
    for number in range(first, first + count):
        into = random.choice(WIRES)
        if random.random() < 0.4:
            out, destination = "router", f"10.{random.randint(0, 2)}.0.1"
        else:
            net = random.randint(0, 2)
            out, destination = f"eth{net}", f"10.{net}.0.{random.choice(HOSTS)}"
        protocol = random.choice((TCP, TCP, TCP, UDP, UDP, ICMP, 50, 253))
        fragment = not rules.tracking and out != "router" and random.random() < 0.1
        flags = {"SYN"} if random.random() < 0.5 else set(random.sample(FLAGS, random.randint(0, 4)))
        made.append(Packet(
            number=number, into=into,
            # Where a destination is rewritten, the way is found by the prediction.
            out="" if rules.rewriting else out,
            # Without ports an answer is told by its addresses alone.
            source=random.choice(SOURCES if protocol in (TCP, UDP, ICMP) else SOURCES[-3:]),
            destination=destination, protocol=protocol,
            mac=random.choice(MACS),
            # Each port once in a ruleset's run, so that each is a connection of its own.
            sport=random.choice(PORTS) if protocol == TCP and not rules.tracking else 1024 + number % 60000,
            dport=random.choice(PORTS), flags=frozenset(flags),
            icmp=(random.choice((0, 3, 8, 8, 8, 11, 13, 15)), random.choice((0, 0, 1))),
            fragment=fragment,
        ))
    return made
