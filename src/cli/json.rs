//! Output for programs: one JSON value on a line.

use super::{ExitCode, Flag, print};
use crate::family::IpFamily;
use crate::json::{ToJson, json_object, to_json};
use crate::netfilter::Ruleset;
use crate::prove::{self, ClaimResult, Counterexample};

/// Prints JSON in place of text.
pub(super) const JSON: Flag = Flag::switch("json", "for a program to read");

/// Prints a value as JSON.
pub(super) fn print_json(value: &dyn ToJson) -> ExitCode {
    print(&(to_json(value) + "\n"))
}

/// A packet that shows something, and what becomes of it.
pub(super) struct ShownPacket {
    /// As flags of `camfw trace`.
    packet: String,
    verdict: String,
    by: String,
}

json_object!(ShownPacket {
    packet,
    verdict,
    by
});

impl From<&Counterexample> for ShownPacket {
    fn from(example: &Counterexample) -> ShownPacket {
        ShownPacket {
            packet: example.packet.clone(),
            verdict: example.verdict.to_string(),
            by: example.by.clone(),
        }
    }
}

/// The result of a claim in one word, and its packet.
pub(super) fn result_of(answer: &ClaimResult) -> (&'static str, Option<ShownPacket>) {
    let (word, example) = match answer {
        ClaimResult::Holds => ("holds", None),
        ClaimResult::Rests(example) => ("holds", Some(example)),
        ClaimResult::Broken(example) => ("broken", Some(example)),
        ClaimResult::BrokenBy(_) => ("broken", None),
        ClaimResult::Doubtful(example) => ("perhaps-broken", Some(example)),
        ClaimResult::TooLarge(_) => ("undecided", None),
    };
    (word, example.map(ShownPacket::from))
}

/// What is judged both ways, and in how many rules.
pub(super) struct JudgedBothWays {
    what: String,
    rules: usize,
}

json_object!(JudgedBothWays { what, rules });

impl JudgedBothWays {
    /// Everything of these rules.
    pub(super) fn all<'r>(
        rules: impl IntoIterator<Item = (IpFamily, &'r Ruleset)>,
    ) -> Vec<JudgedBothWays> {
        let mut all = Vec::new();
        for (family, ruleset) in rules {
            let found = prove::unknown(ruleset, family).into_iter();
            all.extend(found.map(|(what, rules)| JudgedBothWays { what, rules }));
        }
        all
    }

    /// What some packets do not have that these rules test: a reason for a claim that cannot
    /// be shown.
    pub(super) fn absent(family: IpFamily, ruleset: &Ruleset) -> Vec<JudgedBothWays> {
        let found = prove::absent(ruleset, family).into_iter();
        found
            .map(|(what, rules)| JudgedBothWays { what, rules })
            .collect()
    }

    /// As a line of text.
    pub(super) fn line(&self) -> String {
        let JudgedBothWays { what, rules } = self;
        format!(
            "judged both ways, because the packet alone does not decide it: {what} (rules: {rules})\n"
        )
    }
}
