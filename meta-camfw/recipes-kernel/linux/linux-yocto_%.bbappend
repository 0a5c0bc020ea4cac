require ${@bb.utils.contains('DISTRO_FEATURES', 'camfw', 'camfw-linux-yocto.inc', '', d)}
