require ${@bb.utils.contains('DISTRO_FEATURES', 'camfw', 'recipes-kernel/linux/camfw-kernel.inc', '', d)}
