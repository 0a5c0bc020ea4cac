//! A claim, whether it holds, and a counterexample if it does not.

use crate::family::IpFamily;
use crate::prove::judge::{Judgement, Verdict};

/// A claim and the result of its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claim in words.
    pub what: String,
    /// The result.
    pub answer: ClaimResult,
}

/// The result of proving a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimResult {
    /// It holds for every packet.
    Holds,
    /// It holds as long as a match that depends on more than the packet (a limit, say) lets
    /// a packet such as this one through.
    Rests(Counterexample),
    /// It does not hold, as this packet shows.
    Broken(Counterexample),
    /// It does not hold by this rule, whose packets do not show it.
    BrokenBy(String),
    /// It does not hold for a packet such as this one, unless a match that depends on more
    /// than the packet stops it.
    Doubtful(Counterexample),
    /// Undecided: the proof reached its limit of memory or steps. Says what takes most of
    /// them, if that is known.
    TooLarge(Option<String>),
}

impl ClaimResult {
    /// Whether the ruleset may be loaded.
    pub fn holds(&self) -> bool {
        matches!(self, ClaimResult::Holds | ClaimResult::Rests(_))
    }
}

/// A packet that shows a result, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// The packet, as options of `camfw trace`.
    pub packet: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// The rule, or the chain policy, that decides.
    pub by: String,
}

impl Claim {
    /// A claim's words, with the family that it is about.
    pub(in crate::prove) fn of_family(family: IpFamily, what: String) -> String {
        match family {
            IpFamily::V4 => what,
            IpFamily::V6 => format!("IPv6: {what}"),
        }
    }
}

impl Counterexample {
    /// What becomes of a packet.
    pub(in crate::prove) fn new(packet: String, judged: &Judgement<'_>) -> Counterexample {
        let by = judged.by.as_ref();
        Counterexample {
            packet,
            verdict: judged.verdict,
            by: by.map_or_else(|| "no rule".into(), ToString::to_string),
        }
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = &self.what;
        match &self.answer {
            ClaimResult::Holds => write!(f, "holds: {what}"),
            ClaimResult::Rests(example) => write!(
                f,
                "holds: {what}; it rests on what depends on more than the packet, such as {}",
                example.by
            ),
            ClaimResult::Broken(example) | ClaimResult::Doubtful(example) => {
                let grade = match self.answer {
                    ClaimResult::Broken(_) => "does not hold",
                    _ => "cannot be shown",
                };
                write!(
                    f,
                    "{grade}: {what}: camfw trace {}: {} by {}",
                    example.packet, example.verdict, example.by
                )
            }
            ClaimResult::BrokenBy(rule) => write!(f, "does not hold: {what}: {rule}"),
            ClaimResult::TooLarge(most) => {
                write!(
                    f,
                    "cannot be shown: {what}: that takes more work than a proof may"
                )?;
                match most {
                    Some(most) => write!(f, "; {most}"),
                    None => Ok(()),
                }
            }
        }
    }
}
