# Its scripts are in no image, and perl is not built here.
RDEPENDS:${PN}-misc:remove = "perl"
