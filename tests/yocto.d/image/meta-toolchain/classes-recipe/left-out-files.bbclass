# Patches of OE-Core that change a file which Debian's tarball leaves out: the file is made of the lines that the patch
# looks for, where it looks for them, so that the rest of the patch applies as it is.
def file_before(name, path, d):
    """The text that the part of a patch of this recipe looks for in a file; None if it has no such part."""
    import re
    from pathlib import Path

    [patch] = [text.read_text(errors="surrogateescape") for text in
               (Path(place, name) for place in d.getVar("FILESPATH").split(":")) if text.exists()][:1]
    _, found, part = patch.partition("\n+++ b/%s\n" % path)
    if not found:
        return None
    lines = []
    for hunk in re.split(r"(?m)^(?=@@ -)", re.split(r"(?m)^diff --git ", part)[0])[1:]:
        head, *body = hunk.split("\n")
        start, count = re.match(r"@@ -(\d+)(?:,(\d+))? ", head).groups()
        lines += [""] * (int(start) - 1 - len(lines))
        # Where a line of the context is empty, some patches leave its space out.
        lines += [line[1:] for line in body if not line.startswith("+")][:int(count or 1)]
    return "".join(line + "\n" for line in lines)

# LEFT_OUT_FILES is "PATCH:FILE ..."
python make_left_out_files() {
    from pathlib import Path

    for word in d.getVar("LEFT_OUT_FILES").split():
        name, path = word.split(":")
        text = file_before(name, path, d)
        if text is None:
            bb.fatal("%s does not change %s: this is not needed any more" % (name, path))
        made = Path(d.getVar("S"), path)
        # In place of some, Debian has one line that says so.
        if made.exists() and len(made.read_text().splitlines()) > 1:
            bb.fatal("the sources have %s: this is not needed any more" % path)
        made.parent.mkdir(exist_ok=True)
        made.write_text(text, errors="surrogateescape")
}
do_unpack[postfuncs] += "make_left_out_files"
