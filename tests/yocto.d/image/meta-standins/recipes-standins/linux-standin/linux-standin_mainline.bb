SUMMARY = "Test only: mainline Linux as Debian carries it, with the layer's own fragments and check"
SECTION = "kernel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://COPYING;md5=6bc538ed5bd9a7fc9398086aedcd7e46"
COMPATIBLE_MACHINE = "qemuarm64"

inherit kernel
require recipes-kernel/linux/camfw-kernel.inc

FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI = "https://linux.invalid/ file://qemu.cfg"
LINUX_VERSION = "${PV}"

# The layer's fragments beside what the emulated machine has to have, and nothing else.
do_configure:prepend() {
    (cd ${UNPACKDIR} && cat qemu.cfg ${CAMFW_KERNEL_FRAGMENTS}) >${WORKDIR}/all.config
    oe_runmake_call -C ${S} O=${B} CC="${KERNEL_CC}" LD="${KERNEL_LD}" KCONFIG_ALLCONFIG=${WORKDIR}/all.config allnoconfig
}
