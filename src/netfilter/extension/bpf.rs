//! `-m bpf`: bits of the source hardware address. No other match looks at a part of it, so
//! that many addresses would be compared one after another.
//!
//! One program is written and read, no other: it loads a byte, keeps some of its bits, and
//! compares. The kernel hands a program the packet from its network header on, and reads what
//! lies before that from SKF_LL_OFF on (bpf_mt in net/netfilter/xt_bpf.c,
//! bpf_internal_load_pointer_neg_helper in kernel/bpf/core.c). Without an Ethernet header
//! something else may lie there, or nothing, which matches nothing.

use super::{Extension, Match};

/// Where the link's header begins (SKF_LL_OFF in include/uapi/linux/filter.h), as the unsigned
/// number that iptables prints.
const LINK_HEADER: u32 = (-0x20_0000_i32).cast_unsigned();

/// Where in it the source address begins.
const SOURCE: u32 = 6;

/// Some bits of one byte of a hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacBits {
    /// The byte, from 0 as the address is written to 5.
    pub byte: u8,
    /// The bits that are compared.
    pub mask: u8,
    /// What they are.
    pub value: u8,
}

impl MacBits {
    /// Whether an address, as a number, has these bits.
    pub fn are_in(self, address: u128) -> bool {
        let byte = address >> (8 * (5 - u32::from(self.byte))) & 0xff;
        byte & u128::from(self.mask) == self.value.into()
    }
}

pub(super) const BPF: Extension<Match> = Extension {
    name: "bpf",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_BPF"),
    read: |words| bits(words.option("--bytecode")?).map(Match::MacBits),
};

/// Loads a byte (48), keeps the bits of a mask (84), skips the next instruction unless they
/// are the value (21), matches (6), does not match.
pub(super) fn print(bits: MacBits) -> String {
    let MacBits { byte, mask, value } = bits;
    let byte = LINK_HEADER + SOURCE + u32::from(byte);
    format!(" --bytecode \"5,48 0 0 {byte},84 0 0 {mask},21 0 1 {value},6 0 0 65535,6 0 0 0\"")
}

fn bits(text: &str) -> Option<MacBits> {
    let mut parts = text.split(',').skip(1);
    let mut number = |before: &str| -> Option<u32> {
        let number = parts.next()?.strip_prefix(before)?;
        number.parse().ok()
    };
    let byte = number("48 0 0 ")?.checked_sub(LINK_HEADER + SOURCE)?;
    let bits = MacBits {
        byte: u8::try_from(byte).ok().filter(|byte| *byte < 6)?,
        mask: number("84 0 0 ")?.try_into().ok()?,
        value: number("21 0 1 ")?.try_into().ok()?,
    };
    let is_whole = print(bits).split('"').nth(1) == Some(text);
    (is_whole && bits.value & !bits.mask == 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "5,48 0 0 4292870155,84 0 0 48,21 0 1 16,6 0 0 65535,6 0 0 0";

    #[test]
    fn the_program_of_bits_is_read_and_no_other() {
        let last = MacBits {
            byte: 5,
            mask: 0x30,
            value: 0x10,
        };
        assert_eq!(bits(TEXT), Some(last));
        assert_eq!(print(last), format!(" --bytecode \"{TEXT}\""));
        for (from, to) in [
            // Not the source's bytes, another width, bits outside the mask.
            ("4292870155", "4292870156"),
            ("4292870155", "4292870149"),
            ("48 0 0 4", "40 0 0 4"),
            ("84 0 0 48", "84 0 0 304"),
            ("21 0 1 16", "21 0 1 17"),
            // Another outcome, more or fewer instructions.
            ("21 0 1", "21 1 0"),
            ("6 0 0 65535", "6 0 0 0"),
            ("5,48", "6,48"),
            (",6 0 0 0", ""),
            (",6 0 0 0", ",6 0 0 0,6 0 0 0"),
        ] {
            assert_eq!(bits(&TEXT.replacen(from, to, 1)), None, "{from} as {to}");
        }
    }

    #[test]
    fn an_address_has_its_bits() {
        let address = 0x0011_2233_44f7;
        let bits = |byte, mask, value| MacBits { byte, mask, value };
        assert!(bits(5, 0x30, 0x30).are_in(address));
        assert!(bits(5, 0x0c, 0x04).are_in(address));
        assert!(bits(1, 0xff, 0x11).are_in(address));
        assert!(!bits(5, 0x30, 0x10).are_in(address));
        assert!(!bits(0, 0x01, 0x01).are_in(address));
    }
}
