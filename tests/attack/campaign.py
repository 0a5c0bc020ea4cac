"""Owns one attack: a scenario, each of its sides in each family, shot by shot, and the
count of what got through beside what may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from attack import generate_errors, generate_malformed, generate_packets
from attack.shots import Generator, Shot, Side
from attack.stage import CHUNK, Stage

GENERATORS: Mapping[str, Generator] = {
    "addresses": generate_packets.addresses, "ports": generate_packets.ports_of_answers, "protocols": generate_packets.protocols,
    "tcp-flags": generate_packets.tcp_flags, "icmp-types": generate_packets.icmp_types, "injections": generate_packets.injections,
    "rewritten": generate_packets.rewritten, "dhcp": generate_packets.dhcp, "hardware": generate_packets.hardware,
    "groups": generate_packets.groups, "errors": generate_errors.errors, "wrapped-errors": generate_errors.wrapped_errors,
    "redirects": generate_errors.redirects, "fragments": generate_malformed.fragments, "atomic": generate_malformed.atomic,
    "options": generate_malformed.options, "extension-headers": generate_malformed.extension_headers,
    "tunnels": generate_malformed.tunnels, "tagged": generate_malformed.tagged, "lengths": generate_malformed.lengths,
    "neighbours": generate_malformed.neighbours,
}
# Drawn more often than the others: what has most combinations that matter.
_WEIGHTS: Mapping[str, int] = {"errors": 4, "wrapped-errors": 2, "addresses": 2}


@dataclass(frozen=True)
class Finding:
    """A shot of which something arrived where nothing of it may."""

    generator: str
    shot: Shot
    places: tuple[str, ...]

    def __str__(self) -> str:
        sent = " ".join(frame[:96].hex() for frame in self.shot.frames[:3])
        return f"{self.generator}: {self.shot.note} -> {', '.join(self.places)}\n        {sent}"


@dataclass
class Outcome:
    """What came of one side in one family."""

    scenario: str
    backend: str
    wire: str
    zone: str
    six: bool
    shots: int = 0
    frames: int = 0
    allowed: int = 0
    recorded: int = 0
    findings: list[Finding] = field(default_factory=list)
    by_generator: Counter[str] = field(default_factory=Counter)
    arrived_by_generator: Counter[str] = field(default_factory=Counter)
    lived: tuple[int, int] = (0, 0)


def attack(stage: Stage, backend: str, frames: int, seed: int, only: frozenset[str] = frozenset()) -> Iterator[Outcome]:
    """Each side in turn, so many frames in each family; `only` those generators."""
    for wire in stage.scenario.wires:
        for six in (False, True):
            # Texts, not numbers, so that one side's shots do not depend on another's.
            rng = Random(f"{seed} {stage.scenario.name} {wire} {six}")
            yield _attack_from(stage, Side(stage, wire, six, rng), backend, frames, only)


def _attack_from(stage: Stage, side: Side, backend: str, frames: int, only: frozenset[str]) -> Outcome:
    outcome = Outcome(stage.scenario.name, backend, side.wire, side.zone.name, side.six)
    stage.revive()
    stage.settle(side.wire)
    stage.arrived.clear()
    sent: list[tuple[str, Shot]] = []
    for name, shot in _in_turns(side, only):
        stage.send(side.wire, shot.frames)
        stage.drain()
        sent.append((name, shot))
        outcome.frames += len(shot.frames)
        outcome.shots += 1
        if len(sent) % CHUNK == 0:
            stage.settle(side.wire)
            _judge(stage, side, sent, outcome)
            sent.clear()
        if outcome.frames >= frames:
            break
    stage.settle(side.wire)
    _judge(stage, side, sent, outcome)
    outcome.lived = stage.revive()
    return outcome


def _in_turns(side: Side, only: frozenset[str]) -> Iterator[tuple[str, Shot]]:
    """The generators' shots, one after the other until each has no more."""
    running = [(name, make(side)) for name, make in GENERATORS.items() if not only or name in only]
    while running:
        for name, shots in list(running):
            for _ in range(_WEIGHTS.get(name, 1)):
                shot = next(shots, None)
                if shot is None:
                    running.remove((name, shots))
                    break
                yield name, shot


def _judge(stage: Stage, side: Side, sent: list[tuple[str, Shot]], outcome: Outcome) -> None:
    """By the connections as they are now, which are those that were open then."""
    for name, shot in sent:
        outcome.by_generator[name] += 1
        places = stage.arrived.pop(shot.number, set()) - {side.wire}
        if not places:
            continue
        outcome.arrived_by_generator[name] += 1
        if shot.recorded_only:
            outcome.recorded += 1
            continue
        may = stage.oracle.may_reach(side.wire, shot.whole) if shot.whole is not None else frozenset()
        wrong = places - may
        if wrong:
            outcome.findings.append(Finding(name, shot, tuple(sorted(wrong))))
        else:
            outcome.allowed += 1
