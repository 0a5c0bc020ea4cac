//! The lists of addresses that a configuration names: `"@/etc/camfw/blocklist.txt"` among
//! addresses stands for those of a file of its own.
//!
//! Owns which keys take one. Reads none.

use std::collections::BTreeSet;

use super::{Config, Spanned};
use crate::source::one_line;

/// The path of a list among addresses; None if the text names none.
pub(crate) fn list_path(text: &str) -> Option<&str> {
    text.strip_prefix('@')
}

impl Config {
    /// The path of each list that is written as a whole path, once, in the order of the files,
    /// with the offset where it is named first.
    pub(crate) fn list_paths(&self) -> Vec<(&str, usize)> {
        let lines = self.allow.iter().map(Spanned::get_ref);
        let lines = lines.flat_map(|it| [&it.source, &it.address, &it.except]);
        let own = self.cameras.iter().flat_map(|camera| &camera.allow);
        let own = own.map(Spanned::get_ref);
        let own = own.flat_map(|it| [&it.address, &it.except]);
        let denied = self.deny.iter().map(Spanned::get_ref);
        let denied = denied.flat_map(|it| [&it.source, &it.address]);
        let written = lines.chain(own).chain(denied).flatten();
        let paths = written.flat_map(|written| {
            let texts = written.get_ref().0.iter();
            texts.filter_map(|text| {
                // Alone it has no place of its own.
                let start = text.span().start.max(written.span().start);
                Some((list_path(text.get_ref())?, start))
            })
        });
        let mut known = BTreeSet::new();
        // One that is not on one line would have another name where it is kept.
        let is_whole = |path: &str| path.starts_with('/') && one_line(path) == path;
        let whole = paths.filter(|(path, _)| is_whole(path) && known.insert(*path));
        whole.collect()
    }
}
