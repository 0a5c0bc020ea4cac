//! Types for the values of flags that are not defined elsewhere.

use std::net::IpAddr;
use std::str::FromStr;

use crate::error::InvalidValue;
use crate::field::duration;

/// A time to wait: one second to one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

impl FromStr for Seconds {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Seconds, InvalidValue> {
        let seconds = text.parse().ok().or_else(|| duration(text));
        seconds
            .filter(|it| (1..=86_400).contains(it))
            .map(Seconds)
            .ok_or(InvalidValue(
                "is no time from 1 to 86400 seconds; write seconds, or a time as 5m or \"5 minutes\"",
            ))
    }
}

/// Defines a number of a certain width, with the message for one that is too large.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($of:ty), $problem:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) struct $name(pub(super) $of);

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<$name, InvalidValue> {
                let number = number(text).and_then(|number| number.try_into().ok());
                number.map($name).ok_or(InvalidValue($problem))
            }
        }
    };
}

number!(
    /// A TCP or UDP port.
    Port(u16), "is no number up to 65535"
);
number!(
    /// A packet mark.
    Mark(u32), "is no number up to 4294967295"
);
number!(
    /// A time to live, or hop limit.
    Hops(u8), "is no number up to 255"
);

/// A number in decimal, or in hexadecimal with 0x.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// An IPv4 or IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(pub(super) IpAddr);

impl FromStr for Address {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Address, InvalidValue> {
        let address = text.parse().map(Address);
        address.map_err(|_| {
            InvalidValue("is no address; write it as 192.168.8.110 or fd00::1, or a camera's name")
        })
    }
}

/// A time ago, in seconds: a number with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ago(pub(super) u64);

impl FromStr for Ago {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Ago, InvalidValue> {
        let seconds = duration(text).map(Ago);
        seconds.ok_or(InvalidValue("is no time; write it as 90s, 30m, 2h or 7d"))
    }
}
