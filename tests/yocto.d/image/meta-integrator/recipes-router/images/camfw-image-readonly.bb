# A root that nothing writes to, and a partition for what is written (README.md, "A read-only root").
require recipes-core/images/camfw-image.bb

IMAGE_FEATURES += "read-only-rootfs"
CAMFW_DATA_DEVICE = "/dev/vdb"
