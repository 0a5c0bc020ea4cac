//! Is a ruleset what the policy says, and nothing else?
//!
//! ```text
//! Ruleset --program--> tests and effects --reach--> the packets that get through, every one
//!                                        --judge--> one packet's way, rule by rule
//! Policy  --intent--> the packets that it means to let through
//! claim: the two are the same; and, where they are not, a packet that shows it
//! ```
//!
//! A match has one meaning, in `condition`, for `reach` and `judge` alike. What
//! depends on more than the packet is kept in doubt: what may get through and
//! what surely does are two sets, and every claim holds for the one that is
//! worse. Nothing here has effects.

#[cfg(test)]
mod agreement;
mod belongs;
mod bound;
mod bounds;
mod claim;
mod compare;
mod condition;
mod cover;
mod described;
mod diagram;
mod doubt;
mod fate;
mod flow;
mod foreign;
mod given;
mod hook_path;
mod intent;
mod judge;
mod matrix;
mod networks;
mod packet;
mod program;
mod reach;
mod rewritten;
mod space;
mod spoof;
mod trace;
mod witness;

pub use claim::{Claim, ClaimResult, Counterexample, broken, claims, claims_of};
pub use compare::{Comparison, Outcome, VerdictChange, compare, differ};
pub use described::{ConnectionHelper, DescribedPacket, PacketAddress, PacketError, SourceMac};
pub use fate::Kind;
pub use flow::FlowJudge;
pub use hook_path::HookPath;
pub use matrix::{Class, Matrix, MatrixQuestion, matrix};
pub use networks::{InterfaceNetworks, NetworksError, behind, parse as networks};
pub use packet::State as ConntrackState;
pub use spoof::{
    ChainPlace, Finding, ForeignClaim, SpoofVerdict, family_of, family_of_dump, findings, unknown,
};
pub use trace::Tracer;
