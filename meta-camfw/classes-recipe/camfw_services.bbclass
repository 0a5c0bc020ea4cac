# For images: sets the servers up by the configuration that camfw has in the
# image, so that one file says it all. A server that nobody may reach is not
# started, who may log in has a key, and nothing else configures interfaces or
# netfilter's tables.

# A file of public keys, as ssh-keygen writes them: those may log in as root.
CAMFW_AUTHORIZED_KEYS ?= ""

# Services that may configure interfaces or tables beside camfw, by the name of
# their script or unit: systemd-networkd, kept off camfw's interfaces, say.
CAMFW_OTHER_WRITERS ?= ""

# For a root that is read-only, under sysvinit: the device of the partition that
# /etc/camfw, /var/lib, vsftpd's folder and the mail server's password are to lie on.
CAMFW_DATA_DEVICE ?= ""

# Nothing else is asked when a recipe is read, before anything is built.
# nooelint: oelint.task.noanonpython
python () {
    import camfwlib.distribution

    why = camfwlib.distribution.refusal(
        iptables=d.getVar("CAMFW_IPTABLES") or "legacy", layers=d.getVar("BBFILE_COLLECTIONS").split(),
        data_device=d.getVar("CAMFW_DATA_DEVICE"), features=d.getVar("DISTRO_FEATURES").split())
    if why:
        raise bb.parse.SkipRecipe(why)
}

python camfw_configure_services() {
    from pathlib import Path

    import camfwlib.distribution
    import camfwlib.services

    # Not when the recipe is read, which is also done where nobody builds it.
    if "camfw" not in d.getVar("DISTRO_FEATURES").split():
        bb.warn(camfwlib.distribution.NO_FEATURE)
    try:
        off = camfwlib.services.configure(Path(d.getVar("IMAGE_ROOTFS")))
    except camfwlib.services.ServiceError as error:
        bb.fatal(str(error))
    for server in off:
        bb.note("nobody may reach %s: it is not started" % server)
}
camfw_configure_services[doc] = "Sets the servers up by the configuration in the image"

python camfw_only_writer() {
    from pathlib import Path

    import camfwlib.writers

    allowed = frozenset(d.getVar("CAMFW_OTHER_WRITERS").split())
    others = camfwlib.writers.found(Path(d.getVar("IMAGE_ROOTFS")), allowed)
    if others:
        bb.fatal("\n".join(others))
}
camfw_only_writer[doc] = "Fails the image where anything else would configure interfaces or tables"

# Keys alone, but in an image that says that it is open (allow-empty-password).
camfw_keys_alone() {
    ${@bb.utils.contains('IMAGE_FEATURES', 'allow-empty-password', 'return', ':', d)}
    if [ -e ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear ]; then
        # What the file says above its own line is about passwords, and no longer true.
        sed -i '/^DROPBEAR_EXTRA_ARGS=/d; /^# Disallow root/d' ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear
        printf '%s\n' '# Keys alone: nobody logs in by a password.' 'DROPBEAR_EXTRA_ARGS="-s"' \
            >> ${IMAGE_ROOTFS}${sysconfdir}/default/dropbear
    fi
    if [ -z "${CAMFW_AUTHORIZED_KEYS}" ]; then
        bbwarn "nobody can log in to this image: CAMFW_AUTHORIZED_KEYS names no file of public keys"
        return
    fi
    install -d -m 0700 ${IMAGE_ROOTFS}${ROOT_HOME} ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh
    install -m 0600 "${CAMFW_AUTHORIZED_KEYS}" ${IMAGE_ROOTFS}${ROOT_HOME}/.ssh/authorized_keys
}
camfw_keys_alone[doc] = "Lets in over SSH who has a key, and nobody else"

# The init script mounts it before camfw reads a file (CAMFW_DATA).
camfw_keep_on_data() {
    [ -n "${CAMFW_DATA_DEVICE}" ] || return 0
    install -d ${IMAGE_ROOTFS}/data ${IMAGE_ROOTFS}${sysconfdir}/default
    echo "${CAMFW_DATA_DEVICE} /data auto noauto,noatime,nodev,noexec,nosuid 0 0" >> ${IMAGE_ROOTFS}${sysconfdir}/fstab
    {
        echo "CAMFW_DATA=/data"
        places="${sysconfdir}/camfw ${localstatedir}/lib"
        for place in ${sysconfdir}/camfw-mail ${servicedir}/ftp; do
            [ ! -d ${IMAGE_ROOTFS}$place ] || places="$places $place"
        done
        echo "CAMFW_ON_DATA=\"$places\""
    } >> ${IMAGE_ROOTFS}${sysconfdir}/default/camfw
}
camfw_keep_on_data[doc] = "Has the init script lay what is written on a partition of its own"

# It is asked what the configuration says.
do_rootfs[depends] += "camfw-native:do_populate_sysroot"
ROOTFS_POSTPROCESS_COMMAND += "camfw_configure_services camfw_keys_alone camfw_keep_on_data"
# After all others: systemd's presets make links too (systemd_handle_machine_id of OE-Core).
ROOTFS_POSTPROCESS_COMMAND:append = " camfw_only_writer"
do_rootfs[file-checksums] += "${@'${CAMFW_AUTHORIZED_KEYS}:True' if d.getVar('CAMFW_AUTHORIZED_KEYS') else ''}"
