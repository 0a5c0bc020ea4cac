SUMMARY = "Test only: mainline Linux as Debian carries it, with the layer's own fragments and check"
SECTION = "kernel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://COPYING;md5=6bc538ed5bd9a7fc9398086aedcd7e46"
COMPATIBLE_MACHINE = "qemuarm64|ls1046afrwy"

inherit kernel
require recipes-kernel/linux/camfw-kernel.inc

FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
# What the machine has to have.
STANDIN_CONFIG = "qemu.cfg"
STANDIN_CONFIG:ls1046afrwy = "ls1046afrwy.cfg"
SRC_URI = "https://linux.invalid/ file://${STANDIN_CONFIG}"
LINUX_VERSION = "${PV}"

# The layer's fragments beside that, and nothing else.
do_configure:prepend() {
    (cd ${UNPACKDIR} && cat ${STANDIN_CONFIG} ${CAMFW_KERNEL_FRAGMENTS}) >${WORKDIR}/all.config
    oe_runmake_call -C ${S} O=${B} CC="${KERNEL_CC}" LD="${KERNEL_LD}" KCONFIG_ALLCONFIG=${WORKDIR}/all.config allnoconfig
}
