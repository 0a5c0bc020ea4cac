# For images: sets the servers up by the configuration that camfw has in the
# image, so that one file says it all. A server that nobody may reach is not
# started, and who may log in has a key.

# A file of public keys, as ssh-keygen writes them: those may log in as root.
CAMFW_AUTHORIZED_KEYS ?= ""

python camfw_configure_services() {
    from pathlib import Path

    import camfwlib.services

    etc = Path(d.getVar("IMAGE_ROOTFS")) / d.getVar("sysconfdir").lstrip("/")
    try:
        off = camfwlib.services.configure(etc)
    except camfwlib.services.ServiceError as error:
        bb.fatal(str(error))
    for server in off:
        bb.note("nobody may reach %s: it is not started" % server)
}
camfw_configure_services[doc] = "Sets the servers up by the configuration in the image"

# Keys alone, but in an image that says that it is open (allow-empty-password).
camfw_keys_alone() {
    ${@bb.utils.contains('IMAGE_FEATURES', 'allow-empty-password', 'return', ':', d)}
    if [ -e ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear ]; then
        sed -i '/^DROPBEAR_EXTRA_ARGS=/d' ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear
        echo 'DROPBEAR_EXTRA_ARGS="-s"' >> ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear
    fi
    if [ -z "${CAMFW_AUTHORIZED_KEYS}" ]; then
        bbwarn "nobody can log in to this image: CAMFW_AUTHORIZED_KEYS names no file of public keys"
        return
    fi
    install -d -m 0700 ${IMAGE_ROOTFS}${ROOT_HOME} ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh
    install -m 0600 "${CAMFW_AUTHORIZED_KEYS}" ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh/authorized_keys
}
camfw_keys_alone[doc] = "Lets in over SSH who has a key, and nobody else"

# It is asked what the configuration says.
do_rootfs[depends] += "camfw-native:do_populate_sysroot"
ROOTFS_POSTPROCESS_COMMAND += "camfw_configure_services camfw_keys_alone"
do_rootfs[file-checksums] += "${@'${CAMFW_AUTHORIZED_KEYS}:True' if d.getVar('CAMFW_AUTHORIZED_KEYS') else ''}"
