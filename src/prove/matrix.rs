//! The reachability matrix: groups addresses that are treated alike into the fewest
//! classes, and shows which class may open a connection to which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::compare::as_they_came;
use super::cover;
use super::fate::{self, FateKind};
use super::hook_path::HookPath;
use super::intent;
use super::networks::InterfaceNetworks;
use super::packet::{Field, Interfaces, State};
use super::program::{Program, interface_patterns};
use super::reach::Reach;
use super::space::Space;
use super::spoof::wishes;
use crate::family::IpFamily;
use crate::json::{JsonText, ToJson, json_object};
use crate::netfilter::Ruleset;
use crate::policy::Service;
use camfw_diagrams::Set;

/// The connections that a matrix covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatrixQuestion {
    /// The protocol number; None means any.
    pub protocol: Option<u8>,
    /// The destination port; None means any.
    pub port: Option<u16>,
    /// The service that they are opened to, in place of a port.
    pub service: Option<Service>,
    /// Whether the title says by which family, since there is another.
    pub names_family: bool,
}

/// A class of addresses that are treated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// a, b, c, ... in the order of the addresses.
    pub name: String,
    /// Its addresses, as ranges.
    pub ranges: Vec<String>,
}

json_object!(Class { name, ranges });

/// The matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The connections that it covers, in words.
    pub title: String,
    /// The classes; the router is an additional last row and column.
    pub classes: Vec<Class>,
    /// For each class, and last the router: whether it may open a connection to each class,
    /// and last to the router.
    pub reaches: Vec<Vec<bool>>,
    /// The connections that are redirected to another destination, in words, each with the
    /// target that does so.
    pub sent_on: Vec<(String, String)>,
}

/// A class that may open a connection to another.
struct ReachedPair<'a> {
    from: &'a str,
    to: &'a str,
}

json_object!(ReachedPair<'_> { from, to });

/// Packets that are redirected, and by what.
struct SentOn<'a> {
    packets: &'a str,
    target: &'a str,
}

json_object!(SentOn<'_> { packets, target });

/// The router's name in a matrix.
const ROUTER: &str = "router";

/// The most ranges of addresses of one class.
const MOST: usize = 1 << 16;

/// The matrix of a ruleset, with these networks behind its interfaces. None if it reached
/// the limit of memory or steps, or the classes have too many ranges.
pub fn matrix(
    ruleset: &Ruleset,
    family: IpFamily,
    behind: &[InterfaceNetworks],
    about: &MatrixQuestion,
) -> Option<Matrix> {
    let mut patterns: BTreeSet<String> = interface_patterns(ruleset);
    patterns.extend(behind.iter().map(|it| it.interface.clone()));
    let mut space = Space::new(family, Interfaces::new(&patterns));
    let program = Program::new(ruleset, &mut space);
    space.forwarding_counts = program.asked.hops;
    let mut reach = Reach::new(&program);

    let (opened, asked) = about.sets(&mut space, &program);
    let from = ends(&mut space, behind, Field::In, Field::Source);
    let to = ends(&mut space, behind, Field::Out, Field::Destination);

    let mut between = |space: &mut Space, way: HookPath, ends: &[Set], kept: &[Field]| {
        let accepted = reach.accepted(space, way).may;
        let mut sets = vec![accepted, asked];
        sets.extend(ends);
        let set = space.all(&sets);
        let rest: Vec<Field> = Field::ALL
            .into_iter()
            .filter(|it| !kept.contains(it))
            .collect();
        space.forget(set, &rest)
    };
    let both = [Field::Source, Field::Destination];
    let across = between(&mut space, HookPath::Forward, &[from, to], &both);
    let inward = between(&mut space, HookPath::Input, &[from], &[Field::Source]);
    let outward = between(&mut space, HookPath::Output, &[to], &[Field::Destination]);
    let sent_on = sent_on(&mut space, &program, &mut reach, &[opened, from]);
    if !space.diagrams.is_complete() {
        return None;
    }

    // Groups sources that reach the same destinations, and then destinations likewise.
    let rows = space.rows(across);
    let targets: Vec<Set> = rows.keys().copied().collect();
    let mut sources: Vec<(Vec<(u128, u128)>, usize)> = Vec::new();
    for (row, target) in targets.iter().enumerate() {
        sources.push((space.ranges(rows[target], Field::Source, MOST)?, row));
    }
    let columns = targets.iter();
    let columns: Option<Vec<Vec<(u128, u128)>>> = columns
        .map(|target| space.ranges(*target, Field::Destination, MOST))
        .collect();
    let columns = columns?;
    let to_router = space.ranges(inward, Field::Source, MOST)?;
    let from_router = space.ranges(outward, Field::Destination, MOST)?;

    // The boundaries between classes, from address to address.
    let highest = space.highest(Field::Source);
    let mut starts: BTreeSet<u128> = BTreeSet::from([0]);
    let lists = sources.iter().map(|(ranges, _)| ranges);
    let lists = lists.chain(&columns).chain([&to_router, &from_router]);
    for (first, last) in lists.flatten() {
        starts.insert(*first);
        starts.extend(last.checked_add(1).filter(|next| *next <= highest));
    }
    let within = |ranges: &[(u128, u128)], at: u128| {
        let next = ranges.partition_point(|(first, _)| *first <= at);
        next > 0 && at <= ranges[next - 1].1
    };
    type Signature = (Option<usize>, Vec<bool>, bool, bool);
    let mut classes: Vec<(Signature, Vec<(u128, u128)>)> = Vec::new();
    let mut places: BTreeMap<Signature, usize> = BTreeMap::new();
    let starts: Vec<u128> = starts.into_iter().collect();
    for (place, first) in starts.iter().enumerate() {
        let last = starts.get(place + 1).map_or(highest, |next| next - 1);
        let row = sources.iter().find(|(ranges, _)| within(ranges, *first));
        let signature = (
            row.map(|(_, row)| *row),
            columns
                .iter()
                .map(|ranges| within(ranges, *first))
                .collect(),
            within(&to_router, *first),
            within(&from_router, *first),
        );
        let class = *places.entry(signature.clone()).or_insert_with(|| {
            classes.push((signature, Vec::new()));
            classes.len() - 1
        });
        let ranges = &mut classes[class].1;
        match ranges.last_mut() {
            Some(before) if before.1 + 1 == *first => before.1 = last,
            _ => ranges.push((*first, last)),
        }
    }
    let mut reaches: Vec<Vec<bool>> = classes
        .iter()
        .map(|((row, _, to_router, _), _)| {
            let mut reached: Vec<bool> = classes
                .iter()
                .map(|((_, columns, ..), _)| row.is_some_and(|row| columns[row]))
                .collect();
            reached.push(*to_router);
            reached
        })
        .collect();
    let mut own: Vec<bool> = classes
        .iter()
        .map(|((.., from_router), _)| *from_router)
        .collect();
    own.push(true);
    reaches.push(own);
    let classes = classes
        .iter()
        .enumerate()
        .map(|(number, (_, ranges))| Class {
            name: name(number),
            ranges: ranges
                .iter()
                .map(|(first, last)| cover::range(family, Field::Source, *first, *last))
                .collect(),
        })
        .collect();
    Some(Matrix {
        title: about.title(family),
        classes,
        reaches,
        sent_on,
    })
}

/// The packets in all of the given sets that get through and whose destination is
/// rewritten.
fn sent_on(
    space: &mut Space,
    program: &Program<'_>,
    reach: &mut Reach<'_, '_>,
    asked: &[Set],
) -> Vec<(String, String)> {
    const LINES: usize = 8;
    let mut told = Vec::new();
    if !program.redirects {
        return told;
    }
    for way in [HookPath::Forward, HookPath::Input] {
        let accepted = reach.accepted(space, way).may;
        let accepted = as_they_came(space, program, accepted);
        let all = reach.everything(space, way);
        let all = as_they_came(space, program, all);
        for (target, set) in fate::fates(space, program, reach, way, FateKind::Destination) {
            let mut sets = vec![set, accepted, all];
            sets.extend(asked);
            let set = space.all(&sets);
            // The matrix itself considers the outgoing interface.
            let set = space.forget(set, &[Field::Out]);
            let set = space.diagrams.and(set, all);
            let wishes = wishes(space);
            let (patches, _) = cover::cover(space, set, all, &wishes, LINES);
            for patch in patches {
                let line = (patch.words(space), target.clone());
                if !told.contains(&line) {
                    told.push(line);
                }
            }
        }
    }
    told
}

/// The packets by an interface with an address behind it.
fn ends(space: &mut Space, behind: &[InterfaceNetworks], by: Field, address: Field) -> Set {
    let mut ends = Vec::new();
    for it in behind {
        let places = space.interfaces.matching(&it.interface);
        let interface = space.one_of(by, &places);
        let address = it.set(space, address);
        ends.push(space.diagrams.and(interface, address));
    }
    space.diagrams.union(&ends)
}

impl MatrixQuestion {
    /// Whether it is about all connections, of whatever protocol and port.
    pub(super) fn is_of_all(&self) -> bool {
        self.protocol.is_none() && self.port.is_none() && self.service.is_none()
    }

    /// The packets that open such a connection as they were sent, and as they are once
    /// their destination is rewritten.
    pub(super) fn sets(&self, space: &mut Space, program: &Program<'_>) -> (Set, Set) {
        let new = space.states(&[State::New]);
        let protocol = self.protocol.map_or(Set::FULL, |number| {
            space.equal(Field::Protocol, number.into())
        });
        let all = space.diagrams.and(new, protocol);
        let port = self.ports(space, Field::DestinationPort);
        let opened = space.diagrams.and(all, port);
        if port == Set::FULL || !program.redirects {
            return (opened, opened);
        }
        // The port is the one that the connection was opened to, before NAT.
        let rewritten = space.equal(Field::Dnat, 1);
        let before = self.ports(space, Field::OriginalPort);
        let before = space.all(&[all, rewritten, before]);
        let others = space.diagrams.minus(opened, rewritten);
        (opened, space.diagrams.or(before, others))
    }

    fn ports(&self, space: &mut Space, field: Field) -> Set {
        match (&self.service, self.port) {
            (Some(service), _) => intent::service_packets(space, service, field, false),
            (None, Some(port)) => space.equal(field, port.into()),
            (None, None) => Set::FULL,
        }
    }

    /// The connections in words.
    pub(super) fn title(&self, family: IpFamily) -> String {
        let protocol = self.protocol.map(|number| {
            super::witness::protocol_name(number.into())
                .map_or_else(|| format!("protocol {number}"), str::to_owned)
        });
        let port = match &self.service {
            Some(service) => Some(service.to_string()),
            None => self.port.map(|port| format!("port {port}")),
        };
        let parts: Vec<String> = [protocol, port].into_iter().flatten().collect();
        let title = match parts.is_empty() {
            true => "any connection".to_owned(),
            false => parts.join(" "),
        };
        match self.names_family {
            true => format!("{family}, {title}"),
            false => title,
        }
    }
}

/// a to z, then aa.
fn name(number: usize) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    match number / 26 {
        0 => letter.to_string(),
        before => name(before - 1) + &letter.to_string(),
    }
}

impl Matrix {
    fn names(&self) -> Vec<&str> {
        let classes = self.classes.iter().map(|class| class.name.as_str());
        classes.chain([ROUTER]).collect()
    }

    /// The addresses of each class, in words.
    fn shown(&self) -> Vec<(&str, String)> {
        // A class with very many ranges is easier to describe by what it excludes.
        const MANY: usize = 8;
        let most = self.classes.iter().map(|class| class.ranges.len()).max();
        let classes = self.classes.iter().map(|class| {
            let ranges = match Some(class.ranges.len()) == most && most > Some(MANY) {
                true => "all other addresses".to_owned(),
                false => class.ranges.join(" "),
            };
            (class.name.as_str(), ranges)
        });
        classes.collect()
    }

    /// The matrix as text.
    pub fn text(&self) -> String {
        let names = self.names();
        let width = names
            .iter()
            .map(|name| name.len())
            .max()
            .unwrap_or_default();
        let mut text = format!(
            "{}: x where the row may open one to the column\n",
            self.title
        );
        let _ = write!(text, "{:width$}", "");
        for name in &names {
            let _ = write!(text, " {name}");
        }
        text.push('\n');
        for (name, reached) in names.iter().zip(&self.reaches) {
            let _ = write!(text, "{name:width$}");
            for (to, reached) in names.iter().zip(reached) {
                let mark = if *reached { "x" } else { "." };
                let _ = write!(text, " {mark:>width$}", width = to.len());
            }
            text.push('\n');
        }
        for (name, ranges) in self.shown() {
            let _ = writeln!(text, "{name:width$} {ranges}");
        }
        for (packets, target) in &self.sent_on {
            let _ = writeln!(text, "sent on: {packets}: {target}");
        }
        text
    }

    /// The matrix as JSON, with the one by IPv6 in it if there is one beside it.
    pub fn json(&self, ipv6: Option<&Matrix>) -> String {
        let mut json = JsonText::default();
        self.write(ipv6, &mut json);
        json.line()
    }

    fn write(&self, ipv6: Option<&Matrix>, json: &mut JsonText) {
        let names = self.names();
        let mut pairs = Vec::new();
        for (from, reached) in names.iter().zip(&self.reaches) {
            for (to, reached) in names.iter().zip(reached) {
                if *reached {
                    pairs.push(ReachedPair { from, to });
                }
            }
        }
        let sent_on = self.sent_on.iter();
        let sent_on: Vec<SentOn<'_>> = sent_on
            .map(|(packets, target)| SentOn { packets, target })
            .collect();
        let mut members: Vec<(&str, &dyn ToJson)> = vec![
            ("connections", &self.title),
            ("classes", &self.classes),
            ("reaches", &pairs),
            ("sent-on", &sent_on),
        ];
        if let Some(ipv6) = &ipv6 {
            members.push(("ipv6", *ipv6));
        }
        json.object(&members);
    }
}

impl ToJson for Matrix {
    fn write_json(&self, json: &mut JsonText) {
        self.write(None, json);
    }
}
