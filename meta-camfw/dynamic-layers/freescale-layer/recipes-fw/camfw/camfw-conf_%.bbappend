FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

CAMFW_CONF:ls1046afrwy = "ls1046afrwy.toml"
