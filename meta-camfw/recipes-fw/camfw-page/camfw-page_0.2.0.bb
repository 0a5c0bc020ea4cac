SUMMARY = "Web server for the page of camfw"
DESCRIPTION = "busybox httpd, as a user of its own, at the addresses of the zones that camfw's \
               file lets see the page that `camfw watch` writes. Nobody listens unless the \
               file has [page]."
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
CVE_PRODUCT = "camfw"

SRC_URI = "\
    file://camfw-page \
    file://camfw-page.service \
"
S = "${UNPACKDIR}"

inherit camfw_respawn systemd useradd

CAMFW_RESPAWN = "${libexecdir}/camfw-page"
CAMFW_RESPAWN_ID = "cp"
SYSTEMD_SERVICE:${PN} = "camfw-page.service"
# For boxes whose file has [page].
SYSTEMD_AUTO_ENABLE = "disable"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir /nonexistent --shell /bin/false camfw-page"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0755 ${UNPACKDIR}/camfw-page ${D}${libexecdir}/camfw-page
    install -D -m 0644 ${UNPACKDIR}/camfw-page.service ${D}${systemd_system_unitdir}/camfw-page.service
    sed -i -e 's,@LIBEXECDIR@,${libexecdir},g' ${D}${systemd_system_unitdir}/camfw-page.service
}

FILES:${PN} += "${systemd_system_unitdir}"
RDEPENDS:${PN} = "\
    busybox \
    camfw \
"
