# For hosts older than this one.
SRC_URI:remove = "file://older-glibc-symbols.patch"
# Debian's sqlite is used.
MAKEOPTS:class-native = ""
PSEUDO_SETSCENE_DEPS:class-native = ""

do_compile() {
    ${S}/configure ${PSEUDO_EXTRA_OPTS} --prefix=${prefix} --libdir=${prefix}/lib/pseudo/lib${SITEINFO_BITS} \
        --with-sqlite=/usr --with-sqlite-lib=lib/$(gcc -print-multiarch) --cflags="${CFLAGS}" --bits=${SITEINFO_BITS} --without-rpath
    oe_runmake
}
