SUMMARY = "Configuration of camfw: who may talk to whom"
DESCRIPTION = "The one file that camfw reads, in a package of its own, so that a \
               product replaces it without touching the program. What camfw \
               refuses is not packaged."
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
CVE_PRODUCT = "camfw"

DEPENDS = "${@'tzdata' if d.getVar('CAMFW_TZDATA') else ''} camfw-native"

# A bbappend in a layer of yours names another, what goes into camfw.d beside
# it, and where they lie:
#
#   FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
#   CAMFW_CONF = "our-router.toml"
#   CAMFW_CONF_D = "cameras.toml guests.toml"
#
# Lists of addresses that it names ("@/etc/camfw/blocklist.txt"):
#
#   CAMFW_LISTS = "blocklist.txt"
#
# With timezone in it, the package of tzdata that has that zone:
#
#   CAMFW_TZDATA = "tzdata-europe"
#
# Unless one is named, it is the machine's own. That is a variable beside CAMFW_CONF, since a machine's override
# of CAMFW_CONF itself would win over the name that you give it.
CAMFW_CONF_DEFAULT ?= "camera-router.toml"
CAMFW_CONF ?= "${CAMFW_CONF_DEFAULT}"
CAMFW_CONF_D ?= ""
CAMFW_LISTS ?= ""
CAMFW_TZDATA ?= ""

SRC_URI = "${@' '.join('file://%s;subdir=${BP}' % name for name in d.expand('${CAMFW_CONF} ${CAMFW_CONF_D} ${CAMFW_LISTS}').split())}"

do_configure[noexec] = "1"

# The same program reads it on the board. It takes no file that others may
# write, which in a checkout is a question of the umask. Time zones and lists are
# the image's, and not those of the machine that builds it.
do_compile() {
    install -m 0644 ${S}/${CAMFW_CONF} ${WORKDIR}/conf/camfw.toml
    for file in ${CAMFW_CONF_D}; do
        install -D -m 0644 ${S}/$file ${WORKDIR}/conf/camfw.d/$(basename $file)
    done
    for file in ${CAMFW_LISTS}; do
        install -D -m 0644 ${S}/$file ${WORKDIR}/conf/root${sysconfdir}/camfw/$(basename $file)
    done
    TZDIR=${STAGING_DATADIR}/zoneinfo CAMFW_ROOT=${WORKDIR}/conf/root \
        camfw --config ${WORKDIR}/conf/camfw.toml check
}
do_compile[cleandirs] = "${WORKDIR}/conf"

# The folder is there without files too: on a root that is read-only it is where a partition is mounted.
do_install() {
    install -D -m 0644 ${WORKDIR}/conf/camfw.toml ${D}${sysconfdir}/camfw/camfw.toml
    install -d ${D}${sysconfdir}/camfw/camfw.d
    for file in ${CAMFW_CONF_D}; do
        file=camfw.d/$(basename $file)
        install -D -m 0644 ${WORKDIR}/conf/$file ${D}${sysconfdir}/camfw/$file
    done
    for file in ${CAMFW_LISTS}; do
        file=${sysconfdir}/camfw/$(basename $file)
        install -D -m 0644 ${WORKDIR}/conf/root$file ${D}$file
    done
}

CONFFILES:${PN} = "${sysconfdir}/camfw"

# Which interface is which zone is the machine's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

RDEPENDS:${PN} = "${CAMFW_TZDATA}"
