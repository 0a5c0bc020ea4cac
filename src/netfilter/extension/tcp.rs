//! `-m tcp`: ports and flags.

use super::words::{not, print_ports};
use super::{Extension, Match, Negatable, Words};
use crate::field::PortRange;

pub(super) const TCP: Extension<Match> = Extension {
    name: "tcp",
    kernel_option: None,
    read,
};

/// A condition on TCP flags: of those in `mask`, exactly those in `set` are set. Bits as in
/// the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags {
    /// The flags that are examined.
    pub mask: u8,
    /// Those that must be set.
    pub set: u8,
}

impl TcpFlags {
    /// The first packet of a connection: of SYN, ACK, FIN and RST only SYN is set.
    pub const OPENING: TcpFlags = TcpFlags {
        mask: 0b01_0111,
        set: 0b00_0010,
    };
    /// A reset: RST is set, the others do not matter.
    pub const RESET: TcpFlags = TcpFlags {
        mask: 0b00_0100,
        set: 0b00_0100,
    };
    /// The names of the flags, from the lowest bit.
    pub const NAMES: [&'static str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

    /// The names of the flags that are set, separated by commas; None if none is.
    pub fn names(flags: u128) -> Option<String> {
        let named = TcpFlags::NAMES.iter().enumerate();
        let on: Vec<&str> = named
            .filter(|(bit, _)| flags >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        (!on.is_empty()).then(|| on.join(","))
    }
}

pub(super) fn print(
    sport: Option<Negatable<PortRange>>,
    dport: Option<Negatable<PortRange>>,
    flags: Option<Negatable<TcpFlags>>,
) -> String {
    let mut text = print_ports(sport, dport);
    if let Some(Negatable { negated, value }) = flags {
        let names = |flags: u8| TcpFlags::names(flags.into()).unwrap_or_else(|| "NONE".into());
        let (mask, set) = (names(value.mask), names(value.set));
        text += &format!(" {}--tcp-flags {mask} {set}", not(negated));
    }
    text
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    Some(Match::Tcp {
        sport: words.ports("--sport")?,
        dport: words.ports("--dport")?,
        flags: flags(words)?,
    })
}

/// Parses a list of flags or, as people write it, `--syn`.
fn flags(words: &mut Words<'_>) -> Option<Option<Negatable<TcpFlags>>> {
    let mut ahead = *words;
    let negated = ahead.next_if_eq("!").is_some();
    if ahead.next_if_eq("--syn").is_some() {
        *words = ahead;
        let value = TcpFlags::OPENING;
        return Some(Some(Negatable { negated, value }));
    }
    words.negatable("--tcp-flags", |mask, words| {
        Some(TcpFlags {
            mask: tcp_flags(mask)?,
            set: tcp_flags(words.next()?)?,
        })
    })
}

fn tcp_flags(text: &str) -> Option<u8> {
    let bit = |name: &str| TcpFlags::NAMES.iter().position(|known| *known == name);
    match text {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        names => names
            .split(',')
            .try_fold(0, |flags, name| Some(flags | 1 << bit(name)?)),
    }
}
