//! `-m conntrack` and its older form `-m state`: the state and addresses of a packet's
//! connection.

use std::net::IpAddr;

use ipnet::IpNet;

use super::words::not;
use super::{Extension, Match, Negatable, Words};

pub(super) const CONNTRACK: Extension<Match> = Extension {
    name: "conntrack",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_CONNTRACK"),
    read,
};

/// Parsed only; camfw's own rules use conntrack.
pub(super) const STATE: Extension<Match> = Extension {
    name: "state",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_STATE"),
    read: |words| {
        words
            .negatable("--state", |text, _| CtStates::by_names(text))?
            .map(Match::Conntrack)
    },
};

/// A set of conntrack states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtStates(u8);

impl CtStates {
    /// Conntrack could not assign the packet to a connection.
    pub const INVALID: CtStates = CtStates(1);
    /// The first packet of a connection.
    pub const NEW: CtStates = CtStates(2);
    /// Caused by a connection that exists.
    pub const RELATED: CtStates = CtStates(4);
    /// Part of a connection that exists.
    pub const ESTABLISHED: CtStates = CtStates(8);
    /// Exempted from conntrack in table raw.
    pub const UNTRACKED: CtStates = CtStates(16);
    /// The connection's source address is rewritten.
    pub const SNAT: CtStates = CtStates(32);
    /// The connection's destination address is rewritten.
    pub const DNAT: CtStates = CtStates(64);

    /// Each state with its name, in the order in which iptables lists them.
    pub const NAMES: [(CtStates, &'static str); 7] = [
        (CtStates::INVALID, "INVALID"),
        (CtStates::NEW, "NEW"),
        (CtStates::RELATED, "RELATED"),
        (CtStates::ESTABLISHED, "ESTABLISHED"),
        (CtStates::UNTRACKED, "UNTRACKED"),
        (CtStates::SNAT, "SNAT"),
        (CtStates::DNAT, "DNAT"),
    ];

    /// Whether it contains every state of `other`.
    pub const fn contains(self, other: CtStates) -> bool {
        self.0 & other.0 == other.0
    }

    /// The states of both.
    pub const fn with(self, other: CtStates) -> CtStates {
        CtStates(self.0 | other.0)
    }

    /// Parses names separated by commas; None if one is unknown, or if there are none.
    pub fn by_names(names: &str) -> Option<CtStates> {
        let mut bits = 0;
        for name in names.split(',') {
            let (state, _) = CtStates::NAMES.iter().find(|(_, known)| *known == name)?;
            bits |= state.0;
        }
        Some(CtStates(bits))
    }

    /// The names, separated by commas.
    fn names(self) -> String {
        let named = CtStates::NAMES.iter();
        let held: Vec<&str> = named
            .filter(|(state, _)| self.contains(*state))
            .map(|(_, name)| *name)
            .collect();
        held.join(",")
    }
}

/// Conditions on a packet's connection, in addition to its states. All of them must hold:
/// addresses in one match are ANDed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The packet has one of these states.
    pub states: CtStates,
    /// An address of the connection is in this network.
    pub end: Option<(TupleAddress, IpNet)>,
    /// `--ctstatus EXPECTED`: whether a helper expected the connection.
    pub expected: bool,
    /// The packet's direction in the connection.
    pub direction: Option<CtDirection>,
}

/// An address of a connection. Conntrack keeps one tuple of source and destination for the
/// original direction, and one for the reply direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleAddress {
    /// `--ctorigsrc`: who opened the connection.
    OriginalSource,
    /// `--ctorigdst`: whom it was opened to, before any rewriting.
    OriginalDestination,
    /// `--ctreplsrc`: who answers.
    ReplySource,
    /// `--ctrepldst`: whom answers go to, before they are rewritten back.
    ReplyDestination,
}

impl TupleAddress {
    /// Each address with its option, in the order in which iptables-save prints them.
    pub const OPTIONS: [(TupleAddress, &'static str); 4] = [
        (TupleAddress::OriginalSource, "--ctorigsrc"),
        (TupleAddress::OriginalDestination, "--ctorigdst"),
        (TupleAddress::ReplySource, "--ctreplsrc"),
        (TupleAddress::ReplyDestination, "--ctrepldst"),
    ];
}

/// A packet's direction in its connection (`--ctdir`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtDirection {
    /// That of the packet that opened the connection.
    Original,
    /// That of the answers.
    Reply,
}

impl CtDirection {
    /// The word that iptables uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            CtDirection::Original => "ORIGINAL",
            CtDirection::Reply => "REPLY",
        }
    }
}

pub(super) fn print_states(states: Negatable<CtStates>) -> String {
    let Negatable { negated, value } = states;
    format!(" {}--ctstate {}", not(negated), value.names())
}

pub(super) fn print(connection: &Connection) -> String {
    let mut text = format!(" --ctstate {}", connection.states.names());
    if let Some((which, network)) = connection.end {
        let mut options = TupleAddress::OPTIONS.into_iter();
        if let Some((_, option)) = options.find(|(known, _)| *known == which) {
            // A single address is printed without a prefix length.
            let network = match network.prefix_len() == network.max_prefix_len() {
                true => network.addr().to_string(),
                false => network.to_string(),
            };
            text += &format!(" {option} {network}");
        }
    }
    if connection.expected {
        text += " --ctstatus EXPECTED";
    }
    if let Some(direction) = connection.direction {
        text += &format!(" --ctdir {}", direction.as_str());
    }
    text
}

/// Two numbers that are the same are printed once.
pub(super) fn print_expires(seconds: u32) -> String {
    match seconds {
        0 => " --ctexpire 0".to_owned(),
        _ => format!(" --ctexpire 0:{seconds}"),
    }
}

/// Set once the first packet of a connection has been let through (IPS_CONFIRMED).
pub(super) const IN_TABLE: &str = " --ctstatus CONFIRMED";

/// Parses states alone, or with conditions on the connection; None if there are conditions
/// that camfw's rules never have.
fn read(words: &mut Words<'_>) -> Option<Match> {
    let Some(states) = words.negatable("--ctstate", |text, _| CtStates::by_names(text)) else {
        if let Some(seconds) = words.option("--ctexpire") {
            let seconds = match seconds {
                "0" => 0,
                range => range.strip_prefix("0:")?.parse().ok()?,
            };
            return Some(Match::ExpiresWithin(seconds));
        }
        return (words.option("--ctstatus")? == "CONFIRMED").then_some(Match::InTable);
    };
    let states = states?;
    let mut end = None;
    for (which, name) in TupleAddress::OPTIONS {
        if let Some(text) = words.option(name) {
            let network = text.parse().ok();
            let network = network.or_else(|| text.parse().ok().map(|at: IpAddr| IpNet::from(at)));
            if end.replace((which, network?)).is_some() {
                return None;
            }
        }
    }
    let expected = match words.option("--ctstatus") {
        None => false,
        Some("EXPECTED") => true,
        Some(_) => return None,
    };
    let direction = match words.option("--ctdir") {
        None => None,
        Some("ORIGINAL") => Some(CtDirection::Original),
        Some("REPLY") => Some(CtDirection::Reply),
        Some(_) => return None,
    };
    if end.is_none() && !expected && direction.is_none() {
        return Some(Match::Conntrack(states));
    }
    (!states.negated).then_some(Match::Connection(Connection {
        states: states.value,
        end,
        expected,
        direction,
    }))
}
