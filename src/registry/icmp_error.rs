//! ICMP and ICMPv6 errors: messages about the fate of another packet.
//!
//! Each quotes the packet that it is about, and so carries bytes that its sender chose to
//! that packet's sender.

use crate::family::IpFamily;

/// An error that a connection needs to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorMessage {
    /// Its ICMP or ICMPv6 type.
    pub(crate) number: u8,
    /// Its name in its RFC.
    pub(crate) name: &'static str,
}

/// RFC 792. Without source quench (4), which RFC 6633 deprecates, and without redirect (5),
/// by which a host could reroute another's traffic.
const IPV4: &[ErrorMessage] = &[
    // With code 4 it says that a packet was too big (RFC 1191).
    error(3, "destination unreachable"),
    error(11, "time exceeded"),
    error(12, "parameter problem"),
];

/// RFC 4443, 3; RFC 4890, 4.3.1 says that these must not be dropped.
const IPV6: &[ErrorMessage] = &[
    error(1, "destination unreachable"),
    error(2, "packet too big"),
    error(3, "time exceeded"),
    error(4, "parameter problem"),
];

const fn error(number: u8, name: &'static str) -> ErrorMessage {
    ErrorMessage { number, name }
}

/// The errors of a family that may pass.
pub(crate) fn errors(family: IpFamily) -> &'static [ErrorMessage] {
    match family {
        IpFamily::V4 => IPV4,
        IpFamily::V6 => IPV6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 792 and RFC 6633; RFC 4443, 2.1.
    #[test]
    fn what_passes_is_an_error_and_no_redirect() {
        for (family, passes) in [
            (IpFamily::V4, vec![3, 11, 12]),
            (IpFamily::V6, vec![1, 2, 3, 4]),
        ] {
            let listed: Vec<u8> = errors(family).iter().map(|it| it.number).collect();
            assert_eq!(listed, passes);
        }
        for redirect in [4, 5] {
            assert!(errors(IpFamily::V4).iter().all(|it| it.number != redirect));
        }
        assert!(errors(IpFamily::V6).iter().all(|it| it.number != 137));
    }
}
