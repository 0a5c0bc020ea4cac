# The release's own configure; what its do_configure:append asks of autotools is left.
do_configure() {
    oe_runconf
    echo "/* Dropbear features */" > ${B}/localoptions.h
}
