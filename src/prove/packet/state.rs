//! What conntrack takes a packet for.

use crate::netfilter::CtStates;

/// The code of the helper that expected a connection: 0 is none.
pub fn helper_code(name: &str) -> u128 {
    match name {
        "" => 0,
        "ftp" => 1,
        _ => HELPER_OTHERS,
    }
}

/// Any helper but those that have a code of their own.
pub const HELPER_OTHERS: u128 = 2;

/// The values of [`Field::State`]; a packet has one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No state can be given to it.
    Invalid,
    /// The first packet of a connection.
    New,
    /// Brought about by a connection that was let through.
    Related,
    /// Part of a connection that was let through.
    Established,
    /// Kept from conntrack.
    Untracked,
}

impl State {
    /// Each with the name and the bit that rules have for it.
    pub const ALL: [(State, CtStates, &'static str); 5] = [
        (State::Invalid, CtStates::INVALID, "INVALID"),
        (State::New, CtStates::NEW, "NEW"),
        (State::Related, CtStates::RELATED, "RELATED"),
        (State::Established, CtStates::ESTABLISHED, "ESTABLISHED"),
        (State::Untracked, CtStates::UNTRACKED, "UNTRACKED"),
    ];
}
