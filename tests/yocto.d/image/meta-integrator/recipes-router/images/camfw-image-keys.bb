# Nobody logs in but with a key: as the board's image is, which has no password for root.
require recipes-core/images/camfw-image.bb

EXTRA_IMAGE_FEATURES = ""
CAMFW_AUTHORIZED_KEYS = "${VARIANTS_KEYS}"
