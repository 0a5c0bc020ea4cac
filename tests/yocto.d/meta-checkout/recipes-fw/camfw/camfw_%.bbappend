# What packaging/source would put into the tarball, as it lies in the checkout.
CAMFW_CHECKOUT := "${@os.path.realpath(d.getVar('THISDIR') + '/../../../../..')}"
FILESEXTRAPATHS:append := ":${CAMFW_CHECKOUT}"

SRC_URI:remove = "${CAMFW_RELEASES}/camfw-${PV}.tar.gz"
# Of tests/ what Cargo.toml names, without which cargo does not read it.
SRC_URI:append = " \
    file://Cargo.toml;subdir=${BP} \
    file://Cargo.lock;subdir=${BP} \
    file://LICENSE;subdir=${BP} \
    file://src;subdir=${BP} \
    file://compat;subdir=${BP} \
    file://mail;subdir=${BP} \
    file://tests/golden.rs;subdir=${BP} \
    file://tests/generate;subdir=${BP} \
    file://packaging/manual.rs;subdir=${BP} \
    file://qemu/overlay/etc/init.d/camfw;subdir=${BP} \
"
