//! What the router sends to nobody who asked: dropped in OUTPUT, so that a
//! connection that has ended does not come back to life by its server's next packet.
//!
//! Conntrack picks up TCP in the middle unless nf_conntrack_tcp_loose is 0, and
//! takes a server's datagram to whom it does not know for a new connection of the
//! router; what the other side sends then is ESTABLISHED.

use super::{Compiler, Direction, chain, port_groups, purpose, several};
use crate::field::PortRange;
use crate::netfilter::{
    CtStates, Match, Negatable, PortSide, Protocol, Rule, Table, Target, TcpFlags,
};
use crate::policy::Endpoint;
use crate::registry::group;

impl Compiler<'_> {
    /// The rules, which stand before all by which the router opens something.
    pub(super) fn unasked(&self, table: &mut Table) {
        let new = || Match::Conntrack(Negatable::is(CtStates::NEW));
        let output = Direction::Output.chain();
        let middle = Rule::new(Target::Drop)
            .of(Protocol::Tcp)
            .matching(Match::Tcp {
                sport: None,
                dport: None,
                flags: Some(Negatable::not(TcpFlags::OPENING)),
            });
        table.rules_mut(&output).push(
            middle
                .matching(new())
                .matching(purpose("of a connection that has ended")),
        );
        let offered = self.offered_udp();
        let name = chain("unasked");
        for ports in port_groups(&offered) {
            let jump = Rule::new(Target::Jump(name.clone())).of(Protocol::Udp);
            let jump = jump.matching(several(ports, PortSide::Source));
            table.rules_mut(&output).push(jump.matching(new()));
        }
        if offered.is_empty() {
            return;
        }
        let is_offered = |port: u16| {
            let mut ranges = offered.iter();
            ranges.any(|offered| offered.contains(PortRange::port(port)))
        };
        for (port, to) in group::sent_unasked().filter(|(port, _)| is_offered(*port)) {
            let passes = Rule::new(Target::Return).of(Protocol::Udp);
            let passes = passes.matching(Match::Udp {
                sport: Some(Negatable::is(PortRange::port(port))),
                dport: to.map(|to| Negatable::is(PortRange::port(to))),
            });
            table.rules_mut(&name).push(passes);
        }
        let ended = Rule::new(Target::Drop).matching(purpose("of a service that nobody asked"));
        table.rules_mut(&name).push(ended);
    }

    /// The UDP ports that somebody may ask the router at, each range once.
    fn offered_udp(&self) -> Vec<PortRange> {
        let to_router = self
            .policy
            .allows
            .iter()
            .filter(|allow| allow.flows.iter().any(|flow| flow.to == Endpoint::Router));
        let mut offered: Vec<PortRange> = Vec::new();
        for ports in to_router
            .flat_map(|allow| &allow.services)
            .flat_map(|it| &it.udp)
        {
            if !offered.iter().any(|known| known.contains(*ports)) {
                offered.push(*ports);
            }
        }
        offered
    }
}
