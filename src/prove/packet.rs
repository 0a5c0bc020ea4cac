//! What a packet is made of, and sets of packets.
//!
//! Owns the fields, their order in the decision diagrams, and the finite list
//! of interfaces that a proof tells apart. Knows nothing of rules.

use std::collections::{BTreeMap, BTreeSet};

use super::diagram::{Diagrams, Set};
use crate::family::IpFamily;
use crate::netfilter::{CtStates, TupleAddress};

/// A field of a packet, or what the kernel notes beside it. The order is that
/// of the diagrams: what splits packets into few kinds comes first, addresses
/// before ports, and what few rules ask for last. A hardware address is bound to
/// a source address and so stands right below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// What conntrack takes it for, a [`State`].
    State,
    /// Whether its connection's destination is rewritten.
    Dnat,
    /// Whether its connection's source is rewritten.
    Snat,
    /// The interface it came in by, by [`Interfaces`].
    In,
    /// The interface it goes out by.
    Out,
    /// Source address.
    Source,
    /// Who opened its connection, as conntrack's tuple has it (`--ctorigsrc`).
    CtOriginalSource,
    /// Who answers in its connection (`--ctreplsrc`).
    CtReplySource,
    /// Source hardware address.
    Mac,
    /// Destination address.
    Destination,
    /// The destination address before it was rewritten, 0 if it was not.
    OriginalDestination,
    /// Whether the destination is an address of the router's own on the interface
    /// that the packet came in by.
    Local,
    /// Protocol number.
    Protocol,
    /// Destination port.
    DestinationPort,
    /// The destination port before the destination was rewritten, 0 if it was not.
    OriginalPort,
    /// Source port.
    SourcePort,
    /// ICMP type.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// TCP flags, as in the header.
    Flags,
    /// Whether it is a fragment and not the first.
    Fragment,
    /// How many more routers it may pass.
    Hops,
    /// The mark that rules give it.
    Mark,
    /// Which way it takes in its connection, a [`CtDirection`].
    CtDirection,
    /// Whether a helper expected its connection (`--ctstatus EXPECTED`).
    CtExpected,
    /// The helper that did, by [`helper_code`].
    CtHelper,
    /// To whom its connection was opened (`--ctorigdst`).
    CtOriginalDestination,
    /// To whom its connection is answered (`--ctrepldst`).
    CtReplyDestination,
    /// From which port its connection was opened (`--ctorigsrcport`).
    CtOriginalSourcePort,
    /// From which port its connection is answered (`--ctreplsrcport`).
    CtReplySourcePort,
    /// What cannot be told from the packet, a bit for each thing that rules ask
    /// (see `doubt`).
    Undecided,
}

impl Field {
    /// Every field, in order.
    pub const ALL: [Field; 30] = [
        Field::State,
        Field::Dnat,
        Field::Snat,
        Field::In,
        Field::Out,
        Field::Source,
        Field::CtOriginalSource,
        Field::CtReplySource,
        Field::Mac,
        Field::Destination,
        Field::OriginalDestination,
        Field::Local,
        Field::Protocol,
        Field::DestinationPort,
        Field::OriginalPort,
        Field::SourcePort,
        Field::IcmpType,
        Field::IcmpCode,
        Field::Flags,
        Field::Fragment,
        Field::Hops,
        Field::Mark,
        Field::CtDirection,
        Field::CtExpected,
        Field::CtHelper,
        Field::CtOriginalDestination,
        Field::CtReplyDestination,
        Field::CtOriginalSourcePort,
        Field::CtReplySourcePort,
        Field::Undecided,
    ];

    /// What is known of a packet by its connection alone.
    pub const OF_CONNECTION: [Field; 9] = [
        Field::CtOriginalSource,
        Field::CtReplySource,
        Field::CtDirection,
        Field::CtExpected,
        Field::CtHelper,
        Field::CtOriginalDestination,
        Field::CtReplyDestination,
        Field::CtOriginalSourcePort,
        Field::CtReplySourcePort,
    ];

    /// The field of an address of the connection.
    pub const fn of_tuple(address: TupleAddress) -> Field {
        match address {
            TupleAddress::OriginalSource => Field::CtOriginalSource,
            TupleAddress::OriginalDestination => Field::CtOriginalDestination,
            TupleAddress::ReplySource => Field::CtReplySource,
            TupleAddress::ReplyDestination => Field::CtReplyDestination,
        }
    }

    fn bits(self, family: IpFamily, interfaces: u32) -> u32 {
        match self {
            Field::State => 3,
            Field::Dnat | Field::Snat | Field::Fragment | Field::Local => 1,
            Field::CtDirection | Field::CtExpected => 1,
            Field::CtHelper => 2,
            Field::In | Field::Out => interfaces,
            Field::Source
            | Field::CtOriginalSource
            | Field::CtReplySource
            | Field::Destination
            | Field::OriginalDestination
            | Field::CtOriginalDestination
            | Field::CtReplyDestination => match family {
                IpFamily::V4 => 32,
                IpFamily::V6 => 128,
            },
            Field::Mac => HARDWARE_BITS,
            Field::Protocol | Field::IcmpType | Field::IcmpCode | Field::Hops => 8,
            Field::DestinationPort | Field::OriginalPort | Field::SourcePort => 16,
            Field::CtOriginalSourcePort | Field::CtReplySourcePort => 16,
            Field::Flags => 6,
            Field::Mark => 32,
            Field::Undecided => 96,
        }
    }

    /// The fields whose bits lie between this one's, so that they can be compared
    /// with it, or it be moved to them, at little cost.
    fn beside(self) -> &'static [Field] {
        match self {
            // An ICMP error's sender is held against an end of the connection.
            Field::Source => &[Field::CtOriginalSource, Field::CtReplySource],
            Field::Destination => &[Field::OriginalDestination],
            Field::DestinationPort => &[Field::OriginalPort],
            _ => &[],
        }
    }

    /// Whether its bits lie between another's.
    fn is_beside(self) -> bool {
        Field::ALL
            .iter()
            .any(|field| field.beside().contains(&self))
    }
}

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

/// The interfaces that a proof tells apart: those that somebody names, one for
/// each wildcard and one for all others. Place 0 is no interface at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    names: Vec<String>,
}

/// No interface: a packet from the router has come in by none.
pub const NO_INTERFACE: u128 = 0;

impl Interfaces {
    /// From the names and wildcards (`eth+`) that rules and networks hold.
    pub fn new(patterns: &BTreeSet<String>) -> Interfaces {
        let mut names = vec![String::new(), "lo".to_owned()];
        for pattern in patterns {
            // A wildcard stands for an interface of its own that nobody names:
            // no name of an interface ends in a plus.
            if !names.contains(pattern) {
                names.push(pattern.clone());
            }
        }
        if !patterns.contains("+") {
            names.push("+".to_owned());
        }
        Interfaces { names }
    }

    /// The places of the interfaces that a name or a wildcard means.
    pub fn matching(&self, pattern: &str) -> Vec<u128> {
        let places = self.names.iter().enumerate();
        let found = places.filter(|(_, name)| match pattern.strip_suffix('+') {
            // "+" alone is no condition (iptables(8)); "eth+" is also met by
            // the interface that stands for "eth1+".
            Some(prefix) => name.trim_end_matches('+').starts_with(prefix),
            None => *name == pattern,
        });
        found.map(|(place, _)| place as u128).collect()
    }

    /// The place of one interface.
    pub fn place(&self, name: &str) -> Option<u128> {
        let place = self.names.iter().position(|known| known == name)?;
        Some(place as u128)
    }

    /// The place of the interface that stands for one that nobody names: the one
    /// of the longest wildcard that means it.
    pub fn like(&self, name: &str) -> Option<u128> {
        let wildcards = self.names.iter().enumerate().filter(|(_, known)| {
            known
                .strip_suffix('+')
                .is_some_and(|start| name.starts_with(start))
        });
        let (place, _) = wildcards.max_by_key(|(_, known)| known.len())?;
        Some(place as u128)
    }

    /// The name of an interface.
    pub fn name(&self, place: u128) -> &str {
        self.names.get(place as usize).map_or("+", String::as_str)
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of the loopback.
    pub const LOOPBACK: u128 = 1;
}

/// How many bits tell hardware addresses apart: room for a million of them.
const HARDWARE_BITS: u32 = 20;

/// The hardware addresses that somebody names, and one for all others. Rules ask
/// for one of them and never for a part of it, so that a diagram needs to know
/// which it is and not what it is: a fifth of the nodes.
#[derive(Debug, Clone, Default)]
struct Hardware {
    codes: BTreeMap<u128, u128>,
}

impl Hardware {
    /// What stands for all that nobody names.
    const OTHERS: u128 = 0;

    /// What stands for an address, which from now on is a named one: a code that
    /// until then no set told from the others. None where there is no more room.
    fn code(&mut self, address: u128) -> Option<u128> {
        if let Some(code) = self.codes.get(&address) {
            return Some(*code);
        }
        let place = u32::try_from(self.codes.len() + 1).ok()?;
        // The bits that differ most come first, and all codes end in the same.
        let code = u128::from(place.reverse_bits() >> (u32::BITS - HARDWARE_BITS));
        if place >> HARDWARE_BITS != 0 {
            return None;
        }
        self.codes.insert(address, code);
        Some(code)
    }

    /// What stands for an address, named or not.
    fn known(&self, address: u128) -> u128 {
        self.codes.get(&address).copied().unwrap_or(Self::OTHERS)
    }

    /// An address that a code stands for: of the others one that nobody names.
    fn address(&self, code: u128) -> u128 {
        let named = self.codes.iter().find(|(_, known)| **known == code);
        match named {
            Some((address, _)) => *address,
            None => (0..).find(|it| !self.codes.contains_key(it)).unwrap_or(0),
        }
    }
}

/// What is known of the router's own addresses.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    there: BTreeMap<u128, OwnOnInterface>,
}

#[derive(Debug, Clone, Default)]
struct OwnOnInterface {
    own: Vec<u128>,
    /// The broadcast addresses of its networks.
    nobodys: Vec<u128>,
}

impl OwnAddresses {
    /// Adds an interface with the router's addresses on it and the broadcast
    /// addresses of their networks.
    pub fn add(&mut self, interface: u128, own: Vec<u128>, nobodys: Vec<u128>) {
        let there = OwnOnInterface { own, nobodys };
        self.there.insert(interface, there);
    }
}

/// One packet: a value for each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    values: [u128; Field::ALL.len()],
    unknown: u32,
}

impl Packet {
    /// Every field is 0.
    pub const ZERO: Packet = Packet {
        values: [0; Field::ALL.len()],
        unknown: 0,
    };

    /// A field's value; None where a rule rewrote it and nobody can say to what.
    pub fn get(&self, field: Field) -> Option<u128> {
        let known = self.unknown >> (field as u32) & 1 == 0;
        known.then_some(self.values[field as usize])
    }

    /// A field's last known value.
    pub fn value(&self, field: Field) -> u128 {
        self.values[field as usize]
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: u128) {
        self.values[field as usize] = value;
        self.unknown &= !(1 << field as u32);
    }

    /// Nobody can say what the field is now.
    pub fn forget(&mut self, field: Field) {
        self.unknown |= 1 << field as u32;
    }
}

/// Packets that surely are meant, and those that may be.
///
/// What a rule asks may depend on more than the packet: then it is not known
/// whether the rule matches, and "surely" and "maybe" differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Three {
    /// These may be.
    pub may: Set,
    /// These are; all of them are in `may`.
    pub must: Set,
}

impl Three {
    /// None.
    pub const NONE: Three = Three::exactly(Set::EMPTY);

    /// Just these.
    pub const fn exactly(set: Set) -> Three {
        Three {
            may: set,
            must: set,
        }
    }

    /// Whether it is not in doubt.
    pub fn is_exact(self) -> bool {
        self.may == self.must
    }

    /// All others.
    pub fn complement(self) -> Three {
        Three {
            may: !self.must,
            must: !self.may,
        }
    }
}

/// The packets of one family, and sets of them.
pub struct Space {
    /// The sets.
    pub diagrams: Diagrams,
    /// Which addresses.
    pub family: IpFamily,
    /// Which interfaces.
    pub interfaces: Interfaces,
    /// Whether it matters that a packet that is passed on has one hop less left.
    pub forwarding_counts: bool,
    /// The router's own address on an interface, where it is known.
    pub own_addresses: BTreeMap<u128, u128>,
    /// What is known of the addresses on each interface.
    own: OwnAddresses,
    hardware: Hardware,
    layout: [(u32, u32, u32); Field::ALL.len()],
}

/// The most nodes of one proof: about 200 MiB.
pub(super) const NODES_MAX: usize = 6 << 20;

impl Space {
    /// Every packet of a family over these interfaces.
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
        }
    }

    /// Notes what is known of the addresses on each interface.
    pub fn know_own(&mut self, own: OwnAddresses) {
        self.own = own;
    }

    /// Whether a destination is the router's own on an interface; None where that is
    /// not known.
    pub fn is_local(&self, interface: u128, destination: u128) -> Option<bool> {
        if self.is_nobodys(destination) {
            return Some(false);
        }
        match self.own.there.get(&interface) {
            Some(there) if there.own.contains(&destination) => Some(true),
            Some(there) if there.nobodys.contains(&destination) => Some(false),
            Some(_) => {
                let mut all = self.own.there.values();
                let elsewhere = all.any(|there| there.own.contains(&destination));
                elsewhere.then_some(false)
            }
            None => None,
        }
    }

    /// Whether an address is no single host's: a group, or everybody.
    fn is_nobodys(&self, address: u128) -> bool {
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

    /// The packets in which what is known of the router's own addresses is so; of
    /// packets of a connection it is left open, as their destination may be.
    pub fn local_as_known(&mut self) -> Set {
        let all: Vec<u128> = self
            .own
            .there
            .values()
            .flat_map(|it| it.own.clone())
            .collect();
        // A group's type is MULTICAST, and everybody's BROADCAST, on whichever interface
        // (__inet_dev_addr_type in net/ipv4/fib_frontend.c, ipv6_addr_type).
        let (first, last) = self.groups();
        let groups = self.range(Field::Destination, first, last);
        let everybody = match self.family {
            IpFamily::V4 => self.equal(Field::Destination, u32::MAX.into()),
            IpFamily::V6 => Set::EMPTY,
        };
        let nobodys = self.diagrams.or(groups, everybody);
        let local = self.equal(Field::Local, 1);
        let mut wrong = vec![self.diagrams.and(nobodys, local)];
        for (interface, there) in self.own.there.clone() {
            let mut none = there.nobodys.clone();
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
        let new = self.states(&[State::New]);
        !self.diagrams.and(wrong, new)
    }

    /// How wide a field is, in bits.
    pub fn bits_of(&self, field: Field) -> u32 {
        self.layout[field as usize].2
    }

    /// The highest value of a field.
    pub fn highest(&self, field: Field) -> u128 {
        u128::MAX >> (128 - self.bits_of(field))
    }

    /// The variables of a field from its highest bit, each with that bit's
    /// weight.
    fn variables(&self, field: Field) -> impl DoubleEndedIterator<Item = (u32, u128)> + use<> {
        let (start, stride, bits) = self.layout[field as usize];
        (0..bits).map(move |bit| (start + bit * stride, 1 << (bits - 1 - bit)))
    }

    /// The field that a variable is a bit of.
    fn field_of(&self, variable: u32) -> Option<Field> {
        Field::ALL.into_iter().find(|field| {
            let (start, stride, bits) = self.layout[*field as usize];
            variable >= start
                && variable < start + stride * bits
                && (variable - start).is_multiple_of(stride)
        })
    }

    /// The packets whose field is from `first` to `last`; of hardware addresses,
    /// one alone.
    pub fn range(&mut self, field: Field, first: u128, last: u128) -> Set {
        self.range_within(Set::FULL, field, first, last)
    }

    /// The packets of a set whose field is from `first` to `last`.
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
        let differing = first ^ last;
        if differing & differing.wrapping_add(1) == 0 && first & differing == 0 {
            // All that begin with the same bits.
            return self.masked_within(set, field, !differing, first);
        }
        let range = self.between(field, first, last);
        self.diagrams.and(set, range)
    }

    /// What stands for one hardware address; for several, and for one too many,
    /// there is none, and no set says anything from then on.
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

    /// The packets whose field, which is not that of hardware addresses, is
    /// `value` in the bits of `mask`.
    pub fn masked(&mut self, field: Field, mask: u128, value: u128) -> Set {
        self.masked_within(Set::FULL, field, mask, value)
    }

    /// The same, of the packets of a set.
    pub fn masked_within(&mut self, set: Set, field: Field, mask: u128, value: u128) -> Set {
        let (start, stride, bits) = self.layout[field as usize];
        let is_below = self.diagrams.top(set) >= start + stride * bits;
        // What lies below is put under the new nodes as it is.
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

    /// The packets whose field is as in this one; of hardware addresses that nobody
    /// names, such a one.
    pub fn like(&mut self, field: Field, packet: &Packet) -> Set {
        match field {
            Field::Mac => {
                let code = self.hardware.known(packet.value(field));
                self.masked(field, u128::MAX, code)
            }
            _ => self.equal(field, packet.value(field)),
        }
    }

    /// The hardware addresses that somebody names and packets of a set, which is
    /// over them alone, have, and those that they do not; and whether they have
    /// those that nobody names.
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

    /// The packets whose field is one of these.
    pub fn one_of(&mut self, field: Field, values: &[u128]) -> Set {
        self.in_ranges(field, values.iter().map(|value| (*value, *value)))
    }

    /// The packets whose field is in one of these ranges; of hardware addresses,
    /// each of them one.
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

    /// The packets that are in the set that goes with their field's value: sets of
    /// fields below it, each with the first and the last of its values. Of values
    /// in several ranges, all that go with them. The diagram is made at once and
    /// not range by range, so that nothing is made that is not part of it.
    pub fn by_value(&mut self, field: Field, mut parts: Vec<(u128, u128, Set)>) -> Set {
        if field == Field::Mac {
            for (first, last, _) in &mut parts {
                let code = self.hardware_code(*first, *last).unwrap_or_default();
                (*first, *last) = (code, code);
            }
        }
        let highest = self.highest(field);
        parts.retain(|(first, last, _)| first <= last && *first <= highest);
        parts.sort_unstable();
        self.by_value_below(field, (0, highest), &parts)
    }

    /// The same for the values that begin with the same bits.
    fn by_value_below(
        &mut self,
        field: Field,
        (first, last): (u128, u128),
        parts: &[(u128, u128, Set)],
    ) -> Set {
        let covers = |part: &&(u128, u128, Set)| part.0 <= first && part.1 >= last;
        if parts.iter().all(|part| covers(&part)) {
            let sets: Vec<Set> = parts.iter().map(|(_, _, set)| *set).collect();
            return self.diagrams.union(&sets);
        }
        if parts
            .iter()
            .find(covers)
            .is_some_and(|it| it.2 == Set::FULL)
        {
            return Set::FULL;
        }
        let middle = first + (last - first) / 2;
        // In order of their beginnings, so those of the lower half come first; some
        // of them may reach into the upper one.
        let below = parts.partition_point(|(begin, ..)| *begin <= middle);
        let low = self.by_value_below(field, (first, middle), &parts[..below]);
        let reaching = parts.iter().filter(|(_, end, _)| *end > middle);
        let upper: Vec<(u128, u128, Set)> = reaching.copied().collect();
        let high = self.by_value_below(field, (middle + 1, last), &upper);
        let (start, stride, bits) = self.layout[field as usize];
        let bit = bits - (last - first).count_ones();
        self.diagrams.make(start + bit * stride, low, high)
    }

    /// The packets in these states.
    pub fn states(&mut self, states: &[State]) -> Set {
        let values: Vec<u128> = states.iter().map(|state| *state as u128).collect();
        self.one_of(Field::State, &values)
    }

    /// Those of all sets.
    pub fn all(&mut self, sets: &[Set]) -> Set {
        sets.iter()
            .fold(Set::FULL, |all, set| self.diagrams.and(all, *set))
    }

    /// What is in both.
    pub fn and(&mut self, a: Three, b: Three) -> Three {
        let may = self.diagrams.and(a.may, b.may);
        let must = match a.is_exact() && b.is_exact() {
            true => may,
            false => self.diagrams.and(a.must, b.must),
        };
        Three { may, must }
    }

    /// What is in either.
    pub fn or(&mut self, a: Three, b: Three) -> Three {
        self.and(a.complement(), b.complement()).complement()
    }

    /// What is in the first and not in the second.
    pub fn minus(&mut self, a: Three, b: Three) -> Three {
        self.and(a, b.complement())
    }

    /// The set with any value in these fields.
    pub fn forget(&mut self, set: Set, fields: &[Field]) -> Set {
        match fields {
            [] => set,
            _ => self.moved(set, fields, &[]),
        }
    }

    /// The set with some fields forgotten and others moved to their twins,
    /// which must be among the forgotten.
    fn moved(&mut self, set: Set, forgotten: &[Field], to_twin: &[Field]) -> Set {
        let spans = |fields: &[Field]| -> Vec<(u32, u32, u32)> {
            fields.iter().map(|f| self.layout[*f as usize]).collect()
        };
        let within = |spans: &[(u32, u32, u32)], variable: u32| {
            spans.iter().any(|(start, stride, bits)| {
                variable >= *start
                    && variable < start + stride * bits
                    && (variable - start).is_multiple_of(*stride)
            })
        };
        let (forgotten, to_twin) = (spans(forgotten), spans(to_twin));
        self.diagrams.moved(set, &|variable| {
            if within(&to_twin, variable) {
                Some(variable + 1)
            } else if within(&forgotten, variable) {
                None
            } else {
                Some(variable)
            }
        })
    }

    /// What becomes of a set when the bits of a mask, in each packet's field, are
    /// set to those of a value.
    pub fn assigned(&mut self, set: Set, field: Field, mask: u128, value: u128) -> Set {
        let bits: Vec<u32> = self
            .variables(field)
            .filter(|(_, weight)| mask & weight != 0)
            .map(|(variable, _)| variable)
            .collect();
        let free = self.diagrams.moved(set, &|variable| {
            (!bits.contains(&variable)).then_some(variable)
        });
        let value = self.masked(field, mask, value);
        self.diagrams.and(free, value)
    }

    /// What becomes of a set when each packet's destination is rewritten to one
    /// in `to`, a set over destination and its port. The fields of `kept` stay.
    pub fn redirected(&mut self, set: Set, to: Set, kept: &[Field]) -> Set {
        let set = self.moved(
            set,
            &[
                Field::OriginalDestination,
                Field::OriginalPort,
                Field::Dnat,
                Field::Local,
            ],
            &[Field::Destination, Field::DestinationPort],
        );
        let dnat = self.equal(Field::Dnat, 1);
        let local = self.local_as_known();
        let mut changed = self.all(&[set, to, dnat, local]);
        for field in kept {
            let same = self.twins_equal(*field);
            changed = self.diagrams.and(changed, same);
        }
        changed
    }

    /// The destinations of a set as they were before they were rewritten.
    pub fn back(&mut self, set: Set) -> Set {
        let layout = |field: Field| self.layout[field as usize];
        let within = |(start, stride, bits): (u32, u32, u32), variable: u32| {
            variable >= start
                && variable < start + stride * bits
                && (variable - start).is_multiple_of(stride)
        };
        let new = [Field::Destination, Field::DestinationPort].map(layout);
        let old = [Field::OriginalDestination, Field::OriginalPort].map(layout);
        self.diagrams.moved(set, &|variable| {
            if old.iter().any(|span| within(*span, variable)) {
                Some(variable - 1)
            } else if new.iter().any(|span| within(*span, variable)) {
                None
            } else {
                Some(variable)
            }
        })
    }

    /// The packets whose source is an address of the connection that they are
    /// about.
    pub fn source_is(&mut self, address: Field) -> Set {
        let (start, ..) = self.layout[Field::Source as usize];
        let (other, ..) = self.layout[address as usize];
        let apart = other - start;
        let mut same = Set::FULL;
        for (variable, _) in self.variables(Field::Source).rev() {
            let zero = self.diagrams.make(variable + apart, same, Set::EMPTY);
            let one = self.diagrams.make(variable + apart, Set::EMPTY, same);
            same = self.diagrams.make(variable, zero, one);
        }
        same
    }

    fn twins_equal(&mut self, field: Field) -> Set {
        let mut same = Set::FULL;
        for (variable, _) in self.variables(field).rev() {
            let zero = self.diagrams.make(variable + 1, same, Set::EMPTY);
            let one = self.diagrams.make(variable + 1, Set::EMPTY, same);
            same = self.diagrams.make(variable, zero, one);
        }
        same
    }

    /// Whether a packet is in the set.
    pub fn holds(&self, set: Set, packet: &Packet) -> bool {
        let mut at = set;
        while at != Set::FULL && !at.is_empty() {
            let variable = self.diagrams.top(at);
            let (low, high) = self.diagrams.split(at, variable);
            let bit = self.field_of(variable).is_some_and(|field| {
                let (start, stride, bits) = self.layout[field as usize];
                let bit = bits - 1 - (variable - start) / stride;
                let value = match field {
                    Field::Mac => self.hardware.known(packet.value(field)),
                    _ => packet.value(field),
                };
                value >> bit & 1 == 1
            });
            at = if bit { high } else { low };
        }
        at == Set::FULL
    }

    /// A packet of the set, 0 wherever it may be; None if the set is empty.
    pub fn pick(&self, set: Set) -> Option<Packet> {
        if set.is_empty() {
            return None;
        }
        let mut packet = Packet::ZERO;
        let mut at = set;
        while at != Set::FULL {
            let variable = self.diagrams.top(at);
            let (low, high) = self.diagrams.split(at, variable);
            at = low;
            if low.is_empty() {
                at = high;
                let field = self.field_of(variable)?;
                let (start, stride, bits) = self.layout[field as usize];
                let bit = (variable - start) / stride;
                packet.values[field as usize] |= 1 << (bits - 1 - bit);
            }
        }
        let hardware = &mut packet.values[Field::Mac as usize];
        *hardware = self.hardware.address(*hardware);
        Some(packet)
    }

    /// A packet of the set that is also in as many of the wished-for sets as can
    /// be, the first ones first.
    pub fn pick_like(&mut self, set: Set, wishes: &[Set]) -> Option<Packet> {
        let wished = wishes.iter().fold(set, |set, wish| {
            let both = self.diagrams.and(set, *wish);
            if both.is_empty() { set } else { both }
        });
        self.pick(wished)
    }

    /// The destinations that sources reach, in a set over these two fields: each
    /// set of destinations with the sources that reach just those.
    pub fn rows(&mut self, set: Set) -> BTreeMap<Set, Set> {
        let (start, stride, bits) = self.layout[Field::Source as usize];
        let mut known: BTreeMap<Set, BTreeMap<Set, Set>> = BTreeMap::new();
        self.rows_below(set, start + stride * bits, &mut known)
    }

    fn rows_below(
        &mut self,
        set: Set,
        end: u32,
        known: &mut BTreeMap<Set, BTreeMap<Set, Set>>,
    ) -> BTreeMap<Set, Set> {
        let top = self.diagrams.top(set);
        if top >= end {
            return BTreeMap::from([(set, Set::FULL)]);
        }
        if let Some(rows) = known.get(&set) {
            return rows.clone();
        }
        let (low, high) = self.diagrams.split(set, top);
        let (low, high) = (
            self.rows_below(low, end, known),
            self.rows_below(high, end, known),
        );
        let targets: std::collections::BTreeSet<Set> =
            low.keys().chain(high.keys()).copied().collect();
        let mut rows = BTreeMap::new();
        for target in targets {
            let sources = |rows: &BTreeMap<Set, Set>| rows.get(&target).copied();
            let low = sources(&low).unwrap_or(Set::EMPTY);
            let high = sources(&high).unwrap_or(Set::EMPTY);
            rows.insert(target, self.diagrams.make(top, low, high));
        }
        known.insert(set, rows.clone());
        rows
    }

    /// The values of a field that packets of a set have, as ranges in order. The
    /// set must be over this field alone.
    pub fn ranges(&self, set: Set, field: Field) -> Vec<(u128, u128)> {
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        let highest = self.highest(field);
        self.collect(set, field, 0, highest, &mut ranges);
        ranges
    }

    fn collect(
        &self,
        set: Set,
        field: Field,
        first: u128,
        size: u128,
        ranges: &mut Vec<(u128, u128)>,
    ) {
        if set.is_empty() {
            return;
        }
        let (start, stride, bits) = self.layout[field as usize];
        let done = bits - size.count_ones();
        let variable = start + done * stride;
        if set == Set::FULL || size == 0 {
            match ranges.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(first) => last.1 = first + size,
                _ => ranges.push((first, first + size)),
            }
            return;
        }
        let (low, high) = self.diagrams.split(set, variable);
        let half = size >> 1;
        self.collect(low, field, first, half, ranges);
        self.collect(high, field, first + half + 1, half, ranges);
    }
}
