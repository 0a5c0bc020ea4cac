//! The matrix by names: for each zone and listed camera, which services of which other one
//! it may reach.
//!
//! Every cell is computed from the packets that the rules let through; names only say what
//! these packets are. The file's lines decide in which order names are tried, and nothing
//! else.

mod ends;
mod layers;
mod naming;
mod text;

use super::hook_path::HookPath;
use super::intent::{Intent, KnownSets};
use super::matrix::MatrixQuestion;
use super::networks::InterfaceNetworks;
use super::packet::Field;
use super::program::Program;
use super::reach::Reach;
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::Ruleset;
use crate::policy::{Endpoint, Flow, Policy, Service, ZoneIndex};
use camfw_diagrams::Set;
use ends::End;
use layers::{Layer, Layers};
use naming::{BUT, Named, ServiceNames};
pub use text::wrapped;

/// Who is in the matrix.
#[derive(Clone, Copy)]
pub enum MatrixEnds<'a> {
    /// The zones and cameras of a policy.
    Policy(&'a Policy),
    /// The interfaces of anyone's rules, with what is behind them.
    Interfaces(&'a [InterfaceNetworks]),
}

/// The matrix by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedMatrix {
    /// The connections that it covers, in words.
    pub title: String,
    /// Who opens a connection.
    pub rows: Vec<MatrixEnd>,
    /// To whom.
    pub columns: Vec<MatrixEnd>,
    /// For each row, its cells.
    pub cells: Vec<Vec<MatrixCell>>,
    /// Whether it is a policy's, whose limits are the only thing that packets do not decide.
    pub of_policy: bool,
}

/// One row or column: a zone, an interface, the router, or cameras that are treated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixEnd {
    /// The name; of several cameras the first one's, and how many more there are.
    pub name: String,
    /// The cameras' names, if they are several.
    pub cameras: Vec<String>,
}

/// What a row may open to a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatrixCell {
    /// The services; none if it may open nothing.
    pub services: Vec<ReachedService>,
    /// Whether the connections leave with another source address.
    pub source_rewritten: bool,
    /// Whether the two are on one wire, so that the router does not see what they send.
    pub one_wire: bool,
}

/// A service that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedService {
    /// Its name, or its protocol and ports if it has none.
    pub name: String,
    /// The ports that the connection is opened to, if it is sent on to this service.
    pub sent_on: Option<String>,
    /// Whether it, or some of it, is let through at certain hours alone.
    pub hours: bool,
    /// Whether it depends on more than the packet and the hour: on a limit, or on something
    /// unknown.
    pub limited: bool,
    /// Whether only some of the row's addresses may, or only some of the column's may be
    /// reached.
    pub partly: bool,
}

/// The matrix of a ruleset. None if it reached the limit of memory or steps.
pub fn named_matrix(
    ruleset: &Ruleset,
    family: IpFamily,
    of: MatrixEnds<'_>,
    about: &MatrixQuestion,
) -> Option<NamedMatrix> {
    let mut space = ends::space(ruleset, family, of);
    let program = layers::program(ruleset, &mut space, of);
    space.forwarding_counts = program.asked.hops;
    let layers = Layers::new(&mut space, &program, ruleset, of, about);
    let ends = ends::ends(&mut space, of);
    let arrives = arrives(&mut space, &program, of);
    let rows = layers.grouped(&mut space, &ends, true);
    let columns = layers.grouped(&mut space, &ends, false);
    let names = ServiceNames::new(&mut space, of);
    let mut cells = Vec::new();
    for row in &rows {
        let mut line = Vec::new();
        for column in &columns {
            let (from, to) = (&ends[row[0]], &ends[column[0]]);
            let between = Between { from, to, arrives };
            line.push(between.cell(&mut space, &layers, &names, of));
        }
        cells.push(line);
    }
    let named = |groups: &[Vec<usize>]| groups.iter().map(|it| ends::named(&ends, it)).collect();
    space.diagrams.is_complete().then(|| NamedMatrix {
        title: about.title(family),
        rows: named(&rows),
        columns: named(&columns),
        cells,
        of_policy: matches!(of, MatrixEnds::Policy(_)),
    })
}

/// The sources that can be, whatever they open: who is left out everywhere is not to be told
/// again of each service.
fn arrives(space: &mut Space, program: &Program<'_>, of: MatrixEnds<'_>) -> Set {
    let set = match of {
        MatrixEnds::Policy(policy) => {
            let mut known = KnownSets::new(policy);
            let zones: Vec<ZoneIndex> = policy.indexed_zones().map(|(index, _)| index).collect();
            let mut sets = Vec::new();
            for zone in zones {
                let end = Endpoint::Zone(zone);
                let mut intent = Intent::new(policy, space, &mut known);
                let sources = intent.opening_sources(end);
                let by = intent.by(Field::In, end);
                sets.push(space.diagrams.and(sources, by));
            }
            space.diagrams.union(&sets)
        }
        MatrixEnds::Interfaces(_) => Reach::new(program).before_nat(space, HookPath::Input).may,
    };
    let kept = [Field::In, Field::Source, Field::Mac];
    space.forget(set, &all_but(&kept))
}

/// What a service is said by.
const PORTS: [Field; 3] = [Field::Protocol, Field::DestinationPort, Field::IcmpType];

/// Every field but these.
fn all_but(kept: &[Field]) -> Vec<Field> {
    let all = Field::ALL.into_iter();
    all.filter(|field| !kept.contains(field)).collect()
}

/// One end and another.
struct Between<'e> {
    from: &'e End,
    to: &'e End,
    arrives: Set,
}

impl Between<'_> {
    fn cell(
        &self,
        space: &mut Space,
        layers: &Layers,
        names: &ServiceNames,
        of: MatrixEnds<'_>,
    ) -> MatrixCell {
        let one_wire = self.from.wire == self.to.wire;
        let way = match (self.from.is_router(), self.to.is_router()) {
            (true, true) => None,
            (false, true) => Some(HookPath::Input),
            (true, false) => Some(HookPath::Output),
            (false, false) => Some(HookPath::Forward),
        };
        let Some(way) = way else {
            return MatrixCell {
                one_wire,
                ..MatrixCell::default()
            };
        };
        let ends = space.diagrams.and(self.from.from, self.to.to);
        let layer = layers.of(way).map(|set| space.diagrams.and(set, ends));
        if layer.may.is_empty() {
            return MatrixCell {
                one_wire,
                ..MatrixCell::default()
            };
        }
        let ports = all_but(&PORTS);
        let as_is = layers.as_is;
        let direct = space.diagrams.and(layer.may, as_is);
        let opened = space.forget(direct, &ports);
        let first = match of {
            MatrixEnds::Policy(policy) => lines_services(policy, self.from, self.to),
            MatrixEnds::Interfaces(_) => Vec::new(),
        };
        let everything = self.everything(space, way);
        let mut services = Vec::new();
        for Named { name, set } in names.of(space, opened, &first, layers.possible(way)) {
            let set = space.diagrams.and(set, as_is);
            let each = layers.possible(way).filter(|_| name.contains(BUT));
            services.push(ReachedService {
                partly: self.is_partly(space, way, (layer.may, set), everything, each),
                ..reached(space, &layer, name, set)
            });
        }
        let sent_on = space.diagrams.minus(layer.may, as_is);
        let at = services.len();
        for (Named { name, set }, to) in names.sent_on(space, sent_on) {
            services.push(ReachedService {
                partly: self.is_partly(space, way, (layer.may, set), everything, None),
                sent_on: Some(to),
                ..reached(space, &layer, name, set)
            });
        }
        // What follows "everything but" would be taken for a part of it.
        if services.iter().any(|it| it.name.contains(BUT)) {
            services.rotate_left(at);
        }
        let source_rewritten = match way {
            HookPath::Forward => !space.diagrams.and(layers.rewritten, ends).is_empty(),
            HookPath::Input | HookPath::Output => false,
        };
        MatrixCell {
            one_wire: one_wire && services.is_empty(),
            source_rewritten: source_rewritten && !services.is_empty(),
            services,
        }
    }

    /// Every source and destination of a path between the two that is not dropped for its
    /// source alone.
    fn everything(&self, space: &mut Space, way: HookPath) -> Set {
        let from = space.diagrams.and(self.arrives, self.from.from);
        let from = space.forget(from, &all_but(&[Field::Source]));
        let to = space.forget(self.to.to, &all_but(&[Field::Destination]));
        match way {
            HookPath::Input => from,
            HookPath::Output => to,
            HookPath::Forward => space.diagrams.and(from, to),
        }
    }

    /// Whether some of the addresses have none of a service or, where `each` says of what it may
    /// consist, not all of it.
    fn is_partly(
        &self,
        space: &mut Space,
        way: HookPath,
        (may, service): (Set, Set),
        everything: Set,
        each: Option<Set>,
    ) -> bool {
        let ends: &[Field] = match way {
            HookPath::Input => &[Field::Source],
            HookPath::Output => &[Field::Destination],
            HookPath::Forward => &[Field::Source, Field::Destination],
        };
        let mut kept = ends.to_vec();
        let mut wanted = everything;
        if let Some(each) = each {
            kept.extend(PORTS);
            let service = space.forget(service, &all_but(&PORTS));
            wanted = space.all(&[everything, service, each]);
        }
        let set = space.diagrams.and(may, service);
        let set = space.forget(set, &all_but(&kept));
        !space.diagrams.minus(wanted, set).is_empty()
    }
}

/// A service with what restricts it.
fn reached(space: &mut Space, layer: &Layer, name: String, set: Set) -> ReachedService {
    let may = space.diagrams.and(layer.may, set);
    ReachedService {
        name,
        sent_on: None,
        hours: !space.diagrams.minus(may, layer.at_any_hour).is_empty(),
        limited: !space.diagrams.minus(may, layer.surely).is_empty(),
        partly: false,
    }
}

/// The services of the lines between two ends, in their order.
fn lines_services(policy: &Policy, from: &End, to: &End) -> Vec<Service> {
    let place = |end: &End| end.zone.map_or(Endpoint::Router, Endpoint::Zone);
    let flow = Flow {
        from: place(from),
        to: place(to),
    };
    let services = policy
        .allows_of(flow)
        .flat_map(|allow| allow.services.iter());
    services.cloned().collect()
}
