//! What is guaranteed and proven of every ruleset before it is loaded: by the roles
//! of zones, with the exceptions that a file may make, and by the file's own guarantees.
//!
//! Owns the rule that a camera never opens a connection to an external or a
//! private zone unless the file says so twice: in an `allow` and in an
//! `exceptions` entry for just that service.

use super::{Addresses, Allow, Endpoint, Flow, Origin, Role, Service, Zone, ZoneIndex};

/// Something that never, or always, gets through.
#[derive(Debug, Clone)]
pub struct Guarantee {
    /// Which of the two.
    pub kind: GuaranteeKind,
    /// Who opens a connection to whom.
    pub flow: Flow,
    /// From which of the zone's addresses.
    pub sources: Addresses,
    /// To which addresses there.
    pub destinations: Addresses,
    /// For what; None for anything.
    pub services: Option<Vec<Service>>,
    /// But for these of these addresses.
    pub except: Vec<(Addresses, Vec<Service>)>,
    /// Where the file says so: the guarantee, or the zone whose role brings it.
    pub origin: Origin,
}

/// Whether what is promised never or always gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuaranteeKind {
    /// No packet does.
    Never,
    /// Each packet does.
    Always,
}

/// A service that a zone may reach in spite of its role.
#[derive(Debug)]
pub struct Exception {
    /// Who.
    pub from: ZoneIndex,
    /// Which of its addresses.
    pub sources: Addresses,
    /// Whom.
    pub to: ZoneIndex,
    /// For what.
    pub services: Vec<Service>,
}

/// Whether a role promises that the first never opens a connection to the second.
pub fn never(from: Role, to: Role) -> bool {
    from == Role::Camera && matches!(to, Role::External | Role::Private)
}

/// The first flow and service of an allow line that breaks a role's promise.
pub fn broken<'a>(
    allow: &'a Allow,
    zones: &[Zone],
    exceptions: &[Exception],
) -> Option<(ZoneIndex, ZoneIndex, &'a Service)> {
    let guarded = allow.flows.iter().filter_map(|flow| match *flow {
        Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Zone(to),
        } if never(zones[from.0].role, zones[to.0].role) => Some((from, to)),
        _ => None,
    });
    for (from, to) in guarded {
        let lifted = |service: &Service| {
            exceptions
                .iter()
                .filter(|exception| exception.from == from && exception.to == to)
                .filter(|exception| exception.sources.contains(&allow.sources))
                .flat_map(|exception| &exception.services)
                .any(|lifted| lifted.contains(service))
        };
        if let Some(service) = allow.services.iter().find(|service| !lifted(service)) {
            return Some((from, to, service));
        }
    }
    None
}
