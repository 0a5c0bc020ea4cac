"""Is every crate, with its sum, in the bill of materials that OE-Core made of camfw or of an image?

    bill.py SPDX CRATES_INC [MANIFEST]      and every package of the image's manifest
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def main() -> int:
    bill, crates, *manifest = map(Path, sys.argv[1:])
    wanted = dict(re.findall(r'(?m)^SRC_URI\[(\S+)\.sha256sum\] = "(\w+)"$', crates.read_text()))
    elements = json.loads(bill.read_text())["@graph"]
    sums = {verified.get("hashValue") for element in elements for verified in element.get("verifiedUsing", [])}
    missing = sorted(crate for crate, value in wanted.items() if value not in sums)
    files = sum(element.get("type") == "software_File" for element in elements)
    print(f"bill of materials: {len(wanted) - len(missing)} of {len(wanted)} crates with their sums, {files} files")
    if manifest:
        names = {element.get("name") for element in elements if element.get("type") == "software_Package"}
        packages = {line.split()[0] for line in manifest[0].read_text().splitlines()}
        print(f"bill of materials: {len(packages & names)} of {len(packages)} packages of the image")
        missing += sorted(packages - names)
    if missing:
        print(f"not in {bill}: {' '.join(missing)}", file=sys.stderr)
    return 1 if missing or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
