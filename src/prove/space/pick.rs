//! Reading a set: a packet in it, its rows, the values of a field.

use std::collections::BTreeMap;

use super::Space;
use crate::prove::packet::{Field, Packet};
use camfw_diagrams::Set;

impl Space {
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

    /// A packet of the set, with 0 for every bit that can be 0; None if the set is empty.
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

    /// A packet of the set that is also in as many of the wished-for sets as possible;
    /// earlier wishes take precedence.
    pub fn pick_like(&mut self, set: Set, wishes: &[Set]) -> Option<Packet> {
        // What is wished for is small, and of the set only what remains is built.
        let wished = wishes.iter().fold(Set::FULL, |wished, wish| {
            let both = self.diagrams.and(wished, *wish);
            match self.diagrams.meet(set, both) {
                true => both,
                false => wished,
            }
        });
        let wished = self.diagrams.and(set, wished);
        self.pick(wished)
    }

    /// For a set over source and destination: each distinct set of destinations, with the
    /// sources that reach exactly these.
    pub fn rows(&mut self, set: Set) -> BTreeMap<Set, Set> {
        let (start, stride, bits) = self.layout[Field::Source as usize];
        let mut known: BTreeMap<Set, BTreeMap<Set, Set>> = BTreeMap::new();
        self.rows_below(set, start + stride * bits, &mut known)
    }

    pub(super) fn rows_below(
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

    /// The values of a field in a set over this field alone, as ranges in ascending order; None
    /// if there are more than `most`: a mask with holes has a range for each value of its holes,
    /// and an IPv6 address has room for 2^127 of them.
    pub fn ranges(&self, set: Set, field: Field, most: usize) -> Option<Vec<(u128, u128)>> {
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        let highest = self.highest(field);
        self.collect(set, field, (0, highest), most, &mut ranges);
        (ranges.len() <= most).then_some(ranges)
    }

    fn collect(
        &self,
        set: Set,
        field: Field,
        (first, size): (u128, u128),
        most: usize,
        ranges: &mut Vec<(u128, u128)>,
    ) {
        if set.is_empty() || ranges.len() > most {
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
        self.collect(low, field, (first, half), most, ranges);
        self.collect(high, field, (first + half + 1, half), most, ranges);
    }

    /// The mask and the value of a set over this field alone that has every value with the same
    /// bits under a mask; None if it is no such set.
    pub fn as_masked(&self, set: Set, field: Field) -> Option<(u128, u128)> {
        let (mut at, mut mask, mut value) = (set, 0, 0);
        for (variable, weight) in self.variables(field) {
            let (low, high) = self.diagrams.split(at, variable);
            at = low;
            if low != high {
                mask |= weight;
                if low.is_empty() {
                    (at, value) = (high, value | weight);
                } else if !high.is_empty() {
                    return None;
                }
            }
        }
        (at == Set::FULL).then_some((mask, value))
    }

    /// The values around this one that share its bits under a mask of as few bits as the set
    /// allows, which is over this field alone and has the value.
    pub fn masked_around(&mut self, set: Set, field: Field, value: u128) -> Set {
        let mut mask = self.highest(field);
        let mut around = self.masked(field, mask, value);
        for weight in (0..self.bits_of(field)).map(|bit| 1 << bit) {
            let wider = self.masked(field, mask & !weight, value);
            if self.diagrams.minus(wider, set).is_empty() {
                (mask, around) = (mask & !weight, wider);
            }
        }
        around
    }
}
