FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

# nooelint: oelint.vars.specific
CAMFW_CONF:ls1046afrwy = "ls1046afrwy.toml"
