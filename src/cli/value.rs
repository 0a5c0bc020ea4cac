//! Values of flags that no other room has a type for.

use std::net::IpAddr;
use std::str::FromStr;

use crate::error::InvalidValue;

/// A time to wait, of a second to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

impl FromStr for Seconds {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Seconds, InvalidValue> {
        let seconds = text.parse().ok().filter(|it| (1..=86_400).contains(it));
        seconds
            .map(Seconds)
            .ok_or(InvalidValue("is not a number of seconds from 1 to 86400"))
    }
}

/// A port, or any other number of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port(pub(super) u16);

impl FromStr for Port {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Port, InvalidValue> {
        let port = number(text).and_then(|it| it.try_into().ok());
        port.map(Port)
            .ok_or(InvalidValue("is no number up to 65535"))
    }
}

/// A packet's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(pub(super) u32);

impl FromStr for Mark {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Mark, InvalidValue> {
        number(text)
            .map(Mark)
            .ok_or(InvalidValue("is no number up to 4294967295"))
    }
}

/// A time to live, or hop limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hops(pub(super) u8);

impl FromStr for Hops {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Hops, InvalidValue> {
        let hops = number(text).and_then(|it| it.try_into().ok());
        hops.map(Hops).ok_or(InvalidValue("is no number up to 255"))
    }
}

/// A number in decimal, or with 0x before it.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// An address of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(pub(super) IpAddr);

impl FromStr for Address {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Address, InvalidValue> {
        let address = text.parse().map(Address);
        address.map_err(|_| InvalidValue("is no address; write it as 192.168.8.110 or fd00::1"))
    }
}
