//! Proves that a ruleset lets through what the policy says, and nothing else.
//!
//! ```text
//! Ruleset --program--> tests and effects --reach--> the set of all packets that get
//! through
//!                                        --judge--> one packet's path, rule by rule
//! Policy  --intent--> the set of packets that it intends to let through claim: the two
//! sets are equal; if they are not, a packet that shows it
//! ```
//!
//! `condition` gives each match one meaning, which `reach` and `judge` share. What depends
//! on more than the packet stays in doubt: the packets that may get through and those that
//! certainly do are two sets, and every claim is proven for the worse one. Nothing here has
//! effects.

#[cfg(test)]
mod agreement;
mod belongs;
mod bound;
mod bounds;
mod by_name;
mod claim;
mod compare;
mod condition;
mod cover;
mod described;
mod doubt;
mod dump_guarantee;
mod fate;
mod flow;
mod foreign;
mod given;
mod hook_path;
mod hosts;
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
mod strays;
mod trace;
mod verdict;
mod witness;

pub use by_name::{
    MatrixCell, MatrixEnd, MatrixEnds, NamedMatrix, ReachedService, named_matrix, wrapped,
};
pub use claim::{Claim, ClaimResult, Counterexample, broken, claims, claims_of};
pub use compare::{Comparison, VerdictChange, VerdictOutcome, compare, differ};
pub use described::{ConnectionHelper, DescribedPacket, PacketAddress, PacketError, SourceMac};
pub use dump_guarantee::{guaranteed, place_of};
pub use fate::FateKind;
pub(crate) use flow::FlowJudge;
pub use hook_path::HookPath;
pub(crate) use hosts::only_loopback;
pub use matrix::{Class, Matrix, MatrixQuestion, matrix};
pub use networks::{InterfaceNetworks, NetworksError, behind, parse as networks};
pub use packet::State as ConntrackState;
pub use spoof::{ChainPlace, Finding, ForeignClaim, SpoofVerdict, absent, findings, unknown};
pub(crate) use strays::{StrayInterfaces, stray_interfaces};
pub use trace::{TracedPacket, TracedRule, Tracer};
