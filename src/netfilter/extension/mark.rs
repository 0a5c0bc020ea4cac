//! `-m mark` and `-j MARK`: the firewall mark of a packet.

use super::words::not;
use super::{Extension, Match, Negatable, Target};

/// A value to compare with a packet's mark, under a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkBits {
    /// The value.
    pub value: u32,
    /// The bits that are compared.
    pub mask: u32,
}

pub(super) const MARK_MATCH: Extension<Match> = Extension {
    name: "mark",
    kernel_option: Some("CONFIG_NETFILTER_XT_MARK"),
    read: |words| {
        words
            .negatable("--mark", |text, _| mark_bits(text))?
            .map(Match::Mark)
    },
};

pub(super) const MARK_TARGET: Extension<Target> = Extension {
    name: "MARK",
    kernel_option: Some("CONFIG_NETFILTER_XT_MARK"),
    read: |words| {
        let bits = mark_bits(words.option("--set-xmark")?)?;
        (bits.mask == u32::MAX).then_some(Target::SetMark(bits.value))
    },
};

pub(super) fn print(bits: Negatable<MarkBits>) -> String {
    let Negatable { negated, value } = bits;
    let MarkBits { value, mask } = value;
    match mask {
        u32::MAX => format!(" {}--mark {value:#x}", not(negated)),
        mask => format!(" {}--mark {value:#x}/{mask:#x}", not(negated)),
    }
}

fn mark_bits(text: &str) -> Option<MarkBits> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some(MarkBits {
        value: hexadecimal(value)?,
        mask: hexadecimal(mask)?,
    })
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
