//! Sets of packets, addressed by field.
//!
//! Owns which variables of the decision diagrams each field has. Knows nothing of rules.

mod hardware;
mod own;
mod pick;
mod rewritten;

use std::collections::BTreeMap;

use super::bounds::Bounds;
use super::packet::{Field, Interfaces, Packet, State};
use crate::family::IpFamily;
use camfw_diagrams::{Diagrams, Set};
pub(super) use hardware::HARDWARE_BITS;
use hardware::Hardware;
pub use own::OwnAddresses;

/// The packets of one address family, and sets of them.
pub struct Space {
    /// The diagrams that hold the sets.
    pub diagrams: Diagrams,
    /// The address family.
    pub family: IpFamily,
    /// The interfaces.
    pub interfaces: Interfaces,
    /// Whether forwarding must be modelled as lowering the hop count.
    pub forwarding_counts: bool,
    /// The router's own address on each interface, where known.
    pub own_addresses: BTreeMap<u128, u128>,
    /// What is known of the addresses on each interface.
    own: OwnAddresses,
    hardware: Hardware,
    layout: [(u32, u32, u32); Field::ALL.len()],
    /// The first variable below all fields.
    below: u32,
}

/// The most diagram nodes of one proof: about 120 MiB.
pub(super) const NODES_MAX: usize = 6 << 20;

impl Space {
    /// A space for a family and these interfaces.
    pub fn new(family: IpFamily, interfaces: Interfaces) -> Space {
        let interface_bits = usize::BITS - (interfaces.len() - 1).leading_zeros();
        let mut layout = [(0, 1, 0); Field::ALL.len()];
        let mut next = 0;
        for field in Field::ALL {
            let bits = field.bits(family, interface_bits);
            if field.is_beside() {
                continue;
            }
            let group = std::iter::once(&field).chain(field.beside());
            let stride = 1 + field.beside().len() as u32;
            for (place, member) in group.enumerate() {
                layout[*member as usize] = (next + place as u32, stride, bits);
            }
            next += stride * bits;
        }
        Space {
            diagrams: Diagrams::new(NODES_MAX),
            family,
            interfaces,
            forwarding_counts: false,
            own_addresses: BTreeMap::new(),
            own: OwnAddresses::default(),
            hardware: Hardware::default(),
            layout,
            below: next,
        }
    }

    /// The first variable below all fields, for what becomes of packets.
    pub fn outcomes(&self) -> u32 {
        self.below
    }

    /// Sets what is known of the addresses on each interface.
    pub fn know_own(&mut self, own: OwnAddresses) {
        self.own = own;
    }

    /// Whether a destination is the router's own on an interface; None if unknown.
    pub fn is_local(&self, interface: u128, destination: u128) -> Option<bool> {
        if self.is_group_or_broadcast(destination) {
            return Some(false);
        }
        match self.own.there.get(&interface) {
            Some(there) if there.own.contains(&destination) => Some(true),
            Some(there) if there.broadcasts.contains(&destination) => Some(false),
            Some(_) => {
                let mut all = self.own.there.values();
                let elsewhere = all.any(|there| there.own.contains(&destination));
                elsewhere.then_some(false)
            }
            None => None,
        }
    }

    /// Whether an address is not a single host's: multicast or broadcast.
    fn is_group_or_broadcast(&self, address: u128) -> bool {
        let (first, last) = self.groups();
        (first..=last).contains(&address)
            || self.family == IpFamily::V4 && address == u128::from(u32::MAX)
    }

    fn groups(&self) -> (u128, u128) {
        match self.family {
            IpFamily::V4 => (0xe000_0000, 0xefff_ffff),
            IpFamily::V6 => (0xff << 120, u128::MAX),
        }
    }

    /// The packets whose [`Field::Local`] agrees with what is known of the router's own
    /// addresses. If rules rewrite destinations, it is left open for packets of existing
    /// connections.
    pub fn local_as_known(&mut self, rewrites: bool) -> Set {
        let all: Vec<u128> = self
            .own
            .there
            .values()
            .flat_map(|it| it.own.clone())
            .collect();
        // Multicast addresses have type MULTICAST and broadcast ones BROADCAST, on any
        // interface (__inet_dev_addr_type in net/ipv4/fib_frontend.c, ipv6_addr_type).
        let (first, last) = self.groups();
        let groups = self.range(Field::Destination, first, last);
        let everybody = match self.family {
            IpFamily::V4 => self.equal(Field::Destination, u32::MAX.into()),
            IpFamily::V6 => Set::EMPTY,
        };
        let shared = self.diagrams.or(groups, everybody);
        let local = self.equal(Field::Local, 1);
        let mut wrong = vec![self.diagrams.and(shared, local)];
        for (interface, there) in self.own.there.clone() {
            let mut none = there.broadcasts.clone();
            none.extend(all.iter().filter(|own| !there.own.contains(own)));
            let none = self.one_of(Field::Destination, &none);
            let own = self.one_of(Field::Destination, &there.own);
            let here = self.equal(Field::In, interface);
            let none = self.diagrams.and(none, local);
            let own = self.diagrams.minus(own, local);
            let either = self.diagrams.or(none, own);
            wrong.push(self.diagrams.and(either, here));
        }
        let wrong = self.diagrams.union(&wrong);
        let wrong = match rewrites {
            // Conntrack sends the later packets of a connection elsewhere.
            true => {
                let new = self.states(&[State::New]);
                self.diagrams.and(wrong, new)
            }
            false => wrong,
        };
        !wrong
    }

    /// The width of a field in bits.
    pub fn bits_of(&self, field: Field) -> u32 {
        self.layout[field as usize].2
    }

    /// The highest value of a field.
    pub fn highest(&self, field: Field) -> u128 {
        u128::MAX >> (128 - self.bits_of(field))
    }

    /// The variables of a field from its highest bit down, each with the bit's weight.
    fn variables(&self, field: Field) -> impl DoubleEndedIterator<Item = (u32, u128)> + use<> {
        let (start, stride, bits) = self.layout[field as usize];
        (0..bits).map(move |bit| (start + bit * stride, 1 << (bits - 1 - bit)))
    }

    /// The field that a variable belongs to.
    fn field_of(&self, variable: u32) -> Option<Field> {
        Field::ALL.into_iter().find(|field| {
            let (start, stride, bits) = self.layout[*field as usize];
            variable >= start
                && variable < start + stride * bits
                && (variable - start).is_multiple_of(stride)
        })
    }

    /// The packets whose field is between `first` and `last`, both included; for hardware
    /// addresses the two must be equal.
    pub fn range(&mut self, field: Field, first: u128, last: u128) -> Set {
        self.range_within(Set::FULL, field, first, last)
    }

    /// The packets of a set whose field is between `first` and `last`, both included.
    pub fn range_within(&mut self, set: Set, field: Field, first: u128, last: u128) -> Set {
        if field == Field::Mac {
            return match self.hardware_code(first, last) {
                Some(code) => self.masked_within(set, field, u128::MAX, code),
                None => Set::EMPTY,
            };
        }
        if first > last || first > self.highest(field) {
            return Set::EMPTY;
        }
        let last = last.min(self.highest(field));
        if let Some(same) = same_bits(first, last) {
            return self.masked_within(set, field, same, first);
        }
        let range = self.between(field, first, last);
        self.diagrams.and(set, range)
    }

    /// The code of one hardware address. If this is a range, or there are no codes left,
    /// returns None and makes every set invalid from then on.
    fn hardware_code(&mut self, first: u128, last: u128) -> Option<u128> {
        let code = self.hardware.code(first).filter(|_| first == last);
        if code.is_none() {
            self.diagrams.give_up();
        }
        code
    }

    fn between(&mut self, field: Field, first: u128, last: u128) -> Set {
        let (mut from, mut to) = (Set::FULL, Set::FULL);
        for (variable, weight) in self.variables(field).rev() {
            from = match first & weight {
                0 => self.diagrams.make(variable, from, Set::FULL),
                _ => self.diagrams.make(variable, Set::EMPTY, from),
            };
            to = match last & weight {
                0 => self.diagrams.make(variable, to, Set::EMPTY),
                _ => self.diagrams.make(variable, Set::FULL, to),
            };
        }
        self.diagrams.and(from, to)
    }

    /// The packets whose field has the bits of `value` where `mask` is set. Not for
    /// hardware addresses.
    pub fn masked(&mut self, field: Field, mask: u128, value: u128) -> Set {
        self.masked_within(Set::FULL, field, mask, value)
    }

    /// Like `masked`, among the packets of a set.
    pub fn masked_within(&mut self, set: Set, field: Field, mask: u128, value: u128) -> Set {
        let (start, stride, bits) = self.layout[field as usize];
        let is_below = self.diagrams.top(set) >= start + stride * bits;
        // What lies below is attached to the new nodes unchanged.
        let mut masked = if is_below { set } else { Set::FULL };
        for (variable, weight) in self.variables(field).rev() {
            if mask & weight != 0 {
                masked = match value & weight {
                    0 => self.diagrams.make(variable, masked, Set::EMPTY),
                    _ => self.diagrams.make(variable, Set::EMPTY, masked),
                };
            }
        }
        match is_below {
            true => masked,
            false => self.diagrams.and(set, masked),
        }
    }

    /// The packets whose field is `value`.
    pub fn equal(&mut self, field: Field, value: u128) -> Set {
        self.range(field, value, value)
    }

    /// The packets whose field is that of this packet; an unnamed hardware address stands
    /// for all unnamed ones.
    pub fn like(&mut self, field: Field, packet: &Packet) -> Set {
        match field {
            Field::Mac => {
                let code = self.hardware.known(packet.value(field));
                self.masked(field, u128::MAX, code)
            }
            _ => self.equal(field, packet.value(field)),
        }
    }

    /// For a set over hardware addresses alone: the named addresses in it, the named ones
    /// not in it, and whether it has the unnamed ones.
    pub fn hardware_of(&self, set: Set) -> (Vec<u128>, Vec<u128>, bool) {
        let has = |code: u128| {
            let mut at = set;
            for (variable, weight) in self.variables(Field::Mac) {
                let (low, high) = self.diagrams.split(at, variable);
                at = if code & weight == 0 { low } else { high };
            }
            !at.is_empty()
        };
        let named = self.hardware.codes.iter();
        let (inside, outside): (Vec<_>, Vec<_>) = named.partition(|(_, code)| has(**code));
        let addresses = |of: Vec<(&u128, &u128)>| of.into_iter().map(|(it, _)| *it).collect();
        (addresses(inside), addresses(outside), has(Hardware::OTHERS))
    }

    /// Tells a hardware address apart from those that no rule names.
    pub fn name_hardware(&mut self, address: u128) {
        self.hardware_code(address, address);
    }

    /// The packets whose field is one of these values.
    pub fn one_of(&mut self, field: Field, values: &[u128]) -> Set {
        self.in_ranges(field, values.iter().map(|value| (*value, *value)))
    }

    /// The packets whose field is in one of these ranges; for hardware addresses each must
    /// be a single one.
    pub fn in_ranges(
        &mut self,
        field: Field,
        ranges: impl IntoIterator<Item = (u128, u128)>,
    ) -> Set {
        let parts = ranges
            .into_iter()
            .map(|(first, last)| (first, last, Set::FULL));
        self.by_value(field, parts.collect())
    }

    /// The packets that are in the set that belongs to their field's value. Each part is a
    /// set over lower fields with the first and last value that it belongs to; if ranges
    /// overlap, their sets are united. Builds the diagram in one pass and not range by
    /// range, so that it makes no node that is not part of the result.
    pub fn by_value(&mut self, field: Field, mut parts: Vec<(u128, u128, Set)>) -> Set {
        if field == Field::Mac {
            for (first, last, _) in &mut parts {
                let code = self.hardware_code(*first, *last).unwrap_or_default();
                (*first, *last) = (code, code);
            }
        }
        let highest = self.highest(field);
        parts.retain(|(first, last, _)| first <= last && *first <= highest);
        self.by_number(field, parts)
    }

    /// Like `by_value`, of valid ranges; a hardware address is its code.
    fn by_number(&mut self, field: Field, mut parts: Vec<(u128, u128, Set)>) -> Set {
        parts.sort_unstable();
        // A host has as many parts as it has lines.
        parts.dedup();
        self.by_value_below(field, (0, self.highest(field)), &parts)
    }

    /// Like `by_value`, for the values that begin with the same bits.
    fn by_value_below(
        &mut self,
        field: Field,
        (first, last): (u128, u128),
        parts: &[(u128, u128, Set)],
    ) -> Set {
        match parts {
            [] => return Set::EMPTY,
            [(begin, end, set)] => {
                let (begin, end) = (first.max(*begin), last.min(*end));
                if let Some(same) = same_bits(begin, end) {
                    return self.masked_within(*set, field, (last - first) & same, begin);
                }
            }
            _ => {}
        }
        let covers = |part: &(u128, u128, Set)| part.0 <= first && part.1 >= last;
        if parts.iter().all(covers) {
            let sets: Vec<Set> = parts.iter().map(|(_, _, set)| *set).collect();
            return self.diagrams.union(&sets);
        }
        // Sorted by their starts, so those that cover all values come first.
        let mut starting = parts.iter().take_while(|(begin, ..)| *begin <= first);
        if starting.any(|part| covers(part) && part.2 == Set::FULL) {
            return Set::FULL;
        }
        let middle = first + (last - first) / 2;
        let (lower, upper) = parts.split_at(parts.partition_point(|it| it.0 <= middle));
        let low = self.by_value_below(field, (first, middle), lower);
        let is_reaching = |(_, end, _): &&(u128, u128, Set)| *end > middle;
        let reaching: Vec<_> = lower.iter().filter(is_reaching).copied().collect();
        let high = match reaching.is_empty() {
            true => self.by_value_below(field, (middle + 1, last), upper),
            false => {
                let both = [reaching.as_slice(), upper].concat();
                self.by_value_below(field, (middle + 1, last), &both)
            }
        };
        let (start, stride, bits) = self.layout[field as usize];
        let bit = bits - (last - first).count_ones();
        self.diagrams.make(start + bit * stride, low, high)
    }

    /// The packets in one of these states.
    pub fn states(&mut self, states: &[State]) -> Set {
        let values: Vec<u128> = states.iter().map(|state| *state as u128).collect();
        self.one_of(Field::State, &values)
    }

    /// The packets that are in all of these sets.
    pub fn all(&mut self, sets: &[Set]) -> Set {
        sets.iter()
            .fold(Set::FULL, |all, set| self.diagrams.and(all, *set))
    }

    /// The intersection.
    pub fn and(&mut self, a: Bounds, b: Bounds) -> Bounds {
        let may = self.diagrams.and(a.may, b.may);
        let must = match a.is_exact() && b.is_exact() {
            true => may,
            false => self.diagrams.and(a.must, b.must),
        };
        Bounds { may, must }
    }

    /// The union.
    pub fn or(&mut self, a: Bounds, b: Bounds) -> Bounds {
        self.and(a.complement(), b.complement()).complement()
    }

    /// The difference: what is in the first and not in the second.
    pub fn minus(&mut self, a: Bounds, b: Bounds) -> Bounds {
        self.and(a, b.complement())
    }
}

/// The bits that all values from `first` to `last` have in common, if these are all values
/// that begin with the same bits.
fn same_bits(first: u128, last: u128) -> Option<u128> {
    let differing = first ^ last;
    let is_all = differing & differing.wrapping_add(1) == 0 && first & differing == 0;
    is_all.then_some(!differing)
}
