"""The kernel agrees: what `camfw trace` says of generated packets under generated
rules is what becomes of them, packet by packet and rule by rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from netns.case import both_backends
from prove import generate
from prove.held import BATCH, SEED, VERDICTS, Held
from lab.frames import ICMP, TCP, UDP
from prove.packets import Connection, Packet
from prove.wires import WIRES, Bench


@both_backends
class Agreement(Held):
    def test_generated_packets_under_generated_rules(self) -> None:
        judged = Counter[str]()
        seed = SEED
        while sum(judged.values()) < VERDICTS // 4:
            seed += 1
            random = Random(f"{seed}-{self.backend}")
            rules = generate.Rules(random, tracking=seed % 3 != 0, rewriting=seed % 5 == 0)
            text = rules.text()
            with self.subTest(seed=seed), Bench() as bench:
                tables = self.load(bench, text)
                predicted = self.agree(bench, generate.packets(random, rules, 1, BATCH), text)
                self.counted(tables, predicted, text)
                judged.update(it.verdict for it in predicted)
        self.tell(judged)
        # The controls: both verdicts, often, or nothing was compared.
        self.assertGreater(judged["ACCEPT"], sum(judged.values()) / 10)
        self.assertGreater(judged["DROP"], sum(judged.values()) / 10)

    def test_packets_of_connections(self) -> None:
        states, verdicts, judged = Counter[str](), Counter[str](), Counter[str]()
        for seed in range(SEED, SEED + max(30, VERDICTS // 500)):
            random = Random(f"connections-{seed}-{self.backend}")
            rules = generate.Rules(random, tracking=True)
            text = rules.text()
            if "--notrack" in text:
                continue
            with self.subTest(seed=seed), Bench() as bench:
                self.load(bench, text)
                opening = [
                    replace(packet, flags=frozenset({"SYN"}), icmp=(8, 0))
                    for packet in generate.packets(random, rules, 1, BATCH)
                    if packet.out != "router" and packet.protocol in (TCP, UDP, ICMP)
                    # So that the answer has a way back.
                    and packet.source.startswith(f"10.{packet.into[-1]}.0.") and packet.into != packet.out
                ]
                first = self.agree(bench, opening, text)
                answers = [
                    answer(packet, it.verdict == "ACCEPT", BATCH + packet.number, random)
                    for packet, it in zip(opening, first, strict=True)
                ]
                states.update(packet.state for packet in answers)
                found = self.agree(bench, answers, text)
                judged.update(it.verdict for it in (*first, *found))
                errors = [it for packet, it in zip(answers, found, strict=True) if packet.protocol == ICMP and packet.quoted]
                verdicts.update(it.verdict for it in errors)
        self.tell(judged)
        # The control: so many rulesets that each state comes up, and both verdicts on errors.
        for verdict in ("ACCEPT", "DROP"):
            self.assertGreater(verdicts[verdict], 0, verdict)
        for state in ("ESTABLISHED", "RELATED", "INVALID", "NEW"):
            self.assertGreater(states[state], 0, state)


def answer(packet: Packet, accepted: bool, number: int, random: Random) -> Packet:
    """What comes back, or an error about the packet or about the answer to it: from
    either end, or from anybody. If the packet got through it belongs to its
    connection; else it is as if from nowhere."""
    back = replace(
        packet, number=number, into=packet.out, out=packet.into, source=packet.destination,
        destination=packet.source, sport=packet.dport, dport=packet.sport, icmp=(0, 0),
        flags=frozenset({"SYN", "ACK"}), fragment=False,
    )
    if packet.protocol == ICMP:
        # The identifier stays, whichever way it goes.
        back = replace(back, sport=packet.sport)
    if random.random() < 0.5:
        return error(packet, back, accepted, random)
    return replace(back, state="ESTABLISHED" if accepted else back.opening())


def error(packet: Packet, back: Packet, accepted: bool, random: Random) -> Packet:
    """To who sent the packet, or to who answers it."""
    told, quoted = random.choice(((back, packet), (packet, back)))
    sender = random.choice((told.source, *generate.SOURCES))
    ports = (packet.sport, packet.dport if packet.protocol != ICMP else 0)
    of = Connection(
        packet.protocol, packet.source, packet.destination, *ports,
        answers=packet.destination, answered=packet.source, answers_port=ports[1], answered_port=ports[0],
    )
    return replace(
        told, number=back.number, protocol=ICMP, icmp=random.choice(generate.ERRORS), source=sender,
        into=told.into if sender == told.source else random.choice(WIRES), fragment=False,
        quoted=quoted.datagram()[:28], state="RELATED" if accepted else "INVALID",
        of=of if accepted else None, direction="REPLY" if told is back else "ORIGINAL",
    )
