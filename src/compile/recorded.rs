//! Passes refused packets on to `camfw watch`, which records them.
//!
//! Owns the rates. Each listed camera has its own, so that no other host can hide it. A host
//! that nobody listed has as many sources as its network has addresses, and a source that
//! comes for the first time has a burst of its own: so these have a rate for each, and one
//! for all of them together, which bounds what comes to the packet log. A full hashlimit
//! table drops the match for new sources, so a rate per destination would let one host blind
//! the record of all. Sources that may be made up share one rate, apart from the others.
//!
//! A kernel that cannot pass packets on logs them itself, by the same rules and at the rate of
//! its other LOG rules. What those log anyway (sources that may be made up) it logs once.

use std::net::IpAddr;

use ipnet::IpNet;

use super::hardware::{self, OfAddress};
use super::tree::{self, Placed};
use super::{Compiler, Direction, chain, interface};
use crate::family::IpFamily;
use crate::field::Rate;
use crate::name::ChainName;
use crate::netfilter::{Match, Negatable, Rule, Table, Target};
use crate::policy::{RefusalReason, RefusalTag, ZoneIndex};

/// The packets that are passed on of each source. The name of the kernel's table has the
/// rate: it finds a table by its name alone and then keeps its old settings.
const RATE: Rate = Rate::a_second(50);

/// The packets that are passed on of a zone's unlisted hosts together: one that floods from
/// one address leaves the other half.
const RATE_TOGETHER: Rate = Rate::a_second(100);

/// The packets of a zone's unlisted hosts together that the kernel logs itself.
const LOGGED_TOGETHER: Rate = Rate::a_second(1);

/// The packets that are passed on at once: a scan of a few hundred ports is recorded whole.
const BURST: u64 = 250;

impl Compiler<'_> {
    /// The rule that passes on what is refused of a zone; None where that is not recorded.
    pub(super) fn recorded(&self, index: ZoneIndex, reason: RefusalReason) -> Option<Rule> {
        let zone = self.policy.zone(index);
        let is_stray = match reason {
            RefusalReason::Spoofed => self.family == IpFamily::V4 || self.policy.lists_ipv6(),
            RefusalReason::Misplaced => true,
            _ => false,
        };
        let records = zone.record || is_stray && self.policy.records_strays();
        // Other rules log these.
        let is_logged = !self.policy.can_record && reason.has_unchecked_source();
        if !records || is_logged {
            return None;
        }
        let tag = RefusalTag {
            zone: Some(zone.name.clone()),
            reason,
        };
        let rule = self.passed_on(&tag);
        let rule = match (reason, self.family) {
            (RefusalReason::Spoofed | RefusalReason::Bogon | RefusalReason::Misplaced, _)
            | (RefusalReason::Unknown, IpFamily::V6) => rule.matching(self.of_all(RATE)),
            (RefusalReason::NotAllowed | RefusalReason::TooMany, IpFamily::V4)
                if zone.known_only =>
            {
                rule.matching(self.per_source("refused", zone.name.as_str()))
            }
            _ => rule
                .matching(self.per_source("others", zone.name.as_str()))
                .matching(match self.policy.can_record {
                    true => self.of_all(RATE_TOGETHER),
                    false => Match::Limit(LOGGED_TOGETHER),
                }),
        };
        Some(rule)
    }

    /// Passes on, at the end of the built-in chains, what no line has let through.
    pub(super) fn not_allowed(&mut self, table: &mut Table) {
        for (index, zone) in self.policy.indexed_zones() {
            let Some(rule) = self.recorded_by_whose(table, index, RefusalReason::NotAllowed) else {
                continue;
            };
            for direction in [Direction::Input, Direction::Forward] {
                let mut rule = rule.clone();
                rule.in_interface = interface(&zone.interface);
                table.rules_mut(&direction.chain()).push(rule);
            }
        }
        if self.policy.records_router() {
            let tag = RefusalTag {
                zone: None,
                reason: RefusalReason::NotAllowed,
            };
            let rule = self.passed_on(&tag);
            let rule = rule.matching(self.per_source("refused", "router"));
            table.rules_mut(&Direction::Output.chain()).push(rule);
        }
    }

    /// The rule that passes on what is refused of a zone whose sources are checked, of each
    /// listed camera by a rate of its own.
    pub(super) fn recorded_by_whose(
        &mut self,
        table: &mut Table,
        index: ZoneIndex,
        reason: RefusalReason,
    ) -> Option<Rule> {
        let others = self.recorded(index, reason)?;
        // No zone's name has `_`, so that these chains are no other zone's.
        let zone = &self.policy.zone(index).name;
        let name = |whose| match reason {
            RefusalReason::TooMany => chain(format_args!("past-{zone}{whose}")),
            _ => chain(format_args!("refused-{zone}{whose}")),
        };
        Some(match self.family {
            IpFamily::V4 => {
                let names = [name(""), name("_cameras"), name("_others")];
                self.listed_by_address(table, names, index, others)
            }
            IpFamily::V6 => self.listed_by_hardware(table, name(""), index, others),
        })
    }

    /// The rule that passes on listed cameras by a rate of their own, and other sources as
    /// `others` does.
    fn listed_by_address(
        &mut self,
        table: &mut Table,
        [all, listed, unlisted]: [ChainName; 3],
        index: ZoneIndex,
        others: Rule,
    ) -> Rule {
        let zone = self.policy.zone(index);
        let cameras = || self.policy.cameras_of(index);
        if zone.known_only || cameras().next().is_none() {
            return others;
        }
        let first = table.chains.len();
        let placed = cameras().map(|camera| Placed {
            source: Some(IpNet::from(IpAddr::V4(camera.address))),
            destination: None,
            rule: Rule::new(Target::Goto(listed.clone())),
        });
        tree::place(table, &mut self.names, &all, placed.collect());
        // Each chain of the tree is left for good: for the camera's, or for that of others.
        for chain in &mut table.chains[first..] {
            for rule in &mut chain.rules {
                if let Some(Target::Jump(to)) = &rule.target {
                    rule.target = Some(Target::Goto(to.clone()));
                }
            }
            chain.rules.push(Rule::new(Target::Goto(unlisted.clone())));
        }
        let mut camera = others.clone();
        camera.matches = vec![self.per_source("refused", zone.name.as_str())];
        *table.rules_mut(&listed) = vec![camera];
        *table.rules_mut(&unlisted) = vec![others];
        Rule::new(Target::Jump(all))
    }

    /// The same for IPv6, where a camera has as many addresses as it likes: by hardware
    /// address, and by the file's addresses where it has none.
    pub(super) fn listed_by_hardware(
        &self,
        table: &mut Table,
        all: ChainName,
        index: ZoneIndex,
        others: Rule,
    ) -> Rule {
        let passed_on = others.target.clone().map(Rule::new);
        let passed_on = passed_on.map(|rule| rule.matching(self.of_all(RATE)));
        let mut rules: Vec<Rule> = passed_on.into_iter().collect();
        rules.push(Rule::new(Target::Return));
        let cameras = || self.policy.cameras_of(index);
        let of_macs: Vec<OfAddress> = cameras()
            .filter_map(|it| Some((it.mac?, rules.clone())))
            .collect();
        let without = cameras().filter(|it| it.mac.is_none());
        let addresses = without.flat_map(|it| it.addresses_of(self.family));
        let by_address = addresses.flat_map(|own| {
            let source = Some(Negatable::is(own.into()));
            rules
                .iter()
                .cloned()
                .map(move |rule| Rule { source, ..rule })
        });
        let by_address: Vec<Rule> = by_address.collect();
        if of_macs.is_empty() && by_address.is_empty() {
            return others;
        }
        hardware::place(table, &all, by_address, of_macs, &[others]);
        Rule::new(Target::Jump(all))
    }

    /// The rule that passes a packet on, or logs it where the kernel cannot do that.
    fn passed_on(&self, tag: &RefusalTag) -> Rule {
        Rule::new(match self.policy.can_record {
            true => Target::Nflog(tag.prefix()),
            false => Target::Log(tag.log_prefix()),
        })
    }

    fn per_source(&self, which: &str, whose: &str) -> Match {
        let rate = match self.policy.can_record {
            true => RATE.with_burst(BURST),
            false => self.policy.log.rate,
        };
        Match::HashlimitPerSource {
            rate,
            name: chain(format_args!("{which}-{whose}-{}", rate.short())),
        }
    }

    /// The rate of all that comes to one rule.
    fn of_all(&self, rate: Rate) -> Match {
        Match::Limit(match self.policy.can_record {
            true => rate.with_burst(BURST),
            false => self.policy.log.rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ipv4, ipv6};
    use super::*;
    use crate::netfilter::{TableName, restore_text};
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

    /// Where nothing can be recorded the kernel logs it, each source at a rate of its own.
    #[test]
    fn a_kernel_without_nflog_logs_what_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let text = POLICY.replace("[log]\ndropped = true\n", "")
            + "[[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\n\
               [[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = \"ntp\"\n";
        let mut policy = crate::policy(&Source::new("config.toml", &text), &Answers::new())?;
        policy.can_record = false;
        let filter = [TableName::Filter];
        let v4 = restore_text(&ipv4(&policy), &filter);
        let all = v4.clone() + &restore_text(&ipv6(&policy), &TableName::ALL);
        assert!(!all.contains("NFLOG"));
        let logged = |text: &str, chain: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains("-j LOG"));
            let of = lines.filter(|line| line.starts_with(&format!("-A {chain} ")));
            of.map(str::to_owned).collect()
        };
        let [camera] = &logged(&v4, "refused-camera_cameras")[..] else {
            return Err("one rule for cameras".into());
        };
        for part in [
            "--hashlimit-mode srcip",
            "--log-prefix \"camera not-allowed \"",
        ] {
            assert!(camera.contains(part), "{camera}");
        }
        let others = logged(&v4, "refused-camera_others");
        assert!(
            others.len() == 1 && others[0].contains("-m limit --limit 1/sec"),
            "{others:?}"
        );
        assert_eq!(
            logged(&v4, "past-camera_cameras").len(),
            1,
            "past its bound"
        );
        // What other rules log is logged once.
        assert!(!all.contains("camera spoofed "), "{all}");
        Ok(())
    }

    #[test]
    fn no_zone_is_recorded_as_another() -> Result<(), Box<dyn std::error::Error>> {
        let zone = |name: &str, third: u8| {
            format!(
                "[zones.{name}]\ninterface = \"eth{third}\"\naddress = \"192.168.{third}.1/24\"\n\
                 role = \"camera\"\n[[cameras]]\nname = \"of-{name}\"\naddress = \"192.168.{third}.110\"\n"
            )
        };
        let text = ["cam-cameras", "cam-others", "cam"].iter().zip(2..);
        let text: String = text.map(|(name, third)| zone(name, third)).collect();
        let policy = crate::policy(&Source::new("config.toml", &text), &Answers::new())?;
        let rules = ipv4(&policy);
        let filter = rules.table(TableName::Filter);
        for (_, zone) in policy.indexed_zones() {
            let own = RefusalTag {
                zone: Some(zone.name.clone()),
                reason: RefusalReason::NotAllowed,
            };
            let all = filter.chain(&format!("refused-{}", zone.name));
            let mut ways: Vec<&ChainName> = Vec::new();
            let mut left: Vec<&Rule> = all.ok_or("a chain")?.rules.iter().collect();
            let mut recorded = 0;
            while let Some(rule) = left.pop() {
                match &rule.target {
                    Some(Target::Goto(to)) if !ways.contains(&to) => {
                        ways.push(to);
                        left.extend(&filter.chain(to.as_str()).ok_or("a chain")?.rules);
                    }
                    Some(Target::Nflog(prefix)) => {
                        assert_eq!(*prefix, own.prefix());
                        recorded += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!(recorded, 2, "{}", zone.name);
        }
        Ok(())
    }

    #[test]
    fn what_comes_of_hosts_that_nobody_listed_is_bounded() -> Result<(), Box<dyn std::error::Error>>
    {
        for known_only in [false, true] {
            let text = format!(
                "{POLICY}known-only = {known_only}\n[[cameras]]\nname = \"porch\"\n\
                 address = \"192.168.8.110\"\nmac = \"02:00:00:00:00:01\"\n\
                 [[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = \"ntp\"\n"
            );
            let policy = crate::policy(&Source::new("config.toml", &text), &Answers::new())?;
            let mut of_cameras = 0;
            for ruleset in [ipv4(&policy), ipv6(&policy)] {
                let tables = ruleset.tables();
                let chains = tables.flat_map(|(_, table)| &table.chains);
                let rules = chains.flat_map(|chain| chain.rules.iter().map(move |it| (chain, it)));
                for (chain, rule) in rules {
                    let is_limit = |it: &Match| matches!(it, Match::Limit(_));
                    match &rule.target {
                        Some(Target::Nflog(_)) if rule.matches.iter().any(is_limit) => {}
                        // Cameras alone come here, each by a rate of its own.
                        Some(Target::Nflog(_)) => {
                            let chain = chain.name.as_str();
                            let own = ["refused-camera_cameras", "past-camera_cameras"];
                            assert!(known_only || own.contains(&chain), "{chain}");
                            of_cameras += 1;
                        }
                        _ => {}
                    }
                }
            }
            // At the end of INPUT and FORWARD, and past the bound; or in a chain for both.
            assert_eq!(of_cameras, if known_only { 3 } else { 2 });
        }
        Ok(())
    }
}
