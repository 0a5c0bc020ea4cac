SUMMARY = "vsftpd with a folder for each camera, for camfw-mail"
DESCRIPTION = "busybox tcpsvd, which starts vsftpd for each connection with the configuration of the \
               address that it comes from: vsftpd itself chooses by tcp_wrappers, which OE-Core does \
               not have. The ports are those of `camfw show vsftpd`."
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
CVE_PRODUCT = "camfw"

SRC_URI = "\
    file://camfw-ftp \
    file://camfw-ftp.service \
"
S = "${UNPACKDIR}"

inherit camfw_respawn systemd

CAMFW_RESPAWN = "${libexecdir}/camfw-ftp"
CAMFW_RESPAWN_ID = "cf"
SYSTEMD_SERVICE:${PN} = "camfw-ftp.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0755 ${UNPACKDIR}/camfw-ftp ${D}${libexecdir}/camfw-ftp
    install -D -m 0644 ${UNPACKDIR}/camfw-ftp.service ${D}${systemd_system_unitdir}/camfw-ftp.service
    sed -i -e 's,@LIBEXECDIR@,${libexecdir},g' ${D}${systemd_system_unitdir}/camfw-ftp.service
}

FILES:${PN} += "${systemd_system_unitdir}"
RDEPENDS:${PN} = "\
    busybox \
    camfw-mail \
    camfw-vsftpd \
"
