"""Makes each program and each netlink answer fail in turn: the outcome is a documented
one, the box is closed or has a policy in force, and nothing hangs."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lab import example, probes
from lab.router import Lab
from netns.case import RouterTest, both_backends
from netns.crowd import Crowd
from netns.points import ANSWERS, Point, calls, injecting, points, tracing
from netns.program import COMMANDS, Program, Result, multi, tools, wrap
from netns.tables import Tables, meant

# What the n-th program does instead of its work.
FAILURES = {
    "exits with 1": "exit 1",
    "is killed": "kill -KILL $$",
    "does nothing and says it did": "exit 0",
    "says nonsense": "printf 'x\\n*\\xff\\n:'; exit 0",
}
HANG = "sleep 3000 & wait"
# The faults that strace injects into netlink calls, or into their answers.
NETLINK = {
    "is refused": ("sendto", "error=EPERM"),
    "has no memory": ("sendto", "error=ENOBUFS"),
    "is answered with nonsense": ("recvfrom", "poke_exit=@arg2=" + "a5" * 64),
    "is answered with an error": ("recvfrom", "error=ENOBUFS"),
}
LONGEST = 600


class Box:
    """A lab with its own program: the old policy is in force, and the file has the new
    one."""

    def __init__(self, lab: Lab, program: Program, tables: Tables, old: str, new: str) -> None:
        self.lab, self.program, self.tables = lab, program, tables
        self._old, self._new = old, new

    def prepare(self) -> None:
        self.program.configure(self._old)
        done = self.program.run("boot")
        assert done.code == 0, done
        self.old_tables = sorted(meant(self.tables.snapshot()))
        self.program.configure(self._new)

    def judge(self, result: Result, what: str) -> str:
        """What is wrong with the outcome; empty if nothing is."""
        held = sorted(meant(self.tables.snapshot()))
        forwards = self.lab.router.read_sysctl("net.ipv4.ip_forward") == "1"
        closed = all(self.tables.policy(family, chain) == "DROP"
                     for family in ("iptables", "ip6tables") for chain in ("INPUT", "FORWARD"))
        problem = ""
        if result.code == 0:
            status = self.program.run("status")
            problem = "" if status.code == 0 else f"it does not hold: {status.stdout}"
        elif result.code == 1 and re.search(r"Applied: \d+ changes? made", result.stderr):
            # All but what it names.
            problem = "" if closed and "; but " in result.stderr else "it does not say what is not done"
        elif result.code in (1, 2):
            problem = "" if held == self.old_tables else "the rules are not those from before"
        elif result.code == 3:
            problem = "" if closed and not forwards else "it is not sealed"
        elif result.code == 4:
            problem = "" if not forwards or held == self.old_tables else "it forwards"
        else:
            problem = "no outcome that is documented"
        reach = probes.tcp(self.lab.hosts["internet"].namespace, example.LAPTOP.address, 80, 0.2)
        if reach:
            problem += "; it is open"
        return f"{what}: {problem}: {result}" if problem else ""


# What fails, and how.
Case = tuple[str, Callable[[Path, Box], Result]]


@both_backends
class Fail(RouterTest):
    """One failure per run."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.program.config.read_text()
        new = self.old.replace('service = "ssh"', 'service = ["ssh", "https"]')
        new = new.replace('rate = "10/minute"', 'rate = "20/minute"')
        self.new = new + '\n[[routes]]\nto = "10.99.0.0/16"\nvia = "192.168.5.10"\n'
        self.box = Box(self.lab, self.program, self.tables, self.old, self.new)

    def failing(self, folder: Path, number: int, script: str) -> Path:
        """A folder of commands; the `number`-th that is started runs the script instead."""
        path = tools(folder, self.backend)
        counter = folder.with_name(folder.name + ".count")
        counter.touch()
        for name in COMMANDS:
            # Each appends one line atomically, so the number of lines is the order.
            wrap(path, name, f'echo {name} >>{counter}\n[[ $(wc -l <{counter}) -ne {number} ]] || {{ {script}; }}\n'
                 f'exec -a {name} {multi(self.backend)} "$@"', self.backend)
        return path

    def count_programs(self, command: str) -> int:
        self.box.prepare()
        path = self.failing(self.scratch / f"count-{command}", 0, "true")
        self.camfw(command, path=path)
        return len((self.scratch / f"count-{command}.count").read_text().splitlines())

    def netlink_points(self, command: str) -> list[Point]:
        """Every netlink request, including those that only read."""
        self.box.prepare()
        output = self.scratch / "trace"
        self.camfw(command, before=tracing(output))
        found = points(output, lambda line: line.startswith("sendto(") and "nlmsg_len" in line)
        self.assertGreater(len(found), 15)
        changing = [point for point in found if "RTM_NEW" in point.what]
        self.assertGreaterEqual(len(changing), 1, [str(point) for point in found])
        # So that the n-th answer belongs to one thread only.
        self.assertEqual(len({call.thread for call in calls(output) if call.name in ANSWERS}), 1)
        return found

    def test_each_program_fails(self) -> None:
        outcomes: Counter[int] = Counter()
        serial = 0
        with Crowd(self.lab) as crowd:
            for command in ("boot", "apply"):
                programs = self.count_programs(command)
                self.assertGreater(programs, 3)
                for number in range(1, programs + 1):
                    for what, script in FAILURES.items():
                        serial += 1
                        when = f"{command}, program {number} {what}"
                        self.box.prepare()
                        path = self.failing(self.scratch / f"failing-{serial}", number, script)
                        result = self.program.run(command, path=path)
                        outcomes[result.code] += 1
                        self.assertEqual(self.box.judge(result, when), "")
                        self.assertEqual(crowd.got_through(), {}, when)
        self.assertGreater(outcomes.total() - outcomes[0], 10, "control: it does fail")
        print(f"\n{self.backend}: {serial} programs failed, exit codes {dict(outcomes)}", flush=True)

    def in_labs(self, cases: Sequence[Case]) -> list[tuple[float, int]]:
        """Runs each case in a lab of its own, many in parallel because most of the time
        is spent waiting. Returns how long each took and how it ended, after checking
        the outcome."""

        def run(case: Case) -> tuple[str, float, int]:
            what, act = case
            with tempfile.TemporaryDirectory(prefix="camfw-test-") as name, Lab(example.WIRINGS) as lab:
                program = Program(lab.router, Path(name), self.backend)
                box = Box(lab, program, Tables(lab.router, self.backend), self.old, self.new)
                try:
                    box.prepare()
                    started = time.monotonic()
                    result = act(Path(name), box)
                    return box.judge(result, what), time.monotonic() - started, result.code
                finally:
                    program.close()

        with ThreadPoolExecutor(12) as pool:
            done = list(pool.map(run, cases))
        self.assertEqual([problem for problem, _, _ in done if problem], [])
        return [(seconds, code) for _, seconds, code in done]

    def test_each_netlink_answer_fails(self) -> None:
        cases: list[Case] = []
        for command in ("boot", "apply"):
            for point in self.netlink_points(command):
                for what, (call, how) in NETLINK.items():
                    # There are at least as many reads of answers as requests.
                    at = replace(point, call=call)
                    cases.append((f"{command}, {point} {what}", lambda _, box, c=command, p=at, h=how: (
                        box.program.run(c, before=injecting(p, h), seconds=LONGEST))))
        outcomes = Counter(code for _, code in self.in_labs(cases))
        self.assertGreater(outcomes[3], 5, "control: it does fail")
        print(f"\n{self.backend}: {len(cases)} netlink calls failed, exit codes {dict(outcomes)}", flush=True)

    def test_nothing_hangs_for_ever(self) -> None:
        cases: list[Case] = []
        for command in ("boot", "apply"):
            for number in range(1, self.count_programs(command) + 1):
                cases.append((f"{command}, program {number} hangs", lambda folder, box, c=command, n=number: (
                    box.program.run(c, path=self.failing(folder / "hanging", n, HANG), seconds=LONGEST))))
            # One that reads, and every one that makes a change.
            found = self.netlink_points(command)
            changing = [point for point in found if re.search(r"RTM_(NEW|DEL|SET)", point.what)]
            for point in [found[0], *changing]:
                cases.append((f"{command}, {point} is not answered", lambda folder, box, c=command, p=point: (
                    box.program.run(c, before=injecting(p, f"retval={p.result}"),
                                    seconds=LONGEST))))

        done = self.in_labs(cases)
        longest = max(seconds for seconds, _ in done)
        self.assertGreater(longest, 9, "control: it does hang")
        outcomes = Counter(code for _, code in done)
        print(f"\n{self.backend}: {len(cases)} hangs, the longest {longest:.0f} s, exit codes {dict(outcomes)}", flush=True)
