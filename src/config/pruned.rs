//! The tree of a file without what was found wrong in it, so that what else is wrong is found in
//! the same run.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::document::Document;

impl Document<'_> {
    /// Takes out the key of this place, or the one whose value has this place, or such an element
    /// of a list. Returns the place of the table or of the list that it was in, or None if there is
    /// none: then what else is wrong cannot be told.
    pub(super) fn take_out(&mut self, place: &Range<usize>) -> Option<Range<usize>> {
        let whole = self.root.span();
        out_of(self.root.get_mut(), whole, place)
    }
}

/// From the innermost table: one that its own lines do not open may have the place of another.
fn out_of(
    table: &mut DeTable<'_>,
    here: Range<usize>,
    place: &Range<usize>,
) -> Option<Range<usize>> {
    for (_, value) in table.iter_mut() {
        let within = value.span();
        let found = match value.get_mut() {
            DeValue::Table(inner) => out_of(inner, within, place),
            DeValue::Array(list) => {
                let mut inner = list.iter_mut().filter_map(|element| {
                    let within = element.span();
                    match element.get_mut() {
                        DeValue::Table(inner) => out_of(inner, within, place),
                        _ => None,
                    }
                });
                let found = inner.next();
                let is_it = |element: &Spanned<DeValue<'_>>| element.span() == *place;
                if found.is_none() && list.iter().any(is_it) {
                    let all = std::mem::replace(list, DeArray::new()).into_iter();
                    *list = all.filter(|element| !is_it(element)).collect();
                    return Some(within);
                }
                found
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    let mut entries = table.iter();
    let (key, _) = entries.find(|(key, value)| key.span() == *place || value.span() == *place)?;
    let key = key.get_ref().to_string();
    table.remove(key.as_str());
    Some(here)
}
