FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

CAMFW_CONF_DEFAULT:ls1046afrwy = "ls1046afrwy.toml"
