# Debian's tarball has an empty file in place of each manual. One of OE-Core's patches changes a manual as well, and the
# build makes the manual tm.texi and stops where the sources have another.
python without_manuals() {
    import re
    from pathlib import Path

    sources = Path(d.getVar("S"))
    name = "0002-gcc-poison-system-directories.patch"
    [patch] = [text.read_text() for text in (Path(place, name) for place in d.getVar("FILESPATH").split(":"))
               if text.exists()][:1]
    manual = re.search(r"(?m)^\+\+\+ b/(gcc/doc/\S+)\n((?:[-+ @].*\n)+)", patch)
    if manual is None:
        bb.fatal("%s changes no manual: this is not needed any more" % name)
    # The lines that it looks for, where it looks for them.
    lines = []
    for start, hunk in re.findall(r"(?m)^@@ -(\d+),.*\n((?:[-+ ].*\n)+)", manual[2]):
        lines += [""] * (int(start) - 1 - len(lines))
        lines += [line[1:] for line in hunk.splitlines() if not line.startswith("+")]
    (sources / manual[1]).write_text("".join(line + "\n" for line in lines))

    makefile = sources / "gcc/Makefile.in"
    text, count = re.subn(r"(?ms)^s-tm-texi: build/genhooks.*?^\tfi\n",
                          "s-tm-texi:\n\t$(STAMP) $@\n", makefile.read_text())
    if count != 1:
        bb.fatal("gcc/Makefile.in has %d rules for s-tm-texi" % count)
    makefile.write_text(text)
}
do_unpack[postfuncs] += "without_manuals"
