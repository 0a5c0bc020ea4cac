# Has init start a program, and start it again when it ends: by a line of inittab,
# where there is one. Under systemd a unit does.

# The command, and the line's name of two letters in sysvinit's inittab.
CAMFW_RESPAWN ?= ""
CAMFW_RESPAWN_ID ?= ""

# busybox's lines have no name (it would be a terminal) and no runlevels.
pkg_postinst:${PN}:class-target() {
    inittab=$D${sysconfdir}/inittab
    if [ -f "$inittab" ] && ! grep -q "respawn:${CAMFW_RESPAWN}$" "$inittab"; then
        name=${CAMFW_RESPAWN_ID}:2345
        ! grep -q "^::sysinit:" "$inittab" || name=:
        echo "$name:respawn:${CAMFW_RESPAWN}" >> "$inittab"
    fi
}

pkg_prerm:${PN}:class-target() {
    [ ! -f "$D${sysconfdir}/inittab" ] || sed -i "\,:respawn:${CAMFW_RESPAWN}$,d" "$D${sysconfdir}/inittab"
}
