"""camfw metrics as Prometheus reads them: a real Prometheus scrapes a real node_exporter, and
the example's alerts are held by promtool."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
from typing import Any

from lab import probes
from lab.probes import wait_until
from netns.case import both_backends
from netns.dhcp import DhcpTest
from netns.network import NetworkTest
from netns.policies import PING, ZONES, allow, camera
from netns.program import ROOT

ALERTS = ROOT / "examples/alerts.yml"
FILE = "/run/camfw-metrics/camfw.prom"
EXPORTER, OPEN, PROMETHEUS = 9100, 9101, 9090

CONFIG = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{alerts}"]
scrape_configs:
  - job_name: node
    static_configs: [{{ targets: ["127.0.0.1:9100"] }}]
  - job_name: open
    static_configs: [{{ targets: ["127.0.0.1:9101"] }}]
"""


class Metrics(NetworkTest):
    def setUp(self) -> None:
        super().setUp()
        self.boot(ZONES + camera("porch", "192.168.8.110") + PING + f'[watch]\ninterval = 1\nmetrics = "{FILE}"\n')
        self.written = self.program.run_folder / FILE.removeprefix("/run/")

    def promtool(self, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def query(self, expression: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(expression)}"
        done = self.router.run(["curl", "-sf", url])
        return list(json.loads(done.stdout)["data"]["result"]) if done.returncode == 0 and done.stdout else []

    def is_one(self, expression: str, value: str) -> bool:
        return bool(wait_until(lambda: [it["value"][1] for it in self.query(expression)] == [value], probes.PATIENCE * 2))

    def test_prometheus_scrapes_them_and_the_alerts_hold(self) -> None:
        self.promtool("check", "rules", str(ALERTS))
        self.promtool("test", "rules", str(ROOT / "tests/netns/alerts.test.yml"))
        with self.program.watching():
            self.assertTrue(wait_until(self.written.is_file), "watch writes it")
            self.assertEqual(self.written.stat().st_mode & 0o777, 0o644)
            self.assertEqual(self.promtool("check", "metrics", text=self.written.read_text()), "")
            self.serve()
            folder = self.scratch / "prometheus"
            folder.mkdir()
            config = folder / "prometheus.yml"
            config.write_text(CONFIG.format(alerts=ALERTS))
            self.promtool("check", "config", str(config))
            for command in (
                ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
                 f"--collector.textfile.directory={self.written.parent}", f"--web.listen-address=127.0.0.1:{EXPORTER}"],
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{PROMETHEUS}"],
            ):
                process = self.router.start(command)
                self.addCleanup(process.wait)
                self.addCleanup(process.kill)
            for job in ("node", "open"):
                self.assertTrue(self.is_one(f'up{{job="{job}"}}', "1"), job)
                self.assertTrue(self.is_one(f'camfw_holds{{job="{job}"}}', "1"), job)
            self.assertTrue(self.is_one('camfw_state{job="node",state="applied"}', "1"))
            self.assertTrue(probes.ping(self.camera, "192.168.8.1"))
            self.assertTrue(self.is_one('camfw_camera_last_seen_timestamp_seconds{job="node"} > bool 0', "1"))
            self.assertEqual(self.query('node_textfile_scrape_error != 0'), [])
            self.router.write_sysctl("net.ipv4.conf.eth1.log_martians", "0")
            self.tables.run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "23", "-j", "ACCEPT")
            self.assertTrue(self.is_one('camfw_holds{job="node"}', "0"))
            self.assertTrue(wait_until(lambda: any(
                it["metric"]["alertname"] == "CamfwDrift" for it in self.query('ALERTS{job="node"}'))), "it is raised")

    def test_of_a_closed_box(self) -> None:
        def value(name: str) -> bool:
            return self.written.is_file() and f"{name} 1\n" in self.written.read_text()

        with self.program.watching():
            self.assertTrue(wait_until(lambda: value('camfw_state{state="applied"}')))
            self.camfw("seal")
            self.assertTrue(wait_until(lambda: value('camfw_state{state="sealed"}')))

    def serve(self) -> None:
        """camfw metrics, as a program would serve it that knows OpenMetrics."""
        program = self.program

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = program.run("metrics").stdout.encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
                self.end_headers()
                # Who ran out of patience asks again.
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        with self.router.entered():
            server = http.server.HTTPServer(("127.0.0.1", OPEN), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)


@both_backends
class LeaseMetrics(DhcpTest):
    """The router's own lease, from a server on the internet's host, and a camera's, from dnsmasq on the router."""

    def metric(self, name: str) -> str:
        """The value of the only sample of this name; nothing without one."""
        # Whether the box holds is another question.
        found = re.findall(rf"(?m)^{re.escape(name)}[ {{].* (\d+)$", self.program.run("metrics").stdout)
        self.assertLessEqual(len(found), 1, found)
        return found[0] if found else ""

    def test_the_routers_own(self) -> None:
        external = 'camfw_lease{zone="external",interface="eth0"}'
        with self.dhcp_server("192.168.0.1", "192.168.0.50", "192.168.0.60"):
            self.boot_with_dhcp()
            self.assertTrue(probes.wait_until(lambda: self.leased() != ""))
            self.assertIn(f"{external} 1\n", self.camfw("metrics").stdout)
        # What DHCP brought is gone.
        self.end_dhcp()
        self.router.ip("-4", "address", "flush", "dev", "eth0")
        self.assertIn(f"{external} 0\n", self.program.run("metrics").stdout)

    def test_of_a_fixed_address_there_is_none(self) -> None:
        self.camfw("boot")
        self.assertEqual(self.metric("camfw_lease"), "")

    def test_a_cameras(self) -> None:
        name = "camfw_camera_lease_expiry_timestamp_seconds"
        mac = self.lab.hosts["camera"].wiring.mac
        self.program.configure(ZONES + camera("porch", "192.168.8.110", mac) + allow("camera", "router", "dhcp"))
        self.camfw("boot")
        leases = self.program.var / "misc/dnsmasq.leases"
        leases.parent.mkdir()
        config = self.scratch / "dnsmasq.conf"
        config.write_text(self.camfw("show", "dnsmasq").stdout)
        server = self.router.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", f"--conf-file={config}",
            "--no-ping", "--no-resolv", "--no-hosts", f"--dhcp-leasefile={leases}", "--pid-file=", "--user=root"])
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertEqual(self.metric(name), "", "before it asked")
        started = int(time.time())
        self.camera.run([str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", "/bin/true",
                         "-t", "8", "-T", "1"], check=True)
        self.assertTrue(probes.wait_until(lambda: mac in leases.read_text()), leases.read_text())
        until = int(leases.read_text().split()[0])
        self.assertEqual(self.metric(name), str(until))
        self.assertIn(f'{name}{{camera="porch",zone="camera"}} {until}\n', self.program.run("metrics").stdout)
        self.assertGreater(until, started + 60)
        # One that has ended is none.
        server.kill()
        server.wait()
        leases.write_text(leases.read_text().replace(str(until), str(started - 1)))
        self.assertEqual(self.metric(name), "")
