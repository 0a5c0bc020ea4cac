SUMMARY = "An image of an integrator's own with camfw in it"
LICENSE = "MIT"

inherit core-image camfw_services

IMAGE_INSTALL = "packagegroup-core-boot busybox-syslog camfw dropbear"
IMAGE_LINGUAS = ""
PACKAGE_EXCLUDE += "busybox-udhcpc ifupdown init-ifupdown iptables-modules"

# To be reached under runqemu as camfw-image is.
require recipes-core/images/camfw-image-qemu.inc
