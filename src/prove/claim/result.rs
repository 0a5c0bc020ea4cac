//! A claim, whether it holds, and the packet that shows that it does not.

use crate::prove::judge::Verdict;

/// What is claimed, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// In words.
    pub what: String,
    /// Whether it holds.
    pub answer: ClaimResult,
}

/// Whether a claim holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimResult {
    /// For every packet.
    Holds,
    /// It does as long as a match that depends on more than the packet lets a
    /// packet such as this through.
    Rests(Counterexample),
    /// It does not, as this packet shows.
    Broken(Counterexample),
    /// It does not for a packet such as this, unless a match that depends on
    /// more than the packet keeps it.
    Doubtful(Counterexample),
    /// There was no room to tell: its work has a bound. What takes most of it, where
    /// that is known.
    TooLarge(Option<String>),
}

impl ClaimResult {
    /// Whether the ruleset may be loaded.
    pub fn holds(&self) -> bool {
        matches!(self, ClaimResult::Holds | ClaimResult::Rests(_))
    }
}

/// A packet and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// Options of `camfw trace`.
    pub packet: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The rule or the policy that decides.
    pub by: String,
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
