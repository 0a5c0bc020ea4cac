//! `-m multiport`: any port of a list.

use super::words::not;
use super::{Extension, Match, Negatable, Words};
use crate::field::PortRange;

pub(super) const MULTIPORT: Extension<Match> = Extension {
    name: "multiport",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_MULTIPORT"),
    read,
};

/// A list of ports with at most [`MULTIPORT_MAX`] entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiport {
    /// Which of the packet's ports is compared.
    pub side: PortSide,
    /// The ports, one of which must match.
    pub ports: Box<[PortRange]>,
}

/// Which of a packet's ports a multiport match compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSide {
    /// `--sports`
    Source,
    /// `--dports`
    Destination,
    /// `--ports`: the source or the destination port
    Either,
}

/// The most ports in one multiport match, with a range counting as two: XT_MULTI_PORTS
/// (include/uapi/linux/netfilter/xt_multiport.h).
pub const MULTIPORT_MAX: usize = 15;

impl PortSide {
    const OPTIONS: [(PortSide, &'static str); 3] = [
        (PortSide::Source, "--sports"),
        (PortSide::Destination, "--dports"),
        (PortSide::Either, "--ports"),
    ];
}

pub(super) fn print(ports: &Negatable<Multiport>) -> String {
    let Negatable { negated, value } = ports;
    let list: Vec<String> = value.ports.iter().map(ToString::to_string).collect();
    let mut options = PortSide::OPTIONS.into_iter();
    let option = options.find(|(side, _)| *side == value.side);
    let (_, option) = option.unwrap_or((PortSide::Either, "--ports"));
    format!(" {}{option} {}", not(*negated), list.join(","))
}

fn read(words: &mut Words<'_>) -> Option<Match> {
    for (side, option) in PortSide::OPTIONS {
        let found = words.negatable(option, |text, _| {
            let ports = text.split(',').map(PortRange::parse_any);
            let ports = ports.collect::<Option<Box<_>>>()?;
            Some(Multiport { side, ports })
        })?;
        if let Some(found) = found {
            return Some(Match::Multiport(found));
        }
    }
    None
}
