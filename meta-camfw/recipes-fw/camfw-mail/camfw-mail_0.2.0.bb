SUMMARY = "Sends what cameras upload as mail"
DESCRIPTION = "A program beside camfw, with a user of its own and no right of the firewall's: it \
               gives whole pictures and clips to msmtp, and removes each when the mail server has \
               it. It does nothing unless camfw's file has [mail]."
SECTION = "net"
CVE_PRODUCT = "camfw"

require recipes-fw/camfw/camfw-program.inc

inherit cargo update-rc.d systemd useradd

# After the logs, and ended before them.
INITSCRIPT_NAME = "camfw-mail"
INITSCRIPT_PARAMS = "defaults 85 15"
SYSTEMD_SERVICE:${PN} = "camfw-mail.service"
# For boxes whose file has [mail].
SYSTEMD_AUTO_ENABLE = "disable"

# It reads what the FTP server's user wrote by that one's group, whichever package made it.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system ftp"
USERADD_PARAM:${PN} = "--system --user-group --groups ftp --no-create-home --home-dir /nonexistent --shell /bin/false camfw-mail"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/camfw-mail ${D}${sbindir}/camfw-mail
    install -D -m 0755 ${S}/mail/init/camfw-mail ${D}${sysconfdir}/init.d/camfw-mail
    install -D -m 0755 ${S}/mail/init/camfw-mail-prepare ${D}${libexecdir}/camfw-mail-prepare
    install -D -m 0644 ${S}/mail/init/camfw-mail.service ${D}${systemd_system_unitdir}/camfw-mail.service
    install -D -m 0644 ${S}/mail/camfw-mail.8 ${D}${mandir}/man8/camfw-mail.8
    # Its password lies there.
    install -d -m 0750 -g camfw-mail ${D}${sysconfdir}/camfw-mail
}

FILES:${PN} += "${systemd_system_unitdir}"

# The FTP server is the image's to choose: camfw-ftp brings one.
RDEPENDS:${PN} = "\
    ca-certificates \
    camfw \
    msmtp \
"
