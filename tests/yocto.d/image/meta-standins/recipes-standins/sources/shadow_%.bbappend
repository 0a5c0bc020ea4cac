# 4.17 has what these change.
SRC_URI:remove = "file://prototypes.patch"
SRC_URI:remove = "file://shadow-update-pam-conf.patch"
PACKAGECONFIG:remove:class-target = "attr"
# util-linux is not built here.
RDEPENDS:${PN}:remove:class-target = "util-linux-sulogin"

do_configure() {
    oe_runconf
}

# Debian's libbsd is in no sysroot, where pkg-config looks.
do_configure:class-native() {
    LIBBSD_CFLAGS="-DLIBBSD_OVERLAY -isystem /usr/include/bsd" LIBBSD_LIBS=-lbsd oe_runconf
}

# Debian's, where the recipe takes them from for its programs.
do_install:prepend:class-native() {
    install -d ${STAGING_LIBDIR_NATIVE}
    for library in libattr.so.1 libbsd.so.0 libmd.so.0; do
        cp -L /usr/lib/*-linux-gnu/$library ${STAGING_LIBDIR_NATIVE}
    done
}
