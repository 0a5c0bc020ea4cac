SUMMARY = "Configuration of camfw: who may talk to whom"
DESCRIPTION = "The one file that camfw reads, in a package of its own, so that a \
               product replaces it without touching the program. What camfw \
               refuses is not packaged."
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=445cafadb7d970abc119aa0fd6b59df6"
CVE_PRODUCT = "camfw"

DEPENDS = "camfw-native"

CAMFW_CHECKOUT := "${@os.path.realpath(d.getVar('THISDIR') + '/../../..')}"
# nooelint: oelint.vars.fileextrapaths
FILESEXTRAPATHS:prepend := "${CAMFW_CHECKOUT}:"

# A bbappend in a layer of yours names another, and where it lies:
#
#   FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
#   CAMFW_CONF = "our-router.toml"
CAMFW_CONF ?= "examples/camera-router.toml"

SRC_URI = "\
    file://LICENSE;subdir=${BP} \
    file://${CAMFW_CONF};subdir=${BP} \
"

do_configure[noexec] = "1"

# The same program reads it on the board. It takes no file that others may
# write, which in a checkout is a question of the umask.
do_compile() {
    install -m 0644 ${S}/${CAMFW_CONF} ${WORKDIR}/camfw.toml
    camfw --config ${WORKDIR}/camfw.toml check
}

do_install() {
    install -D -m 0644 ${WORKDIR}/camfw.toml ${D}${sysconfdir}/camfw/camfw.toml
}

CONFFILES:${PN} = "${sysconfdir}/camfw/camfw.toml"

# Which interface is which zone is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"
