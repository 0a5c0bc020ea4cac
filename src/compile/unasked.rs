//! Drops, in OUTPUT, what the router sends without having been asked, so that the next
//! packet of a server does not revive a connection that has ended.
//!
//! Conntrack picks up TCP connections in the middle unless nf_conntrack_tcp_loose is 0, and
//! it takes a server's datagram to an unknown host for a new connection of the router. What
//! the other side sends then is ESTABLISHED. So the router opens no UDP connection from the
//! port of a service that it offers, or has offered since the kernel started: that service
//! may not know that no host may use it any longer.

use super::service_match::{port_groups, several};
use super::{Compiler, Direction, chain, purpose};
use crate::field::PortRange;
use crate::netfilter::{
    CtStates, Match, Negatable, PortSide, Protocol, Rule, Table, Target, TcpFlags,
};
use crate::policy::Egress;
use crate::registry::group;

impl Compiler<'_> {
    /// Drops TCP packets that belong to no connection and are not a SYN. Placed before
    /// every rule that lets the router open something.
    pub(super) fn picked_up_in_the_middle(&self, table: &mut Table) {
        let middle = Rule::new(Target::Drop)
            .of(Protocol::Tcp)
            .matching(Match::Tcp {
                sport: None,
                dport: None,
                flags: Some(Negatable::not(TcpFlags::OPENING)),
            });
        table.rules_mut(&Direction::Output.chain()).push(
            middle
                .matching(Match::Conntrack(Negatable::is(CtStates::NEW)))
                .matching(purpose("of a connection that has ended")),
        );
    }

    /// Drops UDP from the ports of services. Placed after the lines that let the router
    /// open connections, since these say where to. Not needed if only such lines let
    /// packets out.
    pub(super) fn unasked(&self, table: &mut Table) {
        let offered = self.policy.udp_offered();
        let served = offered.union(&self.policy.udp_once_offered);
        if served.is_empty() || self.policy.egress == Egress::Listed {
            return;
        }
        let name = chain("unasked");
        for ports in port_groups(served.ranges()) {
            let jump = Rule::new(Target::Jump(name.clone())).of(Protocol::Udp);
            let jump = jump.matching(several(ports, PortSide::Source));
            let new = Match::Conntrack(Negatable::is(CtStates::NEW));
            table
                .rules_mut(&Direction::Output.chain())
                .push(jump.matching(new));
        }
        let passes = group::sent_unasked(|port| offered.contains(port));
        for (port, to) in passes.filter(|(port, _)| served.contains(*port)) {
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
}
