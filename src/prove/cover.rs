//! Describes a set of packets in a few readable lines.
//!
//! Each line is a box: for every field a set of values, independent of the other fields. A
//! box is grown around one packet, field by field, as far as the set allows.

use std::net::IpAddr;

use super::packet::{Field, Packet, State};
use super::space::Space;
use super::witness;
use crate::family::IpFamily;
use crate::netfilter::TcpFlags;
use camfw_diagrams::Set;

/// A box: a set of packets that is the product of one value set per field.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The allowed values of each field.
    sides: Vec<(Field, Set)>,
    /// All packets of the box.
    pub set: Set,
    /// An example.
    pub example: Packet,
}

/// The fields in the order in which they are widened: the least informative first.
const WIDENED: [Field; 26] = [
    Field::CtReplyDestination,
    Field::CtOriginalDestination,
    Field::CtHelper,
    Field::CtExpected,
    Field::CtDirection,
    Field::CtReplySource,
    Field::CtOriginalSource,
    Field::Snat,
    Field::Dnat,
    Field::Hops,
    Field::Mac,
    Field::Fragment,
    Field::Mark,
    Field::Flags,
    Field::IcmpCode,
    Field::SourcePort,
    Field::State,
    Field::IcmpType,
    Field::Local,
    Field::AnyLocal,
    Field::Destination,
    Field::Source,
    Field::Out,
    Field::In,
    Field::DestinationPort,
    Field::Protocol,
];

/// Covers a set with at most `most` boxes, and returns what these leave uncovered. `all` is
/// every possible packet: a box may also contain impossible ones.
pub fn cover(
    space: &mut Space,
    set: Set,
    all: Set,
    wishes: &[Set],
    most: usize,
) -> (Vec<Patch>, Set) {
    let unseen: Vec<Field> = Field::ALL
        .into_iter()
        .filter(|field| !WIDENED.contains(field))
        .collect();
    let allowed = space.diagrams.or(set, !all);
    let allowed = !space.forget(!allowed, &unseen);
    let real: Vec<(Field, Set)> = WIDENED
        .iter()
        .map(|field| {
            let rest: Vec<Field> = Field::ALL.into_iter().filter(|it| it != field).collect();
            (*field, space.forget(all, &rest))
        })
        .collect();
    let mut left = set;
    let mut patches = Vec::new();
    while patches.len() < most {
        let Some(example) = space.pick_like(left, wishes) else {
            break;
        };
        let mut patch = around(space, &example, allowed);
        patch.only(space, &real);
        left = space.diagrams.minus(left, patch.set);
        patches.push(patch);
    }
    (patches, left)
}

fn around(space: &mut Space, example: &Packet, allowed: Set) -> Patch {
    let mut sides: Vec<(Field, Set)> = WIDENED
        .iter()
        .map(|field| (*field, space.like(*field, example)))
        .collect();
    for at in 0..sides.len() {
        let field = sides[at].0;
        let mut outside = !allowed;
        for (other, set) in &sides {
            if *other != field {
                outside = space.diagrams.and(outside, *set);
            }
        }
        // The values that every packet of the box may have without leaving the set.
        let rest: Vec<Field> = Field::ALL.into_iter().filter(|it| *it != field).collect();
        let good = !space.forget(outside, &rest);
        sides[at].1 = simple(space, good, field, example.value(field));
    }
    let sets: Vec<Set> = sides.iter().map(|(_, set)| *set).collect();
    Patch {
        set: space.all(&sets),
        sides,
        example: *example,
    }
}

/// The most ranges that are said of one field.
const FEW: usize = 20;
/// The most ranges that are looked through.
const MANY: usize = 1 << 12;

/// Whether a set over one field can be said in few words: as ranges, or by a mask.
fn is_simple(space: &Space, set: Set, field: Field) -> bool {
    let is_few = space.ranges(set, field, FEW).is_some();
    is_few || [set, !set].map(|it| space.as_masked(it, field)) != [None; 2]
}

/// A subset of `good` that contains `value` and can be said in few words.
fn simple(space: &mut Space, good: Set, field: Field, value: u128) -> Set {
    if has_words(field) || is_simple(space, good, field) {
        return good;
    }
    let around = space.ranges(good, field, MANY).and_then(|ranges| {
        let mut ranges = ranges.into_iter();
        ranges.find(|(first, last)| (*first..=*last).contains(&value))
    });
    match around {
        Some((first, last)) => space.range(field, first, last),
        None => space.masked_around(good, field, value),
    }
}

impl Patch {
    /// Drops values that no real packet has, and fields that may have any real value.
    fn only(&mut self, space: &mut Space, real: &[(Field, Set)]) {
        for ((field, side), (_, real)) in self.sides.iter_mut().zip(real) {
            let field = *field;
            *side = match space.diagrams.minus(*real, *side).is_empty() {
                true => Set::FULL,
                false => {
                    let both = space.diagrams.and(*side, *real);
                    // What a mask says may have values that no packet has.
                    match has_words(field) || is_simple(space, both, field) {
                        true => both,
                        false => *side,
                    }
                }
            };
        }
    }

    /// The box in words: each constrained field with its values.
    pub fn words(&self, space: &Space) -> String {
        // Source and destination first, then the rest.
        let order = [
            (Field::In, "in by"),
            (Field::Out, "out by"),
            (Field::Source, "from"),
            (Field::Destination, "to"),
            (Field::Local, ""),
            (Field::AnyLocal, ""),
            (Field::Protocol, ""),
            (Field::DestinationPort, "port"),
            (Field::SourcePort, "source port"),
            (Field::IcmpType, "type"),
            (Field::IcmpCode, "code"),
            (Field::Flags, "flags"),
            (Field::State, ""),
            (Field::Fragment, "fragment"),
            (Field::Mac, "hardware address"),
            (Field::Mark, "mark"),
            (Field::Hops, "hops"),
            (Field::Dnat, ""),
            (Field::Snat, ""),
            (Field::CtDirection, "in its connection"),
            (Field::CtOriginalSource, "of a connection from"),
            (Field::CtOriginalDestination, "of a connection to"),
            (Field::CtReplySource, "of a connection answered from"),
            (Field::CtReplyDestination, "of a connection answered to"),
            (Field::CtExpected, "expected"),
            (Field::CtHelper, "helper"),
        ];
        let mut words = Vec::new();
        for (field, word) in order {
            let side = self.sides.iter().find(|(known, _)| *known == field);
            let Some((_, set)) = side.filter(|(_, set)| *set != Set::FULL) else {
                continue;
            };
            let values = values(space, *set, field);
            words.push(format!("{word} {values}").trim_start().to_owned());
        }
        match words.is_empty() {
            true => "everything".to_owned(),
            false => words.join(", "),
        }
    }
}

/// A field's values in words, or their complement if that is much shorter.
fn values(space: &Space, set: Set, field: Field) -> String {
    match field {
        Field::Flags => return flags(space, set),
        Field::Mac => return hardware(space, set),
        _ => {}
    }
    let inside = space.ranges(set, field, MANY).unwrap_or_default();
    let outside = space.ranges(!set, field, MANY).unwrap_or_default();
    let few = 1..=FEW;
    if !is_named(field) && !few.contains(&inside.len()) && !few.contains(&outside.len()) {
        for (not, set) in [("", set), ("not ", !set)] {
            if let Some((mask, value)) = space.as_masked(set, field) {
                let [value, mask] = [value, mask].map(|it| shown(space.family, field, it));
                return format!("{not}{value}/{mask}");
            }
        }
    }
    let is_shorter = outside.len() * 2 <= inside.len() && !outside.is_empty();
    let (not, ranges) = match inside.is_empty() || is_shorter && !is_named(field) {
        true => ("not ", outside),
        false => ("", inside),
    };
    let mut shown: Vec<String> = Vec::new();
    for (first, last) in ranges {
        if is_named(field) {
            // Fields whose values all have names.
            let last = match field {
                Field::State => last.min(State::Untracked as u128),
                Field::In | Field::Out => last.min(space.interfaces.len() as u128 - 1),
                _ => last,
            };
            shown.extend((first..=last).map(|value| named(space, field, value)));
        } else {
            shown.push(range(space.family, field, first, last));
        }
    }
    format!("{not}{}", shown.join(" "))
}

fn is_named(field: Field) -> bool {
    matches!(
        field,
        Field::In
            | Field::Out
            | Field::State
            | Field::Local
            | Field::AnyLocal
            | Field::Dnat
            | Field::Snat
            | Field::CtDirection
            | Field::CtHelper
    )
}

/// Whether any set of its values can be said in few words.
fn has_words(field: Field) -> bool {
    is_named(field) || matches!(field, Field::Mac | Field::Flags)
}

fn is_address(field: Field) -> bool {
    matches!(
        field,
        Field::Source
            | Field::Destination
            | Field::CtOriginalSource
            | Field::CtReplySource
            | Field::CtOriginalDestination
            | Field::CtReplyDestination
    )
}

fn named(space: &Space, field: Field, value: u128) -> String {
    if field == Field::State {
        let known = State::ALL
            .iter()
            .find(|(state, ..)| *state as u128 == value);
        return known.map_or_else(String::new, |(_, _, name)| (*name).to_owned());
    }
    match field {
        Field::CtDirection => return witness::direction_name(value).to_owned(),
        Field::CtHelper => return witness::helper_name(value).to_owned(),
        Field::Dnat | Field::Snat => {
            let end = match field {
                Field::Dnat => "destination",
                _ => "source",
            };
            let is = if value == 1 { "is" } else { "is not" };
            return format!("of a connection whose {end} {is} rewritten");
        }
        Field::Local => {
            let own = if value == 1 { "own" } else { "no own" };
            return format!("{own} address of that interface");
        }
        Field::AnyLocal => {
            let own = if value == 1 { "an" } else { "no" };
            return format!("{own} address of the router");
        }
        _ => {}
    }
    match space.interfaces.name(value) {
        "" => "none".into(),
        "+" => "others".into(),
        name => name.into(),
    }
}

/// A range of values in the notation of iptables.
pub fn range(family: IpFamily, field: Field, first: u128, last: u128) -> String {
    let show = |value| shown(family, field, value);
    if first == last {
        return show(first);
    }
    if is_address(field) {
        // Written as a network if the range is one.
        let size = first ^ last;
        if size & size.wrapping_add(1) == 0 && first & size == 0 {
            let width = match witness::address(family, first) {
                IpAddr::V4(_) => 32,
                IpAddr::V6(_) => 128,
            };
            return format!("{}/{}", show(first), width - size.count_ones());
        }
    }
    format!("{}-{}", show(first), show(last))
}

/// A value in the notation of iptables.
fn shown(family: IpFamily, field: Field, value: u128) -> String {
    match field {
        _ if is_address(field) => witness::address(family, value).to_string(),
        Field::Protocol => {
            witness::protocol_name(value).map_or_else(|| value.to_string(), |name| name.to_owned())
        }
        Field::Mark => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

/// The hardware addresses, or those that are excluded.
fn hardware(space: &Space, set: Set) -> String {
    let (inside, outside, others) = space.hardware_of(set);
    let (not, shown) = if others {
        ("not ", outside)
    } else {
        ("", inside)
    };
    let shown: Vec<String> = shown
        .into_iter()
        .map(|address| witness::hardware(address).to_string())
        .collect();
    format!("{not}{}", shown.join(" "))
}

/// The TCP flags in the notation of iptables, if a single match can express them.
fn flags(space: &Space, set: Set) -> String {
    let ranges = space.ranges(set, Field::Flags, MANY).unwrap_or_default();
    let values = ranges.iter().flat_map(|(first, last)| *first..=*last);
    let (mut on, mut off, mut count) = (0x3f, 0x3f, 0);
    for value in values {
        on &= value;
        off &= !value;
        count += 1;
    }
    let fixed = on | off;
    let names = |bits: u128| TcpFlags::names(bits).unwrap_or_else(|| "none".to_owned());
    match count == 1 << (6 - fixed.count_ones()) {
        true => format!("{} of {}", names(on), names(fixed)),
        false => format!("in {count} of 64 ways"),
    }
}
