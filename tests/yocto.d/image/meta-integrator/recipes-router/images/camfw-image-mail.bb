# Uploads become mail.
require recipes-core/images/camfw-image.bb

CAMFW_MAIL = "1"
