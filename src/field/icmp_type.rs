//! ICMP message types and codes.

use std::fmt;

/// An ICMP type, or one code of a type. The named ones are those that a service may
/// list (RFC 792).
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
    /// Echo request, as `ping` sends it.
    pub const ECHO_REQUEST: IcmpType = IcmpType::by_number(8);

    /// Looks a type up by its iptables name.
    pub fn by_name(name: &str) -> Option<IcmpType> {
        ICMP_TYPES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| IcmpType::by_number(*number))
    }

    /// A type by its number, with any code.
    pub const fn by_number(number: u8) -> IcmpType {
        IcmpType { number, code: None }
    }

    /// Narrows the type to one code.
    pub const fn with_code(self, code: u8) -> IcmpType {
        IcmpType {
            code: Some(code),
            ..self
        }
    }

    /// The type's number.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The code, or None for any code.
    pub const fn code(self) -> Option<u8> {
        self.code
    }

    /// All names, for a message.
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
