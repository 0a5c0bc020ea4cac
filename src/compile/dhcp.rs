//! DHCP that belongs to no connection: what a client on the router sends and is answered, and
//! what a server on the router answers hosts that have no address yet.

use super::{Compiler, Direction, interface, zone_comment};
use crate::family::IpFamily;
use crate::field::{PortRange, Rate, Unit};
use crate::netfilter::{CtStates, Match, Negatable, Protocol, Rule, Table, Target};
use crate::policy::{Egress, Zone};
use crate::registry::{group, port};

pub(super) const DHCP_SERVER: PortRange = PortRange::port(port::DHCP_SERVER);
pub(super) const DHCP_CLIENT: PortRange = PortRange::port(port::DHCP_CLIENT);

/// How many packets a second a DHCP client accepts that belong to no known connection:
/// whoever sends them, from any address, makes an entry of each in the conntrack table.
const LEASES: Option<Rate> = Rate::new(10, Unit::Second);

impl Compiler<'_> {
    pub(super) fn dhcp(&self, table: &mut Table) {
        if self.family == IpFamily::V4 {
            let zones = self.policy.zones.iter();
            for zone in zones.filter(|zone| zone.by_dhcp()) {
                client(table, zone);
            }
        }
        self.answers(table);
    }

    /// Accepts the answers of a server on the router where it may not send everything: these
    /// go to no address that was asked from, and conntrack does not assign them to the request.
    fn answers(&self, table: &mut Table) {
        if self.policy.egress == Egress::Open {
            return;
        }
        let answer = group::lease_answer(self.family);
        let (from, to) = (PortRange::port(answer.from), PortRange::port(answer.to));
        for (index, zone) in self.policy.indexed_zones() {
            if self.policy.offers_udp(index, answer.from).next().is_none() {
                continue;
            }
            let mut rule = between(zone, from, to, None);
            rule.out_interface = interface(&zone.interface);
            rule.destination = Some(Negatable::is(answer.at));
            table.rules_mut(&Direction::Output.chain()).push(rule);
        }
    }
}

/// Accepts what a DHCP client on the router sends, and the answers: these may be broadcast,
/// and then conntrack does not assign them to the request.
fn client(table: &mut Table, zone: &Zone) {
    let mut answer = between(zone, DHCP_SERVER, DHCP_CLIENT, LEASES);
    answer.in_interface = interface(&zone.interface);
    table.rules_mut(&Direction::Input.chain()).push(answer);
    let mut question = between(zone, DHCP_CLIENT, DHCP_SERVER, None);
    question.out_interface = interface(&zone.interface);
    table.rules_mut(&Direction::Output.chain()).push(question);
}

fn between(zone: &Zone, source: PortRange, destination: PortRange, limit: Option<Rate>) -> Rule {
    let mut rule = Rule::new(Target::Accept)
        .of(Protocol::Udp)
        .matching(Match::Udp {
            sport: Some(Negatable::is(source)),
            dport: Some(Negatable::is(destination)),
        })
        .matching(Match::Conntrack(Negatable::is(CtStates::NEW)));
    rule.matches.extend(limit.map(Match::Limit));
    rule.matching(zone_comment(zone))
}
