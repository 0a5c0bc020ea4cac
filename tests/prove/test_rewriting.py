"""The kernel agrees about connections whose addresses are rewritten: their first
packets, what follows, the answers, and the ICMP errors about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from netns.case import both_backends
from prove import generate
from prove.held import BATCH, SEED, VERDICTS, Held, Predicted
from lab.frames import ICMP, TCP, UDP
from prove.packets import Connection, Packet, quote
from prove.wires import WIRES, Bench


# So few that a run of the tests has many rulesets.
OPENINGS = 60


@dataclass(frozen=True)
class Open:
    """A connection that was let through: its first packet as it came and as it went."""

    first: Packet
    into: str
    wire: bytes
    of: Connection


@both_backends
class Rewriting(Held):
    """Openings, answers, what follows the answers, and errors, under rules of nat."""

    def test_packets_of_rewritten_connections(self) -> None:
        judged = Counter[str]()
        seed = SEED
        while sum(judged.values()) < VERDICTS // 4:
            seed += 1
            random = Random(f"rewriting-{seed}-{self.backend}")
            rules = generate.Rules(random, tracking=True, rewriting=True)
            text = rules.text()
            if "--notrack" in text:
                continue
            with self.subTest(seed=seed), Bench() as bench:
                tables = self.load(bench, text)
                self.held: list[Predicted] = []

                def judge(packets: Sequence[Packet], bench: Bench = bench, text: str = text) -> list[Predicted]:
                    if not packets:
                        return []
                    predicted = self.agree(bench, packets, text)
                    self.held += predicted
                    judged.update(kind(packet, it) for packet, it in zip(packets, predicted, strict=True))
                    return predicted

                openings = openings_of(random, rules)
                where = dict(zip(openings, judge(openings), strict=True))
                opened = [
                    Open(packet, bench.found[packet.number], wire, packet.opened(wire))
                    for packet, it in where.items()
                    if it.verdict == "ACCEPT" and bench.found[packet.number] != "router"
                    for wire in [bench.seen[packet.number]]
                ]
                answers = [answer(it, BATCH + it.first.number) for it in opened]
                passed = [it.verdict == "ACCEPT" for it in judge(answers)]
                answered = [it for it, through in zip(opened, passed, strict=True) if through]
                judge([follows(it, 2 * BATCH + it.first.number) for it in answered])
                errors = [error_to_opener(it, 3 * BATCH + it.first.number, random) for it in opened]
                errors += [
                    error_to_server(it, bench.seen[BATCH + it.first.number], 4 * BATCH + it.first.number, random)
                    for it in answered
                ]
                judge(errors)
                self.counted(tables, self.held, text)
        self.tell(judged)
        # The controls: each kind, with both verdicts.
        for state in ("ESTABLISHED", "RELATED"):
            for rewritten, verdict in (("D", "ACCEPT"), ("S", "ACCEPT"), ("", "DROP")):
                counts = [count for what, count in judged.items() if is_of(what, state, rewritten, verdict)]
                self.assertGreater(sum(counts), 0, f"{state} {rewritten} {verdict}")


def is_of(kind: str, state: str, rewritten: str, verdict: str) -> bool:
    """Whether a kind has a state, a verdict and, among others, this rewritten."""
    of, told = kind.split(" ")
    name, _, how = of.partition("/")
    return (name, told) == (state, verdict) and how != "" and rewritten in how


def kind(packet: Packet, predicted: Predicted) -> str:
    """What is counted together: the state, what is rewritten, the verdict."""
    rewritten = f"{'D' * packet.of.dnat}{'S' * packet.of.snat}" if packet.of else ""
    state = packet.state or packet.opening()
    return f"{state}{'/' + rewritten if rewritten else ''} {predicted.verdict}"


def openings_of(random: Random, rules: generate.Rules) -> list[Packet]:
    """First packets, from where their answers find back."""
    return [
        replace(
            packet, flags=frozenset({"SYN"}), icmp=(8, 0),
            source=f"10.{packet.into[-1]}.0.{random.choice((10, 11, 14, 25))}",
        )
        for packet in generate.packets(random, rules, 1, OPENINGS)
        if packet.protocol in (TCP, UDP, ICMP)
    ]


def answer(it: Open, number: int) -> Packet:
    """What comes back from where the first packet went."""
    of = it.of
    ports = (of.answered_port, 0) if of.protocol == ICMP else (of.answers_port, of.answered_port)
    return replace(
        it.first, number=number, into=it.into, source=of.answers, destination=of.answered,
        sport=ports[0], dport=ports[1], icmp=(0, 0), flags=frozenset({"SYN", "ACK"}),
        state="ESTABLISHED", of=of, direction="REPLY",
    )


def follows(it: Open, number: int) -> Packet:
    """What comes after the answer, as the opener sends it."""
    return replace(it.first, number=number, flags=frozenset({"ACK"}), state="ESTABLISHED", of=it.of)


def error_to_opener(it: Open, number: int, random: Random) -> Packet:
    """About the first packet as it was where it went: from whom it went to, or from
    anybody."""
    told = replace(it.first, into=it.into, source=it.of.answers, destination=it.of.answered)
    return error(told, it, it.wire, "REPLY", number, random)


def error_to_server(it: Open, answer: bytes, number: int, random: Random) -> Packet:
    """About the answer as the opener saw it."""
    return error(it.first, it, answer, "ORIGINAL", number, random)


def error(told: Packet, it: Open, quoted: bytes, direction: str, number: int, random: Random) -> Packet:
    sender = random.choice((told.source, told.source, *generate.SOURCES))
    return replace(
        told, number=number, protocol=ICMP, icmp=random.choice(generate.ERRORS), source=sender,
        into=told.into if sender == told.source else random.choice(WIRES),
        quoted=quote(quoted), state="RELATED", of=it.of, direction=direction,
    )
