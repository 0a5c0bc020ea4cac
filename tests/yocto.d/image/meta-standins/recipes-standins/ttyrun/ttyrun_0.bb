SUMMARY = "Test only: what s390-tools' ttyrun does for inittab"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
SRC_URI = "file://ttyrun"
S = "${UNPACKDIR}"
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -D -m 0755 ${UNPACKDIR}/ttyrun ${D}${sbindir}/ttyrun
}
