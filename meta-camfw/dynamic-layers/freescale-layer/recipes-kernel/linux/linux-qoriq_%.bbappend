require ${@bb.utils.contains('DISTRO_FEATURES', 'camfw', 'camfw-linux-qoriq.inc', '', d)}
