# nooelint: oelint.var.suggestedvar.CVE_PRODUCT
SUMMARY = "Camera router"
DESCRIPTION = "camfw, an FTP server for the cameras, SSH, a syslog, and nothing else \
               that listens."
SECTION = "base"
LICENSE = "MIT"

inherit core-image camfw_services

# vsftpd is in meta-networking.
SKIP_RECIPE[camfw-image] ?= "${@bb.utils.contains('BBFILE_COLLECTIONS', 'networking-layer', '', 'vsftpd is in meta-networking (networking-layer), which is not in BBLAYERS', d)}"

IMAGE_INSTALL = "\
    packagegroup-core-boot \
    busybox-syslog \
    camfw \
    dropbear \
    iptables \
    vsftpd \
    ${CORE_IMAGE_EXTRA_INSTALL} \
"
IMAGE_LINGUAS = ""

# camfw configures the network; ifupdown's scripts would be a second writer.
BAD_RECOMMENDATIONS += "ifupdown init-ifupdown"

# `qemu/run --deploy` boots it.
IMAGE_FSTYPES:append:qemuall = " ext4"

# Under runqemu it is wired as the example is: eth0 external, eth1 camera, eth2
# private. The first two lead to UDP ports of this machine, a frame a datagram:
# who sends there, and listens at the port above, is a host on that wire. The
# third is runqemu's own (`runqemu slirp`), where this machine is the laptop.
CAMFW_QB_PORT ?= "17300"
# nooelint: oelint.vars.mispell.unknown
QB_CPU = "-cpu cortex-a72"
QB_NETWORK_DEVICE = "\
    ${@camfw_wire(d, 'external', 0)} \
    ${@camfw_wire(d, 'camera', 1)} \
    -device virtio-net-pci,netdev=net0,mac=@MAC@,addr=0x12 \
"
# nooelint: oelint.vars.mispell.unknown
QB_SLIRP_OPT = "-netdev user,id=net0,net=192.168.5.0/24,host=192.168.5.10,dhcpstart=192.168.5.100,dns=192.168.5.3,hostfwd=tcp:127.0.0.1:2222-192.168.5.200:22"
# No ip=: the kernel would bring an interface up before anything is closed.
QB_CMDLINE_IP_SLIRP = "net.ifnames=0"
QB_CMDLINE_IP_TAP = "camfw.ip=192.168.5.200::192.168.5.10 net.ifnames=0"

# A slot each, in order, so that the kernel finds eth0 first.
def camfw_wire(d, name, number):
    ours = int(d.getVar("CAMFW_QB_PORT")) + 2 * number
    end = "type=inet,%s.host=127.0.0.1,%s.port=%d"
    return (
        "-netdev dgram,id=%s,local.%s,remote.%s "
        "-device virtio-net-pci,netdev=%s,mac=52:54:00:00:00:%02x,addr=0x%x"
    ) % (name, end % ("local", "local", ours), end % ("remote", "remote", ours + 1), name, number + 1, 0x10 + number)

# lib/oeqa/runtime/cases/camfw.py is this layer's.
TEST_SUITES = "ping ssh camfw"
