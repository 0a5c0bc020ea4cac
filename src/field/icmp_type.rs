//! The type of an ICMP message, and its code if there is one.

use std::fmt;

/// An ICMP type, or just one code of it. Those with a name are the ones that a
/// service may name (RFC 792).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IcmpType {
    number: u8,
    code: Option<u8>,
}

const ICMP_TYPES: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
];

impl IcmpType {
    /// What `ping` sends.
    pub const ECHO_REQUEST: IcmpType = IcmpType::by_number(8);

    /// By the name that iptables has for it.
    pub fn by_name(name: &str) -> Option<IcmpType> {
        ICMP_TYPES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| IcmpType::by_number(*number))
    }

    /// By its number.
    pub const fn by_number(number: u8) -> IcmpType {
        IcmpType { number, code: None }
    }

    /// Just this code of it.
    pub const fn with_code(self, code: u8) -> IcmpType {
        IcmpType {
            code: Some(code),
            ..self
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The one code that is meant, if not every one is.
    pub const fn code(self) -> Option<u8> {
        self.code
    }

    /// Every name, for a message.
    pub fn names() -> String {
        let names: Vec<&str> = ICMP_TYPES.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl fmt::Display for IcmpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None => write!(f, "{}", self.number),
            Some(code) => write!(f, "{}/{code}", self.number),
        }
    }
}
