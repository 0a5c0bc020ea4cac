"""Screenshots of the page and of the matrix by Debian's Chromium, for somebody to look at, and
what the browser makes of them; and the page as Chromium prints it, by poppler-utils.

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
from screens import paper
from screens.paper import SHEETS

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
                for sheet in SHEETS:
                    self.print_out(page, f"page-{sheet}-{count}", sheet)
                # The sheet's style on a screen, too.
                on_screen = page.replace("@media print{", "@media all{")
                self.assertNotEqual(on_screen, page)
                (Path(folder) / "page.html").write_text(on_screen)
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

    def print_out(self, page: str, name: str, sheet: str) -> None:
        """Nothing is cut by a page break, or wider than the sheet; headings stay with what follows."""
        # A table longer than a sheet.
        long = re.sub("<tbody>(.*)</tbody>", lambda found: f"<tbody>{found[1] * 12}</tbody>", page, flags=re.DOTALL)
        self.assertNotEqual(long, page)
        marked, boxes, follows, head = paper.marked(long, sheet)
        pdf = self.to_pdf(marked, name)
        sizes, words = paper.words(pdf)
        wide, high = SHEETS[sheet]
        for size in sizes:
            self.assertTrue(abs(size[0] - wide) < 1 and abs(size[1] - high) < 1, f"{name}: {size}")
        outside = [word for word in words if word.left < paper.MARGIN or word.right > wide - paper.MARGIN or word.bottom > high]
        self.assertEqual(outside, [], f"{name}: beside the sheet")
        pages = {}
        for word in words:
            for mark in re.findall("@[a-z]+[0-9]*[az]?", word.text):
                pages.setdefault(mark, []).append(word.page)
        (zero,), (inch,) = ([word.left for word in words if word.text.startswith(it)] for it in ("@zero", "@inch"))
        self.assertAlmostEqual(inch - zero, paper.INCH, delta=1, msg=f"{name}: it is not made smaller")
        seen = [box for box in boxes if f"@{box}a" in pages]
        self.assertGreater(len(seen), 60, "the control: there are boxes")
        cut = [box for box in seen if pages[f"@{box}a"] != pages[f"@{box}z"]]
        self.assertEqual(cut, [], f"{name}: cut by a page break")
        away = [one for one, other in follows if pages[f"@{one}"] != pages[f"@{other}"]]
        self.assertEqual(away, [], f"{name}: headings without what follows")
        rows = {pages[f"@{box}a"][0] for box in self.rows(marked)}
        self.assertGreater(len(rows), 1, "the control: the table is on several sheets")
        self.assertEqual(sorted(pages[head]), sorted(rows), f"{name}: its head is on each")
        # What somebody looks at, and that the colours are on it.
        picture = self.to_pdf(page.replace("</head>", f"<style>@page{{size:{sheet}}}</style></head>"), name)
        subprocess.run(["pdftoppm", "-r", "60", "-png", picture, picture.with_suffix("")], check=True)
        pixels = subprocess.run(["pdftoppm", "-r", "30", "-f", "1", "-l", "1", picture], capture_output=True, check=True).stdout
        for what, colour in (("the state's", b"\xfd\xf0\xd5"), ("the router's", b"\0\0\0"), ("paper's", b"\xff\xff\xff")):
            if what != "the router's" or "40" not in name:
                self.assertIn(colour, pixels, f"{name}: {what} colour")

    def rows(self, page: str) -> list[str]:
        (body,) = re.findall("<tbody>(.*)</tbody>", page, flags=re.DOTALL)
        return re.findall("<tr>.*?@(b[0-9]+)a", body)

    def to_pdf(self, page: str, name: str) -> Path:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page.html"
            file.write_text(page)
            pdf = SCREENS / f"{name}.pdf"
            # Who prefers dark pages prints as others do.
            chromium(DARK, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", file.as_uri())
        return pdf

    def size(self, picture: Path) -> tuple[int, int]:
        wide, high = struct.unpack(">II", picture.read_bytes()[16:24])
        return wide, high
