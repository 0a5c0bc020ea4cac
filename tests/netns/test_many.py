"""Many applies in parallel, while another program uses iptables; and many in sequence."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import multi

APPLIES = 20
# The number of reloads in the soak test; tests/nightly runs 10,000.
RELOADS = int(os.environ.get("CAMFW_RELOADS", "100"))
SAMPLES = 10


@both_backends
class Many(RouterTest):
    """Real programs, all in parallel."""

    def policy(self, number: int) -> str:
        """The example, with a port that identifies the policy open to the laptop."""
        text = self.program.config.read_text()
        return text.replace('service = "ssh"', f"service = {{ tcp = [{2000 + number}] }}")

    def test_twenty_applies_at_once_beside_an_iptables_user(self) -> None:
        self.camfw("boot")
        folder = self.scratch / "policies"
        folder.mkdir()
        paths = [folder / f"{number}.toml" for number in range(APPLIES)]
        for number, path in enumerate(paths):
            path.write_text(self.policy(number))
        iptables = f"exec -a iptables {multi(self.backend)} -w"
        rule = "INPUT -p tcp --dport 23 -j ACCEPT"
        loop = f"while :; do ({iptables} -I {rule}); ({iptables} -D {rule}); echo; sleep 0.01; done"
        # The program has its own /run, but shares the lock of the tables.
        env = {**os.environ, "XTABLES_LOCKFILE": str(self.program.run_folder / "xtables.lock")}
        user = self.router.start(["bash", "-c", loop], stdout=subprocess.PIPE, env=env)
        running = {path: self.program.start("apply", config=path) for path in paths}
        for path, process in running.items():
            _, stderr = process.communicate(timeout=600)
            self.assertEqual(process.returncode, 0, f"{path.name}: {stderr.decode()}")
        user.kill()
        output, _ = user.communicate()
        self.assertGreater(output.count(b"\n"), 10, "control: the other one was at work")
        # What the other program left incomplete is not ours, and an apply removes it.
        held = (self.program.run_folder / "camfw.lock").read_text()
        last = int(re.search(r"process (\d+)", held)[1])  # type: ignore[index]
        (path,) = (path for path, process in running.items() if process.pid == last)
        with contextlib.suppress(Exception):
            self.tables.run("iptables", "-D", *rule.split())
        report = self.program.run("status", config=path)
        self.assertEqual(report.code, 0, f"the last to hold the lock was {path.name}: {report}")
        state = self.program.state_file.read_text()
        self.assertIn(hashlib.sha256(path.read_bytes()).hexdigest(), state)
        number = int(path.stem)
        with Listener(self.router, tcp=[2000 + number, 2000 + (number + 1) % APPLIES]):
            self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router, 2000 + number))
            other = 2000 + (number + 1) % APPLIES
            self.assertFalse(probes.tcp(self.laptop, example.LAPTOP.router, other, 0.5))

    def sample(self, watch: int) -> dict[str, int]:
        """Resources of the watch process and the kernel that must not grow."""
        status = Path(f"/proc/{watch}/status").read_text()
        resident = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
        assert resident
        return {
            "watch KiB": int(resident[1]),
            # When idle: during a check it has additional sockets and pipes.
            "watch descriptors": min(self.descriptors(watch) for _ in range(75)),
            "processes": len(self.router.pids()),
            "files": sum(1 for folder in (self.program.run_folder, self.program.var) for _ in folder.rglob("*")),
            "hashlimits": len(self.router.run(["ls", "/proc/net/ipt_hashlimit"]).stdout.split()),
            "rules": len(self.tables.snapshot().splitlines()),
            "slab KiB": slab_kib(),
        }

    def descriptors(self, pid: int) -> int:
        time.sleep(0.02)
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def test_reloads_leave_nothing_behind(self) -> None:
        first = self.program.config.read_text() + '\n[watch]\ninterval = 30\n'
        second = first.replace('service = "ssh"', 'service = ["ssh", "https"]')
        second = second.replace('rate = "10/minute"', 'rate = "20/minute"')
        second += '\n[[routes]]\nto = "10.99.0.0/16"\nvia = "192.168.5.10"\n'
        self.program.configure(first)
        self.camfw("boot")
        watch = self.program.start("watch")
        samples: list[dict[str, int]] = []
        peaks: list[int] = []
        started = time.monotonic()
        try:
            for number in range(1, RELOADS + 1):
                # Every second apply is of the first policy.
                self.program.configure(second if number % 2 else first)
                result = self.camfw("apply", "--verbose")
                peaks += [int(peak) for peak in re.findall(r"peak memory (\d+) KiB", result.log)]
                if number % max(2, RELOADS // SAMPLES) == 0:
                    samples.append(self.sample(watch.pid))
        finally:
            watch.kill()
            watch.communicate()
        seconds = time.monotonic() - started
        begin, end = samples[0], samples[-1]
        print(f"\n{self.backend}: {RELOADS} reloads in {seconds:.0f} s, peak of an apply "
              f"{peaks[0]} KiB at first, {peaks[-1]} KiB at last", flush=True)
        for what in begin:
            print(f"    {what:20} {begin[what]:>8} {end[what]:>8}", flush=True)
        for what in ("files", "hashlimits", "rules"):
            self.assertLessEqual(end[what], begin[what], what)
        for what in ("watch descriptors", "processes"):
            # watch may be busy at that moment; a real leak grows with each reload.
            self.assertLessEqual(end[what], begin[what] + 5, what)
        self.assertLess(end["watch KiB"], begin["watch KiB"] * 1.1 + 64, "memory of watch")
        self.assertLess(max(peaks[-10:]), max(peaks[:10]) * 1.1 + 64, "memory of an apply")
        # Other work of the machine is included, but it returns what it uses.
        most = begin["slab KiB"] + 64 * 1024
        self.assertTrue(probes.wait_until(lambda: slab_kib() < most), "memory of the kernel")


def slab_kib() -> int:
    """The kernel's unreclaimable slab memory, in KiB."""
    slab = re.search(r"^SUnreclaim: +(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert slab
    return int(slab[1])
