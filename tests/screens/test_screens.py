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

from lab import example, probes
from lab.hosts import INTERFACE
from lab.probes import wait_until
from netns.case import RouterTest
from netns.policies import EXTERNAL, PING, PRIVATE, allow, camera
from netns.program import ROOT
from netns.test_blocked import SEND
from netns.test_hosts import HOSTILE as CALLS_ITSELF
from netns.test_page import HOSTILE, ZONE

SCREENS = ROOT / "target" / "screens"
# A phone's, and a desk's, in CSS pixels; and a sheet's of A4 within its margins.
WIDTHS = {"phone": 390, "desk": 1280}
SHEET = 718
# Chromium's argument for who prefers dark pages.
DARK = "--blink-settings=preferredColorScheme=0"
SECONDS = 300

# Chromium's window is never as narrow as a phone: the page is in a frame. What is wider than
# the frame is told.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><style>body{{margin:0}}iframe{{border:0}}</style>
<iframe id="page" src="page.html" width="{width}" height="{height}"></iframe><p id="said"></p>
<script>
const page = document.getElementById("page");
page.onload = () => {{
  const inside = page.contentDocument.documentElement;
  // Text that its own box cuts off, and lines of text that lie over others.
  const boxes = [...inside.querySelectorAll("h1, h2, h3, p, li, li > span, td, td > span, th, dd, b")];
  const cut = boxes.filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1);
  const texts = page.contentDocument.createTreeWalker(page.contentDocument.body, NodeFilter.SHOW_TEXT);
  const lines = [];
  while (texts.nextNode()) {{
    if (!texts.currentNode.parentElement.checkVisibility()) continue;
    const range = page.contentDocument.createRange();
    range.selectNodeContents(texts.currentNode);
    for (const it of range.getClientRects()) lines.push({{ it, textContent: texts.currentNode.data }});
  }}
  const over = lines.filter((one, at) => lines.slice(at + 1).some((other) =>
    Math.min(other.it.right, one.it.right) - Math.max(other.it.left, one.it.left) > 1 &&
    Math.min(other.it.bottom, one.it.bottom) - Math.max(other.it.top, one.it.top) > 3));
  const first = (found) => found.length + " " + (found[0] ? found[0].textContent.slice(0, 60) : "");
  document.getElementById("said").textContent = "wide " + inside.scrollWidth + " high " + inside.scrollHeight +
    " cut " + first(cut) + " over " + first(over) + " ended";
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
    """Two boxes, each at both widths in light and in dark, and on paper."""

    backend = "nft"

    def test_the_page_is_as_wide_as_the_screen(self) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        for count in (2, 40):
            cameras = [camera(f"camera-{number:02}", f"192.168.8.{100 + number}", None, 'to = "router", service = "ntp"')
                       for number in range(1, count + 1)]
            leases = self.program.var / "misc/dnsmasq.leases"
            leases.parent.mkdir(exist_ok=True)
            leases.write_text(f"0 02:00:00:00:00:77 192.168.8.250 {CALLS_ITSELF} *\n")
            drop_in = self.scratch / "camfw.d/10-last.toml"
            drop_in.parent.mkdir(exist_ok=True)
            drop_in.write_text(cameras.pop())
            self.boot(HOSTILE + EXTERNAL + ZONE + PRIVATE, *cameras, PING, allow("private", "router", "http"),
                      allow("private", "camera", "rtsp"))
            self.refuse()
            page = self.camfw("report", "--html", "-").stdout
            self.assertEqual(page.count("<h3>10-last.toml</h3>"), 1)
            self.assertIn("calls itself ??2Jcam???script??x?1", page)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "page.html").write_text(page)
                for name, width in WIDTHS.items():
                    self.shoot(Path(folder), f"page-{name}-{count}", width, count)
                    self.shoot(Path(folder), f"page-{name}-{count}-dark", width, count, DARK)
                # Chromium's PDF could not be looked at here: the sheet's style on a screen.
                paper = page.replace("@media print{", "@media all{")
                self.assertNotEqual(paper, page)
                (Path(folder) / "page.html").write_text(paper)
                self.shoot(Path(folder), f"page-paper-{count}", SHEET, count, DARK)
            picture = SCREENS / f"matrix-{count}.svg"
            picture.write_text(self.camfw("show", "matrix", "--svg").stdout)
            wide, high = re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture.read_text())[0]
            chromium(f"--window-size={wide},{high}", f"--screenshot={picture.with_suffix('.png')}", picture.as_uri())
            self.assertEqual(self.size(picture.with_suffix(".png")), (int(wide), int(high)))

    def refuse(self) -> None:
        """What cameras try: recorded while watch runs."""
        self.camera.ip("link", "set", INTERFACE, "address", example.CAMERA.mac)
        self.camera.ip("address", "replace", "192.168.8.101/24", "dev", INTERFACE)
        watch = self.program.start("watch")
        try:
            def told() -> bool:
                for port in ("443", "123", "6667"):
                    self.camera.run(["python3", "-c", SEND, "tcp", "192.168.8.101", "203.0.113.7", port])
                return "203.0.113.7" in self.program.run("blocked").stdout
            self.assertTrue(wait_until(told), "it is recorded")
            # Another device, which nobody listed.
            self.camera.ip(batch=f"""
                link set {INTERFACE} address 02:00:00:00:00:77
                address replace 192.168.8.250/24 dev {INTERFACE}
            """)
            self.assertTrue(probes.ping(self.camera, example.CAMERA.router, probes.PATIENCE, "-I", "192.168.8.250"))
        finally:
            watch.terminate()
            watch.communicate()

    def shoot(self, folder: Path, name: str, width: int, count: int, *arguments: str) -> None:
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(width=width, height=1000))
        said = html.unescape(chromium("--virtual-time-budget=5000", *arguments, "--dump-dom", frame.as_uri()))
        (found,) = re.findall(r"wide (\d+) high (\d+) cut (.*) over (.*) ended<", said)
        wide, high = map(int, found[:2])
        self.assertLessEqual(wide, width, f"{name}: nothing is beside the screen")
        self.assertEqual(found[2:], ("0 ", "0 "), f"{name}: text that is cut off, text over other text")
        frame.write_text(FRAME.format(width=width, height=high))
        shot = SCREENS / f"{name}.png"
        chromium(f"--window-size={width},{high}", *arguments, f"--screenshot={shot}", frame.as_uri())
        self.assertEqual(self.size(shot)[1], high)
        dom = html.unescape(chromium("--dump-dom", (folder / "page.html").as_uri()))
        self.assertIn("<h1>APPLIED</h1>", dom)
        self.assertIn(f"camera-{count:02}", dom)
        self.assertIn("203.0.113.7 (external) https", dom)

    def size(self, picture: Path) -> tuple[int, int]:
        wide, high = struct.unpack(">II", picture.read_bytes()[16:24])
        return wide, high
