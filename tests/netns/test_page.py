"""The page: written by camfw report and camfw watch, shown by busybox httpd to whom the file
says, and to nobody else."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import xml.etree.ElementTree as ET

from lab import example, probes
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import wait_until
from netns.case import RouterTest
from netns.policies import EXTERNAL, PING, PRIVATE, allow, camera
from netns.program import BINARY, ROOT
from netns.test_blocked import SEND

SERVER = ROOT / "meta-camfw/recipes-fw/camfw-page/files/camfw-page"
PORCH, YARD = example.CAMERA.address, "192.168.8.111"
ABROAD = "203.0.113.7"
ZONE = """
[zones.camera]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"
"""
# A remark that would be markup, in the policy's own lines.
HOSTILE = "# </pre><script>alert(1)</script>\n"
POLICY = (
    HOSTILE + EXTERNAL + ZONE + PRIVATE + camera("porch", PORCH) + camera("yard", YARD) + PING
    + allow("private", "router", "http") + allow("private", "camera", "rtsp")
)
WATCH = "[watch]\ninterval = 1\n"


class PageNft(RouterTest):
    """One page, from the box to a browser's side."""

    backend = "nft"

    def setUp(self) -> None:
        super().setUp()
        self.camera.ip("address", "add", f"{YARD}/24", "dev", INTERFACE)
        self.shown = self.program.run_folder / "camfw-page" / "index.html"

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Runs a command on the router that sees the program's /run."""
        script = f'mount --bind {self.program.run_folder} /run && exec "$@"'
        process = self.router.start(
            ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", *command])
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate()

    def test_it_is_written_and_shown_to_whom_the_file_says(self) -> None:
        self.boot(POLICY, "[page]\n", WATCH)
        watch = self.program.start("watch")
        self.addCleanup(self.end, watch)
        self.assertTrue(wait_until(self.shown.is_file), "watch writes it")
        self.assertEqual(stat.S_IMODE(self.shown.stat().st_mode), 0o644)
        # What a camera tries is on the next page.
        self.assertTrue(wait_until(lambda: self.tried_is_recorded()), "it is recorded")
        page = self.report()
        self.assert_sound(page)
        for told in ("APPLIED", "porch", "yard", f"{ABROAD} (external) https", "rtsp", "claims hold", "&lt;script&gt;alert(1)"):
            self.assertIn(told, page)
        self.assertNotIn(f"{ABROAD} (external) ntp", page, "the control")
        # A server listens at the addresses that show httpd says, as nobody: as the image starts it.
        self.assertEqual(self.camfw("show", "httpd").stdout.split(), [f"{example.LAPTOP.router}:80"])
        (self.program.tools / "camfw").symlink_to(BINARY)
        server = self.start(
            "env", f"PATH={self.program.tools}:/usr/sbin:/usr/bin:/sbin:/bin", f"CAMFW_ARGS=--config {self.program.config}",
            "CAMFW_PAGE_USER=nobody:nogroup", str(SERVER))
        self.assertTrue(wait_until(lambda: bool(self.read(self.laptop, example.LAPTOP.router))), "home sees it")
        self.assertEqual(self.read(self.laptop, example.LAPTOP.router), self.shown.read_text())
        for host, address in ((self.camera, example.CAMERA.router), (self.camera, example.LAPTOP.router),
                              (self.internet, example.INTERNET.router)):
            self.assertEqual(self.read(host, address, seconds=1), "", "others do not")
        # Without [page] it goes.
        self.program.configure("\n".join((POLICY, WATCH)))
        self.camfw("apply")
        self.assertTrue(wait_until(lambda: not self.shown.exists()), "watch removes it")
        self.assertTrue(wait_until(lambda: not self.listeners()), "and nobody listens")
        self.assertIsNone(server.poll(), "until there is one again")
        self.assertIsNone(watch.poll(), "watch goes on")

    def test_a_file_keeps_its_mode_and_its_owner(self) -> None:
        self.boot(POLICY)
        file = self.scratch / "page.html"
        self.camfw("report", "--html", str(file))
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, "a new one is its owner's alone")
        self.assertIn("APPLIED", file.read_text())
        os.chown(file, 12345, 54321)
        file.chmod(0o640)
        file.write_text("before")
        self.camfw("report", "--html", str(file))
        found = file.stat()
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (12345, 54321, 0o640))
        self.assert_sound(file.read_text())
        # What is no file stays as it is.
        link, target = self.scratch / "link.html", self.scratch / "target"
        target.write_text("target")
        link.symlink_to(target)
        said = self.camfw("report", "--html", str(link), expect=2).said
        self.assertIn("it is no regular file; give another name", said)
        self.assertEqual(target.read_text(), "target")
        self.camfw("report", "--html", str(self.scratch / "none" / "page.html"), expect=2)
        self.assertFalse(list(self.scratch.glob("*.new")), "nothing is left behind")
        # Sealed, it says so.
        self.camfw("seal")
        page = self.camfw("report", "--html", "-").stdout
        self.assertIn("<h1>SEALED</h1>", page)
        self.assertIn("class=\"top bad\"", page)

    def tried_is_recorded(self) -> bool:
        self.camera.run(["python3", "-c", SEND, "tcp", PORCH, ABROAD, "443"])
        return ABROAD in self.program.run("blocked", "--json").stdout

    def listeners(self) -> str:
        return self.router.run(["ss", "-Hltn", "sport", "=", ":80"]).stdout

    def report(self) -> str:
        return self.camfw("report", "--html", "-").stdout

    def read(self, host: Namespace, address: str, seconds: float = probes.PATIENCE) -> str:
        """What a browser there gets; empty if nothing answers."""
        return host.run(["curl", "-sf", "--max-time", str(seconds), f"http://{address}/"]).stdout

    def assert_sound(self, page: str) -> None:
        """The page is whole, and nothing in it comes from elsewhere or runs."""
        root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
        self.assertLess(len(page), 1_000_000)
        for element in root.iter():
            self.assertNotIn(element.tag.lower(), ("script", "img", "link", "iframe", "object", "form", "a"))
            for name in element.attrib:
                self.assertFalse(re.match("on|src|href", name), f"{element.tag} {name}")
