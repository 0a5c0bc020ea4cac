do_configure() {
    cp -f ${S}/libiptc/linux_list.h ${S}/include/libiptc/
    oe_runconf
}
RDEPENDS:${PN}-apply:remove = "bash"
