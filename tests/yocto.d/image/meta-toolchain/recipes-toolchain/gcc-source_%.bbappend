# Debian's tarball has an empty file in place of each manual. One of OE-Core's patches changes a manual as well, and the
# build makes the manual tm.texi and stops where the sources have another.
LEFT_OUT_FILES = "0002-gcc-poison-system-directories.patch:gcc/doc/invoke.texi"
inherit left-out-files

python without_manuals() {
    import re
    from pathlib import Path

    makefile = Path(d.getVar("S"), "gcc/Makefile.in")
    text, count = re.subn(r"(?ms)^s-tm-texi: build/genhooks.*?^\tfi\n",
                          "s-tm-texi:\n\t$(STAMP) $@\n", makefile.read_text())
    if count != 1:
        bb.fatal("gcc/Makefile.in has %d rules for s-tm-texi" % count)
    makefile.write_text(text)
}
do_unpack[postfuncs] += "without_manuals"
