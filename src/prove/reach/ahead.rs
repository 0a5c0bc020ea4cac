//! What the chains of a path let through, found before any other set is made: nothing else has to
//! be kept then, so that what is made on the way is freed. It is most of a proof's memory.

use std::collections::BTreeSet;

use super::{DEPTH_MAX, Reach};
use crate::netfilter::TableName;
use crate::prove::hook_path::{HookPath, after_routing};
use crate::prove::program::{Effect, ProgramTable};
use crate::prove::space::Space;
use camfw_diagrams::Set;

/// With fewer nodes than these, about 1 MiB, nothing is freed.
const FEW: usize = 1 << 16;

impl<'a> Reach<'_, 'a> {
    /// Finds what the chains after routing let through that change no packets. No other set of
    /// the space is valid any more.
    pub fn follow_alone(&mut self, space: &mut Space, ways: &[HookPath]) {
        let program = self.program;
        let mut seen = BTreeSet::new();
        for (name, chain) in ways.iter().flat_map(|way| after_routing(*way)) {
            if let Some((table, place)) = program.chain(*name, chain)
                && !table.chains[place].changes
            {
                self.follow(space, table, place, &mut seen, 0);
                self.let_through(space, *name, chain);
            }
        }
        self.known.clear();
        self.free(space, FEW);
    }

    /// Finds the outcome of a chain, after those of the chains that it calls: between two of them
    /// no set is on the way.
    fn follow(
        &mut self,
        space: &mut Space,
        table: &ProgramTable<'a>,
        place: usize,
        seen: &mut BTreeSet<(TableName, usize)>,
        depth: usize,
    ) {
        if depth > DEPTH_MAX || !seen.insert((table.name, place)) {
            return;
        }
        for step in &table.chains[place].steps {
            if let Effect::Jump(to) | Effect::Goto(to) = step.effect {
                self.follow(space, table, to, seen, depth + 1);
            }
        }
        self.ends(space, table, place, depth);
        // Freeing costs as much as what is kept, and so pays once there is as much again.
        let most = (self.kept * 2).max(FEW);
        self.free(space, most);
    }

    /// Frees all sets but those of the chains, if there are more nodes than these.
    fn free(&mut self, space: &mut Space, most: usize) {
        if space.diagrams.nodes() <= most {
            return;
        }
        let ends = self.known.values_mut().flatten();
        let through = self.let_through.values_mut();
        let through = through.flat_map(|it| [&mut it.may, &mut it.must]);
        let mut sets: Vec<&mut Set> = ends.map(|it| &mut it.ends).chain(through).collect();
        space.diagrams.keep(&mut sets);
        self.kept = space.diagrams.nodes();
    }
}
