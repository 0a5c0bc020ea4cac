//! Guarantees, which are proven of every ruleset before it is loaded: those of the zones'
//! roles, less the exceptions in the file, and the file's own.
//!
//! Owns the rule that a camera never opens a connection to an external or private zone
//! unless the file says so twice: in an `allow`, and in an `exceptions` entry for exactly
//! that service.

use super::{Addresses, Allow, Endpoint, Flow, Origin, Role, Service, Zone, ZoneIndex};

/// A guarantee that certain connections never, or always, get through.
#[derive(Debug, Clone)]
pub struct Guarantee {
    /// Never or always.
    pub kind: GuaranteeKind,
    /// The flow that it covers.
    pub flow: Flow,
    /// The source addresses that it covers.
    pub sources: Addresses,
    /// The destination addresses that it covers.
    pub destinations: Addresses,
    /// The services that it covers; None means all.
    pub services: Option<Vec<Service>>,
    /// Exceptions: these services, from these source addresses.
    pub except: Vec<(Addresses, Vec<Service>)>,
    /// Whether it is of `[[deny]]`, which is about allow lines: what the router needs without a
    /// line, DHCP's answers and neighbor discovery, passes.
    pub is_denial: bool,
    /// The position in the file: of the guarantee, or of the zone whose role brings it.
    pub origin: Origin,
}

/// The most networks of a `[[deny]]` that are taken away from each line. More of them are asked
/// for before the lines.
const MOST_TAKEN_AWAY: usize = 64;

/// Whether a `[[deny]]` of these networks is asked for before the lines of a flow.
pub(crate) fn is_denied_first(networks: usize) -> bool {
    networks > MOST_TAKEN_AWAY
}

impl Guarantee {
    /// Whether it is of a `[[deny]]` that is asked for before the lines of its flow, which are
    /// as they are written.
    pub(crate) fn is_denied_first(&self) -> bool {
        let networks = self.sources.count().max(self.destinations.count());
        self.is_denial && is_denied_first(networks)
    }
}

/// Whether the connections never or always get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuaranteeKind {
    /// None of the packets gets through.
    Never,
    /// All of the packets get through.
    Always,
}

/// A service that a zone may reach despite its role.
#[derive(Debug)]
pub struct Exception {
    /// The zone with the role.
    pub from: ZoneIndex,
    /// The source addresses in it.
    pub sources: Addresses,
    /// The zone that they may reach.
    pub to: ZoneIndex,
    /// The services that they may reach.
    pub services: Vec<Service>,
}

/// Whether roles guarantee that a zone of the first never opens a connection to one of the
/// second.
pub fn never(from: Role, to: Role) -> bool {
    from == Role::Camera && matches!(to, Role::External | Role::Private)
}

/// The first flow and service of an allow line that violates a role's guarantee.
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
