//! Ports that the code refers to by name, from IANA's registry of service names and port
//! numbers.

/// The control connection of FTP (RFC 959, 5.2).
pub(crate) const FTP: u16 = 21;

/// HTTP (RFC 9110, 4.2.1).
pub(crate) const HTTP: u16 = 80;

/// Network time (RFC 5905, 7.2).
pub(crate) const NTP: u16 = 123;

/// The port of DHCP servers (RFC 2131, 4.1).
pub(crate) const DHCP_SERVER: u16 = 67;

/// The port of DHCP clients (RFC 2131, 4.1).
pub(crate) const DHCP_CLIENT: u16 = 68;

/// The port of DHCPv6 servers (RFC 8415, 7.2).
pub(crate) const DHCPV6_SERVER: u16 = 547;

/// WireGuard, as its own examples have it; there is none by registry.
pub(crate) const WIREGUARD: u16 = 51820;

/// DNS (RFC 1035, 4.2).
pub(crate) const DNS: u16 = 53;
