SUMMARY = "FTP server that cameras upload to, behind camfw"
DESCRIPTION = "The folder that cameras upload into, and a configuration for vsftpd in which \
               whoever reaches the server may upload and nothing else. An image that inherits \
               camfw_services makes /etc/vsftpd.conf of it, with the ports of camfw's own file."
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
CVE_PRODUCT = "camfw"

# Its user, ftp, is the folder's.
DEPENDS = "vsftpd"

SRC_URI = "file://vsftpd.conf"
S = "${UNPACKDIR}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0644 ${UNPACKDIR}/vsftpd.conf ${D}${datadir}/camfw/vsftpd.conf
    install -d ${D}${servicedir}/ftp
    install -d -o ftp -g ftp ${D}${servicedir}/ftp/incoming
}

FILES:${PN} += "${datadir}/camfw ${servicedir}/ftp"
RDEPENDS:${PN} = "vsftpd"
