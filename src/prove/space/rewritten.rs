//! Sets of packets with a field rewritten.

use super::Space;
use crate::prove::packet::Field;
use camfw_diagrams::{Becomes, Set};

impl Space {
    /// The set with these fields set to any value.
    pub fn forget(&mut self, set: Set, fields: &[Field]) -> Set {
        match fields {
            [] => set,
            _ => self.moved(set, fields, &[]),
        }
    }

    /// The packets of a set that have 0 where the field's bits are set in `mask`, with the whole
    /// field and the other ones set to any value. In one pass, so that no set on the way is made.
    pub fn where_zero(&mut self, set: Set, field: Field, mask: u128, others: &[Field]) -> Set {
        let zero = self.bits_in(field, mask);
        let forgotten = self.spans(&[&[field], others].concat());
        self.diagrams.moved(set, &|variable| {
            if zero.contains(&variable) {
                Becomes::Zero
            } else if is_within(&forgotten, variable) {
                Becomes::Any
            } else {
                Becomes::To(variable)
            }
        })
    }

    /// The variables of a field's bits that are set in `mask`.
    fn bits_in(&self, field: Field, mask: u128) -> Vec<u32> {
        let bits = self.variables(field);
        let bits = bits.filter(|(_, weight)| mask & weight != 0);
        bits.map(|(variable, _)| variable).collect()
    }

    /// Moves fields to their twins. The `forgotten` fields, which must include the twins,
    /// lose their values first.
    pub(super) fn moved(&mut self, set: Set, forgotten: &[Field], to_twin: &[Field]) -> Set {
        let (forgotten, to_twin) = (self.spans(forgotten), self.spans(to_twin));
        self.diagrams.moved(set, &|variable| {
            if is_within(&to_twin, variable) {
                Becomes::To(variable + 1)
            } else if is_within(&forgotten, variable) {
                Becomes::Any
            } else {
                Becomes::To(variable)
            }
        })
    }

    /// The set after those bits of each packet's field that are set in `mask` are set to
    /// those of `value`.
    pub fn assigned(&mut self, set: Set, field: Field, mask: u128, value: u128) -> Set {
        let bits = self.bits_in(field, mask);
        let free = self
            .diagrams
            .moved(set, &|variable| match bits.contains(&variable) {
                true => Becomes::Any,
                false => Becomes::To(variable),
            });
        let value = self.masked(field, mask, value);
        self.diagrams.and(free, value)
    }

    /// The set after each packet's destination is rewritten to one in `to`, a set over the
    /// destination and its port. The fields of `kept` stay as they are.
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
        let local = self.local_as_known(true);
        let mut changed = self.all(&[set, to, dnat, local]);
        for field in kept {
            let same = self.twins_equal(*field);
            changed = self.diagrams.and(changed, same);
        }
        changed
    }

    /// The set with the destinations as they were before they were rewritten.
    pub fn back(&mut self, set: Set) -> Set {
        let new = [Field::Destination, Field::DestinationPort];
        self.twins_back(
            set,
            &new,
            &[Field::OriginalDestination, Field::OriginalPort],
        )
    }

    /// Restores the marks that packets had before any rule set them.
    pub fn marks_back(&mut self, set: Set) -> Set {
        self.twins_back(set, &[Field::Mark], &[Field::OriginalMark])
    }

    /// Copies each twin (the value of a field before it was rewritten) back into its field, and
    /// drops the twin.
    fn twins_back(&mut self, set: Set, new: &[Field], old: &[Field]) -> Set {
        let (new, old) = (self.spans(new), self.spans(old));
        self.diagrams.moved(set, &|variable| {
            if is_within(&old, variable) {
                Becomes::To(variable - 1)
            } else if is_within(&new, variable) {
                Becomes::Any
            } else {
                Becomes::To(variable)
            }
        })
    }

    /// The packets whose source is the given address of their connection's tuple.
    pub fn source_is(&mut self, address: Field) -> Set {
        let (start, ..) = self.layout[Field::Source as usize];
        let (other, ..) = self.layout[address as usize];
        self.equals_what_lies_below(Field::Source, other - start)
    }

    /// The packets whose field equals its twin.
    pub fn twins_equal(&mut self, field: Field) -> Set {
        self.equals_what_lies_below(field, 1)
    }

    /// The packets each bit of whose field equals the variable so far below it.
    fn equals_what_lies_below(&mut self, field: Field, apart: u32) -> Set {
        let mut same = Set::FULL;
        for (variable, _) in self.variables(field).rev() {
            let zero = self.diagrams.make(variable + apart, same, Set::EMPTY);
            let one = self.diagrams.make(variable + apart, Set::EMPTY, same);
            same = self.diagrams.make(variable, zero, one);
        }
        same
    }

    /// The variables of fields, each as its first one, their distance and their number.
    fn spans(&self, fields: &[Field]) -> Vec<FieldBits> {
        fields.iter().map(|f| self.layout[*f as usize]).collect()
    }
}

type FieldBits = (u32, u32, u32);

/// Whether a variable is one of these fields'.
fn is_within(spans: &[FieldBits], variable: u32) -> bool {
    spans.iter().any(|(start, stride, bits)| {
        variable >= *start
            && variable < start + stride * bits
            && (variable - start).is_multiple_of(*stride)
    })
}
