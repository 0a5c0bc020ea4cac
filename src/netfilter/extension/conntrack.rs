//! `-m conntrack`, and `-m state`, its older form: what is known of the connection
//! that a packet belongs to.

use std::net::IpAddr;

use ipnet::IpNet;

use super::words::not;
use super::{Extension, Match, Negatable, Words};

pub(super) const CONNTRACK: Extension<Match> = Extension {
    name: "conntrack",
    kernel_option: Some("CONFIG_NETFILTER_XT_MATCH_CONNTRACK"),
    read,
};

/// Read only: our own rules say conntrack.
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
    /// No state can be given to it.
    pub const INVALID: CtStates = CtStates(1);
    /// The first packet of a connection.
    pub const NEW: CtStates = CtStates(2);
    /// Brought about by a connection that was let through.
    pub const RELATED: CtStates = CtStates(4);
    /// Part of a connection that was let through.
    pub const ESTABLISHED: CtStates = CtStates(8);
    /// Kept from conntrack by table raw.
    pub const UNTRACKED: CtStates = CtStates(16);
    /// Its source address is rewritten.
    pub const SNAT: CtStates = CtStates(32);
    /// Its destination address is rewritten.
    pub const DNAT: CtStates = CtStates(64);

    /// Each with its name, in the order in which iptables lists them.
    pub const NAMES: [(CtStates, &'static str); 7] = [
        (CtStates::INVALID, "INVALID"),
        (CtStates::NEW, "NEW"),
        (CtStates::RELATED, "RELATED"),
        (CtStates::ESTABLISHED, "ESTABLISHED"),
        (CtStates::UNTRACKED, "UNTRACKED"),
        (CtStates::SNAT, "SNAT"),
        (CtStates::DNAT, "DNAT"),
    ];

    /// Whether every state of `other` is in it.
    pub const fn contains(self, other: CtStates) -> bool {
        self.0 & other.0 == other.0
    }

    /// By their names; None if one is none or there is none.
    pub fn by_names(names: &str) -> Option<CtStates> {
        let mut bits = 0;
        for name in names.split(',') {
            let (state, _) = CtStates::NAMES.iter().find(|(_, known)| *known == name)?;
            bits |= state.0;
        }
        Some(CtStates(bits))
    }

    /// Their names, with commas between them.
    fn names(self) -> String {
        let named = CtStates::NAMES.iter();
        let held: Vec<&str> = named
            .filter(|(state, _)| self.contains(*state))
            .map(|(_, name)| *name)
            .collect();
        held.join(",")
    }
}

/// What is asked of the connection that a packet belongs to, beside its state.
/// All of it must hold: ends in one match are ANDed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The packet's states, any of these.
    pub states: CtStates,
    /// An address of the connection.
    pub end: Option<(TupleAddress, IpNet)>,
    /// `--ctstatus EXPECTED`: whether a helper expected it.
    pub expected: bool,
    /// The way that the packet takes in it.
    pub direction: Option<CtDirection>,
}

/// An address of conntrack's tuples: of the one in the direction in which the
/// connection was opened, and of the one in which it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleAddress {
    /// `--ctorigsrc`: who opened it.
    OriginalSource,
    /// `--ctorigdst`: to whom, before rewriting.
    OriginalDestination,
    /// `--ctreplsrc`: who answers.
    ReplySource,
    /// `--ctrepldst`: to whom, before that is rewritten back.
    ReplyDestination,
}

impl TupleAddress {
    /// Each with its option, in the order in which iptables-save prints them.
    pub const OPTIONS: [(TupleAddress, &'static str); 4] = [
        (TupleAddress::OriginalSource, "--ctorigsrc"),
        (TupleAddress::OriginalDestination, "--ctorigdst"),
        (TupleAddress::ReplySource, "--ctreplsrc"),
        (TupleAddress::ReplyDestination, "--ctrepldst"),
    ];
}

/// `--ctdir`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtDirection {
    /// As the packet that opened the connection.
    Original,
    /// As its answers.
    Reply,
}

impl CtDirection {
    /// As iptables has it.
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
            // One address is printed without its length.
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

/// Set when the first packet has been let through (IPS_CONFIRMED).
pub(super) const IN_TABLE: &str = " --ctstatus CONFIRMED";

/// A state alone, or with more of the connection; None where it is more than we
/// ever ask.
fn read(words: &mut Words<'_>) -> Option<Match> {
    let Some(states) = words.negatable("--ctstate", |text, _| CtStates::by_names(text)) else {
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
