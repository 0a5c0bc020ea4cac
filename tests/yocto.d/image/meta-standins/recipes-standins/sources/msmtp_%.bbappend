# OpenSSL is built for vsftpd; GnuTLS and its libraries are not. The release's own configure.
DEPENDS:remove = "gnutls"
DEPENDS:append = " openssl"
EXTRA_OECONF += "--with-tls=openssl"
# Else it is aarch64-oe-linux-musl-msmtp: OE-Core's autoconf leaves the names of programs alone.
EXTRA_OECONF += "--program-prefix="
# A word of C23, which OE-Core's gcc speaks by itself and Debian's does not.
CFLAGS:append = " -include stdbool.h"

do_configure() {
    oe_runconf
}
