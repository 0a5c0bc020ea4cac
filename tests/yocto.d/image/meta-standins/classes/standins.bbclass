# Test only, with conf/standins.conf.

# A tarball that is not the recipe's own takes its place (sources.py wrote which).
python standins_source() {
    file = d.getVar("STANDIN_FILE")
    if not file:
        return
    uris = d.getVar("SRC_URI").split()
    d.setVar("SRC_URI", " ".join(
        ["file://%s/%s" % (d.getVar("DL_DIR"), file)] + [uri for uri in uris if uri.startswith("file://")]))
    d.setVar("S", "${UNPACKDIR}/" + d.getVar("STANDIN_FOLDER"))
}
standins_source[eventmask] = "bb.event.RecipePreFinalise"
addhandler standins_source

python () {
    # bitbake looks there for recipes of what is provided, too, and there are none.
    for task in d.getVar("__BBTASKS", False) or []:
        if task.endswith("_setscene"):
            d.delVarFlag(task, "depends")
    # The releases' own configure scripts are used.
    d.setVar("INHIBIT_AUTOTOOLS_DEPS", "1")
    # No SDK: nothing of it is built here.
    if bb.data.inherits_class("image", d):
        for task in ("do_populate_sdk", "do_populate_sdk_ext", "do_sdk_depends"):
            for flag in ("depends", "rdepends", "recrdeptask", "recideptask"):
                d.delVarFlag(task, flag)
            bb.build.deltask(task, d)
}
