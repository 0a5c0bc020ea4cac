//! The verdict on a packet, and the rules that it met on the way to it.

use std::fmt;

use super::program::Step;
use crate::json::json_object;
use crate::netfilter::{TableName, rule_text};

/// The verdict on a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It gets through.
    Accept,
    /// It is dropped.
    Drop,
    /// Undecided: it depends on more than the packet.
    Depends,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Accept => "ACCEPT",
            Verdict::Drop => "DROP",
            Verdict::Depends => "DEPENDS",
        })
    }
}

/// A position in the tables: a rule, or a chain's policy.
#[derive(Clone, Copy)]
pub struct RulePlace<'a> {
    /// The table.
    pub table: TableName,
    /// The chain.
    pub chain: &'a str,
    /// The rule's number in the chain, from 1; 0 is the policy.
    pub number: usize,
    pub(super) step: Option<&'a Step<'a>>,
}

impl RulePlace<'_> {
    /// `filter FORWARD 4`, `filter FORWARD policy`, or `filter mine, end of the chain`: only
    /// a built-in chain has a policy.
    pub fn short(&self) -> String {
        let (table, chain) = (self.table.as_str(), self.chain);
        match self.number {
            0 if !self.table.builtin_chains().contains(&chain) => {
                format!("{table} {chain}, end of the chain")
            }
            0 => format!("{table} {chain} policy"),
            number => format!("{table} {chain} {number}"),
        }
    }
}

impl fmt::Display for RulePlace<'_> {
    /// `filter FORWARD 4: `, then the rule's text with its comment, which has file and
    /// line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())?;
        match self.step {
            None => Ok(()),
            Some(step) => {
                let line = step.rule.line.0;
                if line > 0 {
                    write!(f, " (line {line})")?;
                }
                write!(f, ": {}", rule_text(step.rule))
            }
        }
    }
}

/// A rule that a packet matched, or a policy that it met.
pub struct RuleMet<'a> {
    /// Its position.
    pub place: RulePlace<'a>,
    /// Whether it certainly matched.
    pub surely: bool,
    /// What it did, in words.
    pub what: String,
    /// Where it sent the packet on to, if it rewrites destinations.
    pub to: Option<NewDestination>,
}

/// The destination that a rule gives to packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDestination {
    /// An address, a range of which it is one, or `router` for one of its own; None if it is
    /// not known.
    pub address: Option<String>,
    /// A port, or a range of which it is one; None if it is not known, or there are no ports.
    pub port: Option<String>,
}

json_object!(NewDestination { address, port });

impl fmt::Display for NewDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.address.as_deref().unwrap_or("an address not known"))?;
        match &self.port {
            Some(port) => write!(f, " port {port}"),
            None => Ok(()),
        }
    }
}
