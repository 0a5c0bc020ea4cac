SUMMARY = "Test only: Debian's programs where OE-Core's classes look for them in a sysroot"
LICENSE = "MIT"

inherit native

INHIBIT_DEFAULT_DEPS = "1"
PROVIDES += "apt-native qemu-native qemu-system-native"
RPROVIDES:${PN} += "qemu-system-native"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${bindir} ${D}${sysconfdir}/apt ${D}${libdir}/qemu-python
    # Where apt.conf has them: apt makes no folder of its own.
    install -d ${D}${localstatedir}/cache/apt/archives/partial ${D}${localstatedir}/log/apt
    ln -s /usr/bin/qemu-system-aarch64 /usr/bin/qemu-img ${D}${bindir}
    # testimage talks to QEMU with its own module, the Python package qemu.qmp.
    cp -r ${STANDINS_HOST}/qmp/qemu/qmp ${D}${libdir}/qemu-python/qmp
}

# apt.conf.sample as OE-Core's recipe for apt writes it, with Debian's dpkg and methods.
python do_apt_conf() {
    import glob
    import re

    recipe = open(glob.glob(d.expand("${COREBASE}/meta/recipes-devtools/apt/apt_*.bb"))[0]).read()
    sample = re.search(r"apt\.conf\.sample << EOF\n(.*?)\nEOF\n", recipe, re.DOTALL)[1]
    sample = sample.replace("${STAGING_LIBDIR}/apt/methods/", "/usr/lib/apt/methods/")
    sample = sample.replace('dpkg "dpkg"', 'dpkg "${STANDINS_HOST}/bin/dpkg-offline"')
    sample = sample.replace("${STAGING_BINDIR_NATIVE}/", "/usr/bin/")
    sample += '\nAPT::Sandbox::User "root";\n'
    with open(d.expand("${D}${sysconfdir}/apt/apt.conf.sample"), "w") as file:
        file.write(d.expand(sample))
}
do_install[postfuncs] += "do_apt_conf"
