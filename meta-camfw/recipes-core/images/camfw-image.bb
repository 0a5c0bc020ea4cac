SUMMARY = "Camera router"
DESCRIPTION = "camfw, an FTP server for the cameras, SSH, a syslog, and nothing else \
               that listens."
SECTION = "base"
LICENSE = "MIT"
# Its packages have theirs.
CVE_PRODUCT = ""

inherit core-image camfw_services

# vsftpd is in meta-networking.
SKIP_RECIPE[camfw-image] ?= "${@bb.utils.contains('BBFILE_COLLECTIONS', 'networking-layer', '', 'vsftpd is in meta-networking (networking-layer), which is not in BBLAYERS', d)}"

# "1": uploads become mail, where the file has [mail].
CAMFW_MAIL ?= ""

IMAGE_INSTALL = "\
    packagegroup-core-boot \
    busybox-syslog \
    camfw \
    camfw-page \
    camfw-vsftpd \
    dropbear \
    iptables \
    vsftpd \
    ${@bb.utils.contains('CAMFW_MAIL', '1', 'camfw-ftp camfw-mail', '', d)} \
    ${CORE_IMAGE_EXTRA_INSTALL} \
"
IMAGE_LINGUAS = ""

# What packages recommend and a camera router has no use for: other writers of the
# network's configuration, and the extensions of iptables that camfw does not name.
PACKAGE_EXCLUDE += "\
    busybox-udhcpc \
    ifupdown \
    init-ifupdown \
    iptables-modules \
"

# There is no package manager in it: what served the installation alone goes, and
# with shadow ten setuid programs.
FORCE_RO_REMOVE = "1"
ROOTFS_RO_UNNEEDED:append = " shadow-base shadow-securetty"

# sysvinit's are setuid for a group that nobody is in: who turns it off is root.
camfw_halt_by_root() {
    for program in halt shutdown; do
        [ ! -e ${IMAGE_ROOTFS}${base_sbindir}/$program.sysvinit ] || chmod u-s ${IMAGE_ROOTFS}${base_sbindir}/$program.sysvinit
    done
}
camfw_halt_by_root[doc] = "Takes the setuid bit from the programs that turn the box off"
ROOTFS_POSTPROCESS_COMMAND += "camfw_halt_by_root"

require camfw-image-qemu.inc

# lib/oeqa/runtime/cases/camfw.py is this layer's.
TEST_SUITES = "ping ssh camfw ${@bb.utils.contains('CAMFW_MAIL', '1', 'camfw_mail', '', d)}"
