require ${@bb.utils.contains('DISTRO_FEATURES', 'camfw', 'camfw-vsftpd.inc', '', d)}
