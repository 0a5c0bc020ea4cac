//! Packet and byte counts from the kernel, by allow line, by camera and by reason of a
//! drop.
//!
//! Works from the labels in the comments of camfw's own rules, and so can also report on
//! rules of a policy that is no longer the file's. For an allow line it counts only the
//! first packet of each connection: later packets match ESTABLISHED, which comes before it.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::json_object;
use crate::netfilter::{
    ChainPolicy, Count, CountedTogether, Counters, Match, Rule, Ruleset, Table, TableName, Target,
};
use crate::policy::{RuleLabel, RulePurpose};

/// All counts, of one family or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounting {
    /// In the order of the file.
    pub allow: Vec<AllowLine>,
    /// In the order of the file.
    pub cameras: Vec<CameraCount>,
    /// Drops by reason.
    pub drops: Vec<Drop>,
}

json_object!(Accounting {
    allow,
    cameras,
    drops
});

/// The counts of one service of an allow line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowLine {
    /// `FILE:LINE`
    pub line: String,
    /// The service.
    pub what: String,
    /// The number of first packets of connections.
    pub new_connections: u64,
    /// The bytes in these first packets.
    pub new_connection_bytes: u64,
}

json_object!(AllowLine {
    line,
    what,
    new_connections,
    new_connection_bytes
});

/// The counts of a camera that the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraCount {
    /// `FILE:LINE`
    pub line: String,
    /// The camera's name.
    pub name: String,
    /// Packets from the camera that were not spoofed.
    pub packets: u64,
    /// The bytes in these packets.
    pub bytes: u64,
}

json_object!(CameraCount {
    line,
    name,
    packets,
    bytes
});

/// The counts of packets dropped for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    /// The reason, from the rule's comment; for a chain's policy, that nothing allowed the
    /// packets.
    pub reason: String,
    /// The chain.
    pub chain: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

json_object!(Drop {
    reason,
    chain,
    packets,
    bytes
});

/// The position of a rule: its table and chain and, for a chain that enforces a line's
/// limits, the service that jumps to it.
type CountedRule<'a> = (TableName, &'a str, Option<&'a str>);

impl Accounting {
    /// Adds up the counts of these rulesets.
    pub fn of<'a>(families: impl Iterator<Item = (&'a Ruleset, &'a Counters)>) -> Accounting {
        let mut accounting = Accounting::default();
        let mut places = Places::default();
        for (ruleset, counters) in families {
            for (name, table) in ruleset.tables() {
                let limited = limited(table);
                let bounds = bounds(table);
                for chain in &table.chains {
                    let called = chain.name.as_str();
                    let services = limited.get(called).map(|services| services.join(", "));
                    for (index, rule) in chain.rules.iter().enumerate() {
                        let count = counters.rule(name, called, index);
                        let place = (name, called, services.as_deref());
                        let lets_through = match &rule.target {
                            Some(Target::Accept) => true,
                            // The chain for the bound drops what exceeds it, and counts
                            // that itself.
                            Some(Target::Jump(to)) => bounds.contains(to.as_str()),
                            _ => false,
                        };
                        accounting.rule(&mut places, place, rule, lets_through, count);
                    }
                    if chain.policy == Some(ChainPolicy::Drop) {
                        let count = counters.policy(name, called);
                        accounting.drop(&mut places, "not allowed", called, count);
                    }
                }
            }
        }
        accounting
    }

    fn rule(
        &mut self,
        places: &mut Places,
        place: CountedRule<'_>,
        rule: &Rule,
        lets_through: bool,
        count: Count,
    ) {
        let comment = rule.comment().map_or("", |comment| comment.as_str());
        let (table, chain, services) = place;
        match (&rule.target, comment.parse().ok()) {
            (Some(Target::Drop | Target::Reject(_)), _) => self.drop(places, comment, chain, count),
            // Its connection has been counted when it was new.
            (
                _,
                Some(RuleLabel {
                    purpose: RulePurpose::OpenAlready(_),
                    ..
                }),
            ) => {}
            (_, Some(RuleLabel { line, purpose }))
                if lets_through && table == TableName::Filter =>
            {
                // The chains of one line, each of other services, have the same comments.
                let key = (comment.to_owned(), services.map(str::to_owned));
                let index = *places.allow.entry(key).or_insert_with(|| {
                    self.allow.push(AllowLine {
                        line,
                        what: services.map_or_else(|| purpose.to_string(), str::to_owned),
                        new_connections: 0,
                        new_connection_bytes: 0,
                    });
                    self.allow.len() - 1
                });
                let line = &mut self.allow[index];
                line.new_connections += count.packets;
                line.new_connection_bytes += count.bytes;
            }
            // The chain's policy drops these packets later, and counts them again.
            (
                Some(Target::Return),
                Some(RuleLabel {
                    purpose: RulePurpose::TriedTooOften(_),
                    ..
                }),
            ) => self.drop(places, comment, chain, count),
            (
                Some(Target::Accept | Target::Return),
                Some(RuleLabel {
                    line,
                    purpose: RulePurpose::Camera(name),
                }),
            ) if table == TableName::Raw => {
                let index = *places.cameras.entry(comment.to_owned()).or_insert_with(|| {
                    self.cameras.push(CameraCount {
                        line,
                        name,
                        packets: 0,
                        bytes: 0,
                    });
                    self.cameras.len() - 1
                });
                let camera = &mut self.cameras[index];
                camera.packets += count.packets;
                camera.bytes += count.bytes;
            }
            _ => {}
        }
    }

    fn drop(&mut self, places: &mut Places, reason: &str, chain: &str, count: Count) {
        let key = (reason.to_owned(), chain.to_owned());
        let index = *places.drops.entry(key).or_insert_with(|| {
            self.drops.push(Drop {
                reason: reason.to_owned(),
                chain: chain.to_owned(),
                packets: 0,
                bytes: 0,
            });
            self.drops.len() - 1
        });
        self.drops[index].packets += count.packets;
        self.drops[index].bytes += count.bytes;
    }
}

/// The index of each entry in its list.
#[derive(Default)]
struct Places {
    allow: BTreeMap<(String, Option<String>), usize>,
    cameras: BTreeMap<String, usize>,
    drops: BTreeMap<(String, String), usize>,
}

/// The chains that enforce the limits of one line, with the services that jump to them.
fn limited(table: &Table) -> BTreeMap<&str, Vec<String>> {
    let mut limited: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        let comment = rule.comment().map_or("", |comment| comment.as_str());
        if let (Some(Target::Jump(chain)), Ok(label)) = (&rule.target, comment.parse()) {
            let RuleLabel { purpose, .. } = label;
            let services = limited.entry(chain.as_str()).or_default();
            let what = purpose.to_string();
            if !services.contains(&what) {
                services.push(what);
            }
        }
    }
    limited
}

/// The chains that enforce a zone's bound, and those that lead to them.
fn bounds(table: &Table) -> BTreeSet<&str> {
    let counts_all = |rule: &Rule| {
        let mut matches = rule.matches.iter();
        matches.any(|it| {
            let of = CountedTogether::All;
            matches!(it, Match::OpenConnections { of: counted, .. } if *counted == of)
        })
    };
    let own = table.chains.iter();
    let own = own.filter(|it| it.rules.iter().any(counts_all));
    let own: BTreeSet<&str> = own.map(|chain| chain.name.as_str()).collect();
    let leads = |rule: &Rule| match &rule.target {
        Some(Target::Jump(to)) => own.contains(to.as_str()) && rule.comment().is_none(),
        _ => false,
    };
    let leading = table.chains.iter().filter(|it| it.rules.iter().any(leads));
    let leading: Vec<&str> = leading.map(|chain| chain.name.as_str()).collect();
    own.into_iter().chain(leading).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netfilter::parse;
    use crate::policy::Answers;
    use crate::source::Source;

    /// The lines, with the new connections of each.
    fn allowed(found: &Accounting) -> Vec<(&str, u64)> {
        let lines = found.allow.iter();
        lines
            .map(|line| (line.what.as_str(), line.new_connections))
            .collect()
    }

    #[test]
    fn a_line_that_leads_to_a_bound_is_counted_where_it_does()
    -> Result<(), Box<dyn std::error::Error>> {
        let text = "*filter\n:INPUT DROP [0:0]\n:x - [0:0]\n:block-1 - [0:0]\n:bounded - [0:0]\n:bound-camera - [0:0]\n[7:70] -A x -p tcp -m comment --comment \"c.toml:24 ftp\" -j bound-camera\n[5:50] -A x -p udp -m comment --comment \"c.toml:30 ntp\" -j block-1\n[4:40] -A block-1 -m comment --comment \"c.toml:30 not too often\" -j bounded\n[3:30] -A bounded -i eth1 -j bound-camera\n[1:10] -A bounded -m comment --comment free -j ACCEPT\n[6:60] -A bound-camera -m connlimit --connlimit-upto 9 --connlimit-mask 0 --connlimit-saddr -m comment --comment \"within the bound\" -j ACCEPT\n[4:40] -A bound-camera -m comment --comment \"too many connections\" -j DROP\nCOMMIT\n";
        let (ruleset, counters) = (parse(text)?, Counters::parse(text));
        let found = Accounting::of([(&ruleset, &counters)].into_iter());
        assert_eq!(allowed(&found), [("ftp", 7), ("ntp", 4)]);
        let drops = found.drops.iter();
        let drops: Vec<_> = drops
            .map(|drop| (drop.reason.as_str(), drop.packets))
            .collect();
        assert_eq!(drops, [("not allowed", 0), ("too many connections", 4)]);
        Ok(())
    }

    #[test]
    fn the_limits_of_a_line_count_each_of_their_services() -> Result<(), Box<dyn std::error::Error>>
    {
        let text = "*filter\n:FORWARD DROP [0:0]\n:x - [0:0]\n:count-1 - [0:0]\n:count-2 - [0:0]\n-A x -p tcp -m comment --comment \"c.toml:18 tcp 82:90\" -j count-1\n-A x -p tcp -m comment --comment \"c.toml:18 loopback tcp 80\" -j count-2\n[3:30] -A count-1 -m comment --comment \"c.toml:18 within the limit\" -j ACCEPT\n[4:40] -A count-2 -m comment --comment \"c.toml:18 within the limit\" -j ACCEPT\nCOMMIT\n";
        let (ruleset, counters) = (parse(text)?, Counters::parse(text));
        let found = Accounting::of([(&ruleset, &counters)].into_iter());
        assert_eq!(allowed(&found), [("tcp 82:90", 3), ("loopback tcp 80", 4)]);
        Ok(())
    }

    #[test]
    fn lines_cameras_and_drops_are_added_up() -> Result<(), Box<dyn std::error::Error>> {
        let text = "*raw\n:PREROUTING ACCEPT [9:9]\n:source-camera - [0:0]\n[4:400] -A source-camera -s 10.0.0.1/32 -m comment --comment \"my c.toml:30 camera porch\" -j RETURN\n[2:80] -A source-camera -m comment --comment \"spoofed source\" -j DROP\nCOMMIT\n*filter\n:INPUT DROP [3:120]\n:x - [0:0]\n[2:80] -A x -p tcp -m comment --comment \"my c.toml:40 ssh\" -j block-40\n[1:40] -A block-40 -m comment --comment \"my c.toml:40 tried too often\" -j RETURN\n[1:40] -A block-40 -m comment --comment \"my c.toml:40 not too often\" -j ACCEPT\n[1:60] -A x -p tcp -m comment --comment \"my c.toml:24 ftp\" -j ACCEPT\n[1:40] -A x -p udp -m comment --comment \"my c.toml:24 ftp\" -j ACCEPT\n[8:8] -A x -m comment --comment established -j ACCEPT\nCOMMIT\n";
        let (ruleset, counters) = (parse(text)?, Counters::parse(text));
        let found = Accounting::of([(&ruleset, &counters)].into_iter());
        assert_eq!(found.allow.len(), 2);
        assert_eq!(found.allow[1].what, "ssh");
        assert_eq!(found.allow[1].new_connections, 1);
        assert_eq!(found.allow[0].line, "my c.toml:24");
        assert_eq!(found.allow[0].what, "ftp");
        assert_eq!(found.allow[0].new_connections, 2);
        assert_eq!(found.allow[0].new_connection_bytes, 100);
        assert_eq!(
            (found.cameras[0].name.as_str(), found.cameras[0].bytes),
            ("porch", 400)
        );
        let drops: Vec<_> = found
            .drops
            .iter()
            .map(|drop| (drop.reason.as_str(), drop.packets))
            .collect();
        assert_eq!(
            drops,
            [
                ("spoofed source", 2),
                ("not allowed", 3),
                ("my c.toml:40 tried too often", 1)
            ]
        );
        Ok(())
    }

    /// Uses rules from the compiler, so that the test does not make up its own comments.
    #[test]
    fn the_rules_of_a_policy_are_told_by_line_and_camera() -> Result<(), Box<dyn std::error::Error>>
    {
        let text = "[zones.camera]\nrole = \"camera\"\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\n\
                    [[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\n\
                    allow = [{ to = \"router\", service = \"ftp\", block-after = { attempts = 5, within = \"1 minute\" } }]\n\
                    [[allow]]\nfrom = \"camera\"\nto = \"router\"\nservice = [\"ntp\", \"ssh\"]\n";
        let source = Source::new("c.toml", text.to_owned());
        let rules = crate::plan(&source, &Answers::new())?.rules;
        let counters = Counters::default();
        let found = Accounting::of([(&rules.v4, &counters)].into_iter());
        let lines = found
            .allow
            .iter()
            .map(|line| (line.line.as_str(), line.what.as_str()));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                ("c.toml:8", "porch ftp"),
                ("c.toml:9", "ntp"),
                ("c.toml:9", "ssh")
            ]
        );
        let cameras = found.cameras.iter().map(|camera| camera.name.as_str());
        assert_eq!(cameras.collect::<Vec<_>>(), ["porch"]);
        let drops = found.drops.iter().map(|drop| drop.reason.as_str());
        assert!(
            drops
                .collect::<Vec<_>>()
                .contains(&"c.toml:8 porch tried too often")
        );
        Ok(())
    }
}
