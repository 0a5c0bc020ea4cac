# Test only, with host-toolchain.conf.

# What the package needs on the board has recipes that are not read here.
python () {
    for package in (d.getVar("PACKAGES") or "").split():
        d.setVar("RDEPENDS:" + package, "")
        d.setVar("RRECOMMENDS:" + package, "")
    # bitbake looks there for recipes of what is provided, too, and there are none.
    for task in ("do_package_setscene", "do_package_write_deb_setscene"):
        d.delVarFlag(task, "depends")
}
