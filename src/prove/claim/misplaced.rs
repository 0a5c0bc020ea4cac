//! The claim that a listed camera opens nothing on another zone's wire.

use super::{ClaimResult, Proof};
use crate::policy::Endpoint;
use crate::prove::hook_path::HookPath;
use crate::prove::packet::{Field, State};

impl Proof<'_> {
    /// Claims that nothing comes in from a zone with the hardware address of a camera that
    /// the file lists in another, whatever address it took there: nothing that opens a
    /// connection, or that is let through beside one. A connection that is open goes on, and
    /// the link's neighbours find each other.
    pub(super) fn misplaced(&mut self) {
        let related = self.space.states(&[State::Related]);
        let opening = [HookPath::Forward, HookPath::Input].map(|way| {
            let opening = self.opening(way);
            let opening = self.space.diagrams.or(opening, related);
            let neighbours = self.intent().neighbours(way);
            (way, self.space.diagrams.minus(opening, neighbours))
        });
        for (index, zone) in self.policy.indexed_zones() {
            let of_others = self.intent().misplaced(index);
            if of_others.is_empty() {
                continue;
            }
            let here = self.intent().by(Field::In, Endpoint::Zone(index));
            let mut answer = ClaimResult::Holds;
            for (way, opening) in opening {
                let misplaced = self.space.all(&[here, of_others, opening]);
                let accepted = self.noted[way as usize];
                let may = self.space.diagrams.and(accepted.may, misplaced);
                let must = self.space.diagrams.and(accepted.must, misplaced);
                if answer == ClaimResult::Holds {
                    answer = self.none(way, may, must);
                }
            }
            let (zone, interface) = (&zone.name, &zone.interface);
            self.claim(
                format!(
                    "from {zone} by {interface} nothing is opened with the hardware address of a camera of another zone"
                ),
                answer,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use crate::family::IpFamily;
    use crate::netfilter::{Ruleset, TableName, Target};
    use crate::policy::Answers;
    use crate::prove::claim::{Claim, ClaimResult, broken, claims_of};
    use crate::source::Source;

    /// As in the golden of this name; the release has no goldens.
    const TEXT: &str = r#"[ipv6]
mode = "same"

[zones.external]
interface = "eth0"
address = "dhcp"
role = "external"

[zones.yard]
interface = "eth1"
address = "192.168.8.1/24"
role = "camera"
known-only = true

[zones.hall]
interface = "eth2"
address = ["192.168.9.1/24", "fd00:9::1/64"]
role = "camera"

[zones.home]
interface = "eth3"
address = ["192.168.5.1/24", "fd00:5::1/64"]
role = "private"

[[cameras]]
name = "porch"
address = "192.168.8.110"
mac = "00:11:22:33:44:55"
allow = [{ to = "router", service = "ftp" }]

[[cameras]]
name = "stairs"
address = "192.168.9.110"
mac = "00:11:22:33:44:56"

[[cameras]]
name = "door"
address = "192.168.9.111"

[[allow]]
from = "home"
to = "external"
service = "https"

[[allow]]
from = "home"
to = "router"
service = ["dhcp", "ftp"]
"#;
    const CLAIM: &str = "nothing is opened with the hardware address";

    /// The rules without what asks for the cameras of other zones.
    fn without(rules: &Ruleset) -> Ruleset {
        let mut other = rules.clone();
        let mut filter = rules.table(TableName::Filter).into_owned();
        for chain in &mut filter.chains {
            chain.rules.retain(|rule| {
                !matches!(&rule.target, Some(Target::Jump(to)) if to.as_str().starts_with("cameras-"))
            });
        }
        other.set(TableName::Filter, filter);
        other
    }

    #[test]
    fn a_camera_on_another_wire_is_found_in_rules_that_ask_for_no_hardware()
    -> Result<(), Box<dyn Error>> {
        let plan = crate::plan(&Source::new("camfw.toml", TEXT), &Answers::new())?;
        assert_eq!(broken(&plan.policy, &plan.rules), None);
        for (family, rules) in plan.rules.iter() {
            let of_it = |claims: Vec<Claim>| -> Vec<Claim> {
                let claims = claims.into_iter();
                claims.filter(|it| it.what.contains(CLAIM)).collect()
            };
            let held = of_it(claims_of(&plan.policy, rules, family));
            assert_eq!(held.len(), 4, "each zone has cameras that are not its own");
            let claims = of_it(claims_of(&plan.policy, &without(rules), family));
            let home = claims
                .iter()
                .find(|it| it.what.contains("from home by eth3"));
            let Some(ClaimResult::Broken(example)) = home.map(|it| &it.answer) else {
                return Err(format!("{family:?}: {home:?}").into());
            };
            assert!(
                example.packet.contains("--mac 00:11:22:33:44:5"),
                "{example:?}"
            );
            // By IPv4 raw lets listed hardware alone into the yard, by IPv6 nothing.
            let yard = claims.iter().find(|it| it.what.contains("from yard"));
            let yard = yard.ok_or("the yard has its claim")?;
            assert!(yard.answer.holds(), "{family:?}: {yard}");
            if family == IpFamily::V4 {
                let internet = claims.iter().find(|it| it.what.contains("from external"));
                let internet = internet.ok_or("the internet has its claim")?;
                assert!(
                    !internet.answer.holds(),
                    "answers of DHCP servers: {internet}"
                );
            }
        }
        Ok(())
    }
}
