SUMMARY = "Firewall of a router between untrusted cameras and everything else"
DESCRIPTION = "Reads one file that says who may talk to whom. At boot, before any \
               networking, it closes the box, checks that file, loads it with \
               iptables, reads the kernel's tables back, brings the interfaces \
               up and turns forwarding on last."
SECTION = "net"
CVE_PRODUCT = "camfw"

# The manual pages and the completion for bash are made of the program's own definitions, by an
# example that has to run here: the native recipe makes them, the target's packages have them.
DEPENDS:append:class-target = " camfw-native"

require camfw-program.inc

SRC_URI += "\
    file://camfw.service \
    file://camfw-watch.service \
    file://60-camfw.conf \
"

inherit camfw_respawn cargo update-rc.d systemd

# First of all boot scripts, before anything brings an interface up.
INITSCRIPT_NAME = "camfw"
INITSCRIPT_PARAMS = "start 01 S ."
SYSTEMD_SERVICE:${PN} = "camfw.service camfw-watch.service"

CAMFW_RESPAWN = "${sysconfdir}/init.d/camfw watch"
CAMFW_RESPAWN_ID = "cw"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/camfw ${D}${sbindir}/camfw
    install -D -m 0755 ${S}/qemu/overlay/etc/init.d/camfw ${D}${sysconfdir}/init.d/camfw
    for unit in camfw.service camfw-watch.service; do
        install -D -m 0644 ${UNPACKDIR}/$unit ${D}${systemd_system_unitdir}/$unit
        sed -i -e 's,@SBINDIR@,${sbindir},g' ${D}${systemd_system_unitdir}/$unit
    done
    # Where a partition is mounted, also over a root that is read-only.
    install -d -m 0755 ${D}${localstatedir}/lib/camfw
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${UNPACKDIR}/60-camfw.conf ${D}${nonarch_libdir}/sysctl.d/60-camfw.conf
    fi
}

CARGO_BUILD_FLAGS:append:class-native = " --bins --example manual"

do_install:append:class-native() {
    ${B}/target/${CARGO_TARGET_SUBDIR}/examples/manual ${D}${datadir}/camfw-manual
}

do_install:append:class-target() {
    for page in ${STAGING_DATADIR_NATIVE}/camfw-manual/*.[58]; do
        install -D -m 0644 $page ${D}${mandir}/man${page##*.}/${page##*/}
    done
    install -D -m 0644 ${STAGING_DATADIR_NATIVE}/camfw-manual/camfw.bash ${D}${datadir}/bash-completion/completions/camfw
}

do_install:append:libc-glibc() {
    bbwarn "camfw: with glibc it is linked dynamically: at boot it needs the loader and the \
libraries of the root file system, and what replaces those takes the firewall along. \
Of the sizes and times in the README none holds. TCLIBC = \"musl\" gives the static binary."
}

# Not by bash-completion.bbclass: what it depends on would have every image's build make bash, and
# this completion needs nothing else of that package than to be found by it.
PACKAGE_BEFORE_PN += "${PN}-bash-completion"
FILES:${PN} += "${localstatedir}/lib/camfw ${systemd_system_unitdir} ${nonarch_libdir}/sysctl.d"
FILES:${PN}-bash-completion += "${datadir}/bash-completion"

# Another package may bring the configuration in place of camfw-conf.
VIRTUAL-RUNTIME_camfw-conf ?= "camfw-conf"

RDEPENDS:${PN}:class-target = "\
    ${VIRTUAL-RUNTIME_camfw-conf} \
    iptables \
    iptables-module-ip6t-hl \
    iptables-module-ip6t-icmp6 \
    iptables-module-ip6t-reject \
    iptables-module-ipt-icmp \
    iptables-module-ipt-reject \
    iptables-module-xt-addrtype \
    iptables-module-xt-bpf \
    iptables-module-xt-comment \
    iptables-module-xt-connlimit \
    iptables-module-xt-conntrack \
    iptables-module-xt-ct \
    iptables-module-xt-hashlimit \
    iptables-module-xt-helper \
    iptables-module-xt-limit \
    iptables-module-xt-log \
    iptables-module-xt-mac \
    iptables-module-xt-mark \
    iptables-module-xt-multiport \
    iptables-module-xt-nat \
    iptables-module-xt-nflog \
    iptables-module-xt-recent \
    iptables-module-xt-standard \
    iptables-module-xt-tcp \
    iptables-module-xt-tcpmss \
    iptables-module-xt-time \
    iptables-module-xt-udp \
"
RSUGGESTS:${PN}-bash-completion = "bash-completion"

# What reads a configuration while a package of it and an image are built.
BBCLASSEXTEND = "native"
