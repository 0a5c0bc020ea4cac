//! The words with which the kernel passes on a refused packet: where it came from, and why
//! it was refused.
//!
//! Owns that text, `ZONE REASON`: the compiler writes no other to the packet log, and what
//! was refused is told by this text alone.

use std::fmt;
use std::str::FromStr;

use super::rule_label::NotALabel;
use crate::name::{LogPrefix, ZoneName};

/// Where a refused packet came from, and why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusalTag {
    /// The zone's name; None for the router's own packets.
    pub zone: Option<ZoneName>,
    /// The reason.
    pub reason: RefusalReason,
}

/// Why a packet was refused, as far as one rule can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// No allow line lets it through, or not now.
    NotAllowed,
    /// Its source is none that the zone can have.
    Spoofed,
    /// Its source is no listed camera, and only these may send.
    Unknown,
    /// Its source is none that a host on the internet can have.
    Bogon,
    /// The zone's bound is used up.
    TooMany,
    /// Its hardware address is that of a camera that is listed in another zone.
    Misplaced,
}

/// Whether a policy has refused packets recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recordable {
    /// It has none recorded.
    Nothing,
    /// It would, and this kernel cannot pass them to a program.
    NotByThisKernel,
    /// Those of some zone, or the router's.
    Some,
}

impl RefusalReason {
    const ALL: [RefusalReason; 6] = [
        RefusalReason::NotAllowed,
        RefusalReason::Spoofed,
        RefusalReason::Unknown,
        RefusalReason::Bogon,
        RefusalReason::TooMany,
        RefusalReason::Misplaced,
    ];

    /// The reason in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalReason::NotAllowed => "not-allowed",
            RefusalReason::Spoofed => "spoofed",
            RefusalReason::Unknown => "unknown",
            RefusalReason::Bogon => "bogon",
            RefusalReason::TooMany => "too-many",
            RefusalReason::Misplaced => "misplaced",
        }
    }

    /// Whether the source may be made up: rules have not checked that the zone has it, or
    /// its sender took another host's.
    pub fn has_unchecked_source(self) -> bool {
        match self {
            RefusalReason::Spoofed
            | RefusalReason::Unknown
            | RefusalReason::Bogon
            | RefusalReason::Misplaced => true,
            RefusalReason::NotAllowed | RefusalReason::TooMany => false,
        }
    }
}

impl FromStr for RefusalReason {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<RefusalReason, NotALabel> {
        let mut all = RefusalReason::ALL.into_iter();
        all.find(|reason| reason.as_str() == text).ok_or(NotALabel)
    }
}

const ROUTER: &str = "router";

impl fmt::Display for RefusalTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.as_ref().map_or(ROUTER, ZoneName::as_str);
        write!(f, "{zone} {}", self.reason.as_str())
    }
}

impl FromStr for RefusalTag {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<RefusalTag, NotALabel> {
        let (zone, reason) = text.split_once(' ').ok_or(NotALabel)?;
        let zone = match zone {
            ROUTER => None,
            zone => Some(ZoneName::try_from(zone).map_err(|_| NotALabel)?),
        };
        let reason = reason.parse()?;
        Ok(RefusalTag { zone, reason })
    }
}

impl RefusalTag {
    /// The tag as the kernel takes it.
    pub fn prefix(&self) -> LogPrefix {
        RefusalTag::short(&self.to_string())
    }

    /// The same before the fields of a packet that the kernel logs, which begin at once.
    pub fn log_prefix(&self) -> LogPrefix {
        RefusalTag::short(&format!("{self} "))
    }

    #[allow(clippy::expect_used)]
    fn short(text: &str) -> LogPrefix {
        LogPrefix::try_from(text).expect("made of short plain words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ZONE_NAME_MAX;

    #[test]
    fn a_tag_is_read_back_as_it_was_written() -> Result<(), Box<dyn std::error::Error>> {
        let longest = ZoneName::try_from("z".repeat(ZONE_NAME_MAX).as_str())?;
        for zone in [None, Some(longest)] {
            for reason in RefusalReason::ALL {
                let zone = zone.clone();
                let tag = RefusalTag { zone, reason };
                assert_eq!(tag.log_prefix().as_str().trim_end(), tag.prefix().as_str());
                assert_eq!(tag.prefix().as_str().parse(), Ok(tag));
            }
        }
        for text in ["", "camera", "camera x", "Camera spoofed", " spoofed"] {
            assert_eq!(text.parse::<RefusalTag>(), Err(NotALabel), "{text}");
        }
        Ok(())
    }
}
