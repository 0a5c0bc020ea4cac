//! Guarantees about anyone's rules, whose ends are interfaces and addresses.

use std::fmt;

use ipnet::IpNet;

use super::{GuaranteeKind, Origin, Service};

/// A guarantee that certain connections never, or always, get through anyone's rules.
#[derive(Debug, Clone)]
pub struct DumpGuarantee {
    /// Never or always.
    pub kind: GuaranteeKind,
    /// Who opens the connection.
    pub from: DumpEnd,
    /// To whom.
    pub to: DumpEnd,
    /// The services that it covers; None means all.
    pub services: Option<Vec<Service>>,
    /// The position in its file.
    pub origin: Origin,
}

/// One end of such a guarantee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpEnd {
    /// The index of the interface among those whose networks are known; None for the
    /// router itself.
    pub interface: Option<usize>,
    /// The addresses; None for all that are there.
    pub network: Option<IpNet>,
    /// The end as it is written, or the interface that it stands for.
    pub name: String,
}

impl fmt::Display for DumpEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
