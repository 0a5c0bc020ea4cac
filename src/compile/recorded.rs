//! Passes refused packets on to `camfw watch`, which records them.
//!
//! Owns the rates. Each source has its own, so that one host cannot hide another. A full
//! hashlimit table drops the match for new sources, so a rate per destination would let one
//! host blind the record of all; and a table that counts sources is only for those that
//! rules have checked before, which are bounded by the zone's networks. Sources that may be
//! made up share one rate instead, apart from the others.

use super::{Compiler, Direction, chain, interface};
use crate::family::IpFamily;
use crate::field::Rate;
use crate::netfilter::{Match, Rule, Table, Target};
use crate::policy::{RefusalReason, RefusalTag, ZoneIndex};

/// The packets that are passed on of each source. The name of the kernel's table has the
/// rate: it finds a table by its name alone and then keeps its old settings.
const RATE: Rate = Rate::a_second(50);

/// The packets that are passed on at once: a scan of a few hundred ports is recorded whole.
const BURST: u64 = 250;

impl Compiler<'_> {
    /// The rule that passes on what is refused of a zone; None where that is not recorded.
    pub(super) fn recorded(&self, index: ZoneIndex, reason: RefusalReason) -> Option<Rule> {
        let zone = self.policy.zone(index);
        // Cameras are listed by IPv4 addresses.
        let is_stray = reason == RefusalReason::Spoofed && self.family == IpFamily::V4;
        let records = self.policy.records(zone) || is_stray && self.policy.records_strays();
        if !records {
            return None;
        }
        let tag = RefusalTag {
            zone: Some(zone.name.clone()),
            reason,
        };
        let limit = match (reason, self.family) {
            (RefusalReason::Spoofed | RefusalReason::Bogon, _)
            | (RefusalReason::Unknown, IpFamily::V6) => Match::Limit(RATE.with_burst(BURST)),
            _ => per_source(zone.name.as_str()),
        };
        Some(Rule::new(Target::Nflog(tag.prefix())).matching(limit))
    }

    /// Passes on, at the end of the built-in chains, what no line has let through.
    pub(super) fn not_allowed(&self, table: &mut Table) {
        for direction in [Direction::Input, Direction::Forward] {
            for (index, zone) in self.policy.indexed_zones() {
                let passed_on = self.recorded(index, RefusalReason::NotAllowed);
                let passed_on = passed_on.map(|rule| Rule {
                    in_interface: interface(&zone.interface),
                    ..rule
                });
                table.rules_mut(&direction.chain()).extend(passed_on);
            }
        }
        if self.policy.records_router() {
            let tag = RefusalTag {
                zone: None,
                reason: RefusalReason::NotAllowed,
            };
            let rule = Rule::new(Target::Nflog(tag.prefix())).matching(per_source("router"));
            table.rules_mut(&Direction::Output.chain()).push(rule);
        }
    }
}

fn per_source(whose: &str) -> Match {
    Match::HashlimitPerSource {
        rate: RATE.with_burst(BURST),
        name: chain(format_args!("refused-{whose}-{}", RATE.short())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ipv4, ipv6};
    use super::*;
    use crate::netfilter::TableName;
    use crate::policy::Answers;
    use crate::source::Source;

    const POLICY: &str = "version = 1\n[log]\ndropped = true\n[ipv6]\nmode = \"same\"\n\
        [zones.external]\ninterface = \"eth0\"\naddress = \"192.168.0.2/24\"\nrole = \"external\"\n\
        [zones.camera]\ninterface = \"eth1\"\naddress = [\"192.168.8.1/24\", \"fd00:8::1/64\"]\n\
        role = \"camera\"\non-deny = \"reject\"\n";

    #[test]
    fn what_is_answered_is_recorded_before() -> Result<(), Box<dyn std::error::Error>> {
        let policy = crate::policy(&Source::new("config.toml", POLICY), &Answers::new())?;
        for ruleset in [ipv4(&policy), ipv6(&policy)] {
            let filter = ruleset.table(TableName::Filter);
            for name in ["INPUT", "FORWARD"] {
                let rules = &filter.chain(name).ok_or("a built-in chain")?.rules;
                let places = |wanted: &dyn Fn(&Target) -> bool| -> Vec<usize> {
                    let rules = rules.iter().enumerate();
                    let found = rules.filter(|(_, rule)| rule.target.as_ref().is_some_and(wanted));
                    found.map(|(place, _)| place).collect()
                };
                let recorded = places(&|target| matches!(target, Target::Nflog(_)));
                let answered = places(&|target| *target == Target::Jump(chain("reject")));
                assert_eq!((recorded.len(), answered.len()), (1, 1), "{name}");
                assert!(recorded < answered, "{name}");
            }
        }
        Ok(())
    }
}
