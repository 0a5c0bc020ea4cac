"""Owns the table of who reached whom, compared with the policy.

Runs the attempts and renders the table; the caller says what is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.facts import Flow
from lab.namespace import Namespace
from lab.probes import PATIENCE, PROBES, WAIT_SECONDS, Reach, Target


@dataclass(frozen=True)
class Row:
    """One attempt: what the policy says, and the result."""

    flow: Flow
    allowed: bool
    reach: Reach

    @property
    def holds(self) -> bool:
        return self.reach.reached == self.allowed


def try_all(
    attempts: Iterable[tuple[Flow, bool]],
    sources: Mapping[str, Namespace],
    target: Callable[[Flow], Target],
    *,
    parallel: int = 48,
) -> list[Row]:
    """Tries every flow, many in parallel: nearly all of the time goes into waiting for
    answers that must not come; those that must come get more time. `target` returns the
    target of a flow."""

    def attempt(expected: tuple[Flow, bool]) -> Row:
        flow, allowed = expected
        wait = PATIENCE if allowed else WAIT_SECONDS
        return Row(flow, allowed, PROBES[flow.service](sources[flow.source], target(flow), wait))

    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(attempt, attempts))


def wrong(rows: Iterable[Row]) -> list[Row]:
    """The rows that deviate from the policy."""
    return [row for row in rows if not row.holds]


def deviations(rows: Iterable[Row]) -> list[str]:
    """A line for each row that deviates from the policy, with what the client saw."""
    came = {True: "got through and must not", False: "is allowed and did not get through"}
    return [
        f"{row.flow.source} -> {row.flow.target} {row.flow.service}: "
        f"{came[row.reach.reached]} ({row.reach.detail})"
        for row in wrong(rows)
    ]


def render(rows: Iterable[Row]) -> str:
    """The table as text: a line per pair of hosts, then the deviations, then the
    verdict."""
    rows = list(rows)
    pairs = list(dict.fromkeys((row.flow.source, row.flow.target) for row in rows))
    lines = [("from", "to", "reached", "the policy allows", "tried and stopped", "")]
    for pair in pairs:
        here = [row for row in rows if (row.flow.source, row.flow.target) == pair]
        lines.append((
            *pair,
            _names(row for row in here if row.reach),
            _names(row for row in here if row.allowed),
            _names(row for row in here if not row.reach),
            "WRONG" if wrong(here) else "as it should be",
        ))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    form = "  ".join(f"{{:{width}}}" for width in widths)
    text = [form.format(*line).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    text += ["", *deviations(rows), verdict(rows)]
    return "\n".join(text)


def verdict(rows: Iterable[Row]) -> str:
    """One line: the number of attempts, and whether all agree with the policy."""
    rows = list(rows)
    reached = sum(1 for row in rows if row.reach)
    counts = f"{len(rows)} attempts, {reached} got through, {len(rows) - reached} were stopped"
    if not rows:
        return "NOTHING WAS TRIED"
    return f"{counts}: {f'{len(wrong(rows))} NOT' if wrong(rows) else 'all'} as the policy says"


def _names(rows: Iterable[Row]) -> str:
    return " ".join(row.flow.service for row in rows) or "-"
