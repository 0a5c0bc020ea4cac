//! The conntrack states and helpers that a proof distinguishes.

use crate::netfilter::CtStates;

/// The code of the helper that expected a connection; 0 is none.
pub fn helper_code(name: &str) -> u128 {
    match name {
        "" => 0,
        "ftp" => 1,
        _ => HELPER_OTHERS,
    }
}

/// Stands for every helper without a code of its own.
pub const HELPER_OTHERS: u128 = 2;

/// A conntrack state; a packet has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Conntrack could not assign the packet to a connection.
    Invalid,
    /// The first packet of a connection.
    New,
    /// Caused by a connection that exists: an ICMP error, or a connection that a helper
    /// expected.
    Related,
    /// Part of a connection that exists.
    Established,
    /// Exempted from conntrack.
    Untracked,
}

impl State {
    /// Each state with the bit and the name that rules use for it.
    pub const ALL: [(State, CtStates, &'static str); 5] = [
        (State::Invalid, CtStates::INVALID, "INVALID"),
        (State::New, CtStates::NEW, "NEW"),
        (State::Related, CtStates::RELATED, "RELATED"),
        (State::Established, CtStates::ESTABLISHED, "ESTABLISHED"),
        (State::Untracked, CtStates::UNTRACKED, "UNTRACKED"),
    ];
}
