"""Screenshots of the page and of the matrix by Debian's Chromium, for somebody to look at, and
what the browser makes of them.

They are left in target/screens.
"""

from __future__ import annotations

import html
import re
import struct
import subprocess
import tempfile
from pathlib import Path

from lab.hosts import INTERFACE
from lab.probes import wait_until
from netns.case import RouterTest
from netns.policies import EXTERNAL, PING, PRIVATE, allow, camera
from netns.program import ROOT
from netns.test_blocked import SEND
from netns.test_page import HOSTILE, ZONE

SCREENS = ROOT / "target" / "screens"
# A phone's, and a desk's, in CSS pixels.
WIDTHS = {"phone": 390, "desk": 1280}
SECONDS = 300

# Chromium's window is never as narrow as a phone: the page is in a frame. What is wider than
# the frame is told.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><style>body{{margin:0}}iframe{{border:0}}</style>
<iframe id="page" src="page.html" width="{width}" height="{height}"></iframe><p id="said"></p>
<script>
const page = document.getElementById("page");
page.onload = () => {{
  const inside = page.contentDocument.documentElement;
  document.getElementById("said").textContent = "wide " + inside.scrollWidth + " high " + inside.scrollHeight;
}};
</script>
"""


def chromium(*arguments: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--allow-file-access-from-files", *arguments]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([*command[:1], f"--user-data-dir={home}", *command[1:]], capture_output=True,
                              text=True, timeout=SECONDS, check=True)
    return done.stdout


class Screens(RouterTest):
    """Two boxes, each at both widths, in light and in dark."""

    backend = "nft"

    def test_the_page_is_as_wide_as_the_screen(self) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        for count in (2, 40):
            cameras = [camera(f"camera-{number:02}", f"192.168.8.{100 + number}") for number in range(1, count + 1)]
            self.boot(HOSTILE + EXTERNAL + ZONE + PRIVATE, *cameras, PING, allow("private", "router", "http"),
                      allow("private", "camera", "rtsp"))
            self.refuse()
            page = self.camfw("report", "--html", "-").stdout
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "page.html").write_text(page)
                for name, width in WIDTHS.items():
                    self.shoot(Path(folder), f"page-{name}-{count}", width, count)
            picture = SCREENS / f"matrix-{count}.svg"
            picture.write_text(self.camfw("show", "matrix", "--svg").stdout)
            wide, high = re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture.read_text())[0]
            chromium(f"--window-size={wide},{high}", f"--screenshot={picture.with_suffix('.png')}", picture.as_uri())
            self.assertEqual(self.size(picture.with_suffix(".png")), (int(wide), int(high)))

    def refuse(self) -> None:
        """What cameras try: recorded while watch runs."""
        self.camera.ip("address", "replace", "192.168.8.101/24", "dev", INTERFACE)
        watch = self.program.start("watch")
        try:
            def told() -> bool:
                for port in ("443", "123", "6667"):
                    self.camera.run(["python3", "-c", SEND, "tcp", "192.168.8.101", "203.0.113.7", port])
                return "203.0.113.7" in self.program.run("blocked").stdout
            self.assertTrue(wait_until(told), "it is recorded")
        finally:
            watch.terminate()
            watch.communicate()

    def shoot(self, folder: Path, name: str, width: int, count: int) -> None:
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(width=width, height=1000))
        said = chromium("--virtual-time-budget=5000", "--dump-dom", frame.as_uri())
        wide, high = map(int, re.findall(r"wide (\d+) high (\d+)", said)[0])
        self.assertLessEqual(wide, width, f"{name}: nothing is beside the screen")
        frame.write_text(FRAME.format(width=width, height=high))
        shot = SCREENS / f"{name}.png"
        chromium(f"--window-size={width},{high}", f"--screenshot={shot}", frame.as_uri())
        self.assertEqual(self.size(shot)[1], high)
        dom = html.unescape(chromium("--dump-dom", (folder / "page.html").as_uri()))
        self.assertIn("<h1>APPLIED</h1>", dom)
        self.assertIn(f"camera-{count:02}", dom)
        self.assertIn("203.0.113.7 (external) https", dom)

    def size(self, picture: Path) -> tuple[int, int]:
        wide, high = struct.unpack(">II", picture.read_bytes()[16:24])
        return wide, high
