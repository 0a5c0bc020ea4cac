# The repository of binutils has gdb's libbacktrace too, the releases of binutils have it not.
LEFT_OUT_FILES = "\
    0008-Use-libtool-2.4.patch:libbacktrace/Makefile.in \
    0008-Use-libtool-2.4.patch:libbacktrace/configure \
"
inherit left-out-files

do_patch[postfuncs] += "without_libbacktrace"
without_libbacktrace() {
    rm -r ${S}/libbacktrace
}
