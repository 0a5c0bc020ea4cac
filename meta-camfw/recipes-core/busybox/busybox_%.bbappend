require ${@bb.utils.contains('DISTRO_FEATURES', 'camfw', 'camfw-busybox.inc', '', d)}
