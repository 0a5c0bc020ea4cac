"""Owns the page on paper: prints it to PDF by Chromium, and finds out from where the PDF has its text
what a page break cut.

Marks are put into the printed copy: text that nobody sees, at the beginning and the end of each box.
"""

from __future__ import annotations

import html
import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

# Points of the sheets, and what Chromium leaves free on each side, at least.
SHEETS = {"A4": (595, 842), "letter": (612, 792)}
MARGIN = 25
# How long the text is that is as wide as 96 pixels, an inch.
INCH = 72
STYLE = """<style>@page{size:%s}.mark{position:absolute;left:0;direction:ltr;font:1px monospace;color:transparent;white-space:nowrap}
.mark.begin{top:0}.mark.end{bottom:0}.mark.after{top:0;left:40px}.mark.inch{top:0;left:96px}</style></head>"""


@dataclass(frozen=True)
class Word:
    """A word of a PDF: its page, and its edges in points from the left and the top."""

    text: str
    page: int
    left: float
    right: float
    bottom: float


def marked(page: str, sheet: str) -> tuple[str, list[str], list[tuple[str, str]], str]:
    """The page with marks; the marks of boxes that stay whole, of headings each with what follows it, and
    of the head of the matrix."""
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    boxes: list[str] = []
    follows: list[tuple[str, str]] = []

    def mark(element: ET.Element, text: str, where: str) -> None:
        if element.tag in ("tr", "thead"):
            cells = [one for one in element.iter() if one.tag in ("th", "td")]
            element = cells[-1 if where == "end" else 0]
        element.set("style", "position:relative")
        note = ET.Element("i", {"class": f"mark {where}"})
        note.text = f"@{text}"
        if where != "end":
            note.tail, element.text = element.text, None
            element.insert(0, note)
        else:
            element.append(note)

    head = next(root.iter("thead"))
    for number, element in enumerate(list(root.iter())):
        classes = element.get("class", "").split()
        is_box = element.tag in ("li", "header", "dd") or ("c" in classes and "file" not in classes) or "net" in classes
        if is_box or (element.tag == "tr" and element not in head):
            boxes.append(f"b{number}")
            mark(element, f"b{number}a", "begin")
            mark(element, f"b{number}z", "end")
    for parent in list(root.iter()):
        children = [child for child in parent if child.tag != "i"]
        for number, (child, after) in enumerate(zip(children, children[1:], strict=False)):
            if child.tag in ("h2", "h3"):
                name = f"h{len(follows)}"
                follows.append((f"{name}a", f"{name}z"))
                mark(child, f"{name}a", "begin")
                first = after
                while first.tag in ("ul", "pre", "details", "dl", "table") or first.get("class") in ("net", "wide", "cams"):
                    first = next(one for one in first if one.tag not in ("i",))
                mark(first, f"{name}z", "after")
    mark(head, "head", "begin")
    top = next(root.iter("header"))
    for name, where in (("zero", "begin"), ("inch", "inch")):
        mark(top, name, where)
    text = "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html")
    return text.replace("</head>", STYLE % sheet), boxes, follows, "@head"


def words(pdf: Path) -> tuple[list[tuple[float, float]], list[Word]]:
    """The pages' sizes, and every word."""
    text = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
    sizes: list[tuple[float, float]] = []
    found: list[Word] = []
    for line in text.splitlines():
        numbers = [float(number) for number in re.findall(r'"([\d.]+)"', line)]
        if "<page " in line:
            sizes.append((numbers[0], numbers[1]))
        elif "<word " in line:
            left, _, right, bottom = numbers
            what = html.unescape(re.sub("<[^>]*>", "", line)).strip()
            found.append(Word(what, len(sizes), left, right, bottom))
    return sizes, found
