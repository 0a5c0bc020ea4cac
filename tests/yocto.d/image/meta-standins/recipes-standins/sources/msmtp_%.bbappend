# OpenSSL is built for vsftpd; GnuTLS and its libraries are not. The release's own configure.
DEPENDS:remove = "gnutls"
DEPENDS:append = " openssl"
EXTRA_OECONF += "--with-tls=openssl"

do_configure() {
    oe_runconf
}
