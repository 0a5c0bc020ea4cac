//! Address translation of one packet: the first packet of a connection by the rules, a
//! later one like its connection's first.
//!
//! Handles destinations only: sources are rewritten after the last rule has seen the
//! packet.

use super::described::ROUTER;
use super::judge::{Judge, NewDestination};
use super::packet::{Field, State};
use super::program::{Effect, Program};
use super::space::Space;
use super::witness;
use crate::family::IpFamily;
use crate::netfilter::{CtDirection, TableName};

impl Judge<'_> {
    /// Whether rules decide how its connection is rewritten: it is the connection's first
    /// packet, whether or not a helper expected it (nf_nat_inet_fn in
    /// net/netfilter/nf_nat_core.c).
    pub(super) fn is_first(&self) -> bool {
        match self.packet.get(Field::State) {
            Some(state) if state == State::New as u128 => true,
            Some(state) if state == State::Related as u128 => {
                !self.is_icmp() && !self.is_of_rewritten()
            }
            _ => false,
        }
    }

    fn is_icmp(&self) -> bool {
        let protocol = self.packet.get(Field::Protocol);
        protocol.is_some_and(|protocol| matches!(protocol, 1 | 58))
    }

    fn is_of_rewritten(&self) -> bool {
        [Field::Dnat, Field::Snat]
            .map(|field| self.packet.get(field))
            .contains(&Some(1))
    }

    /// Rewrites the destination of a packet of a connection as the connection is rewritten:
    /// in the original direction to the host that answers, if rules redirected it; in the
    /// reply direction to the host that opened it, if its source was rewritten. An ICMP
    /// error is rewritten like a packet of its direction (nf_nat_icmp_reply_translation in
    /// net/netfilter/nf_nat_proto.c), except that a redirect about such a connection is
    /// dropped. Returns whether the packet goes on.
    pub(super) fn rewritten_as_its_connection(
        &mut self,
        program: &Program<'_>,
        space: &Space,
    ) -> bool {
        let state = self.packet.get(Field::State);
        let belongs = [State::Established, State::Related].map(|state| Some(state as u128));
        if !belongs.contains(&state) || !self.is_of_rewritten() {
            return true;
        }
        let redirect = match space.family {
            IpFamily::V4 => 5,
            IpFamily::V6 => 137,
        };
        let is_error = self.is_icmp() && state == Some(State::Related as u128);
        let is_redirect = is_error && self.packet.get(Field::IcmpType) == Some(redirect);
        // If the ruleset has no nat table, it is unknown what rewrites the connection.
        let rewrites = program.table(TableName::Nat).is_some();
        if is_redirect && rewrites {
            return false;
        }
        let is_original = self.packet.value(Field::CtDirection) == CtDirection::Original as u128;
        let (by, to, port) = match is_original {
            true => (Field::Dnat, Field::CtReplySource, Field::CtReplySourcePort),
            false => (
                Field::Snat,
                Field::CtOriginalSource,
                Field::CtOriginalSourcePort,
            ),
        };
        if self.packet.get(by) == Some(1) {
            let known = |field| {
                let value = self.packet.get(field);
                value.filter(|value| rewrites && *value != 0)
            };
            let (to, port) = (known(to), known(port));
            self.redirect(space, to, true);
            if !self.is_icmp() {
                self.set(Field::DestinationPort, port, true);
            }
        }
        true
    }

    /// Sends the packet to another address; None means to an unknown one.
    fn redirect(&mut self, space: &Space, to: Option<u128>, holds: bool) {
        self.set(Field::Destination, to, holds);
        let inward = self.packet.get(Field::In);
        let local = to.zip(inward).map(|(to, inward)| {
            // An unknown address is taken for a host's, to which the packet is forwarded.
            u128::from(space.is_local(inward, to) == Some(true))
        });
        self.set(Field::Local, local, holds);
        self.redirected = true;
    }

    /// Applies DNAT to an address, or without one to the router's own, and to a port. A
    /// packet that already goes there is not rewritten (nf_nat_setup_info in
    /// net/netfilter/nf_nat_core.c).
    pub(super) fn send_to(
        &mut self,
        space: &Space,
        to: Option<u128>,
        port: Option<u16>,
        holds: bool,
    ) {
        let to = to.or_else(|| {
            let inward = self.packet.get(Field::In)?;
            space.own_addresses.get(&inward).copied()
        });
        let port = port.map(u128::from);
        let goes_to = self.packet.get(Field::Destination);
        let at = self.packet.get(Field::DestinationPort);
        let rewrites = to.zip(goes_to).and_then(|(to, goes_to)| match port {
            _ if to != goes_to => Some(true),
            None => Some(false),
            Some(port) => at.map(|at| at != port),
        });
        if rewrites == Some(false) {
            return;
        }
        self.redirect(space, to, holds);
        if port.is_some() {
            self.set(Field::DestinationPort, port, holds);
        }
        self.set(Field::Dnat, rewrites.map(u128::from), holds);
    }

    /// Where an effect sends this packet on to; None if it rewrites no destination.
    pub(super) fn new_destination(&self, space: &Space, effect: &Effect) -> Option<NewDestination> {
        let own = || {
            space
                .own_addresses
                .get(&self.packet.get(Field::In)?)
                .copied()
        };
        let (to, ports) = match effect {
            Effect::Dnat(to, port) => {
                let to = to.as_deref().copied().or_else(own);
                (to.map(|to| (to, to)), port.map(|port| (port, port)))
            }
            Effect::AnyDnat(to, ports) => (to.as_deref().copied(), *ports),
            Effect::Rewrite(Field::Destination) => (None, None),
            _ => return None,
        };
        let has_ports = matches!(
            self.packet.get(Field::Protocol),
            Some(6 | 17 | 33 | 132 | 136)
        );
        let kept = || self.packet.get(Field::DestinationPort);
        let port = ports.map(|(first, last)| (first.into(), last.into()));
        let port = port.or_else(|| kept().map(|port| (port, port)));
        let between = |first: String, last: String| match first == last {
            true => first,
            false => format!("{first}-{last}"),
        };
        let address = |number| witness::address(space.family, number).to_string();
        let address = to.map(|(first, last)| between(address(first), address(last)));
        // Of REDIRECT: an own address on the interface that it came by.
        let is_own = matches!(effect, Effect::Dnat(None, _));
        Some(NewDestination {
            address: address.or_else(|| is_own.then(|| ROUTER.to_owned())),
            port: port
                .filter(|_| has_ports)
                .map(|(first, last)| between(first.to_string(), last.to_string())),
        })
    }

    /// Applies DNAT to one of several addresses and ports.
    pub(super) fn send_to_any(
        &mut self,
        space: &Space,
        to: Option<(u128, u128)>,
        ports: Option<(u16, u16)>,
        holds: bool,
    ) {
        let goes_to = self.packet.get(Field::Destination);
        let elsewhere = to.zip(goes_to).is_some_and(|((first, last), goes_to)| {
            // A packet that already goes to one of them may stay as it is.
            !(first..=last).contains(&goes_to)
        });
        self.redirect(space, None, holds);
        if ports.is_some() {
            self.set(Field::DestinationPort, None, holds);
        }
        self.set(Field::Dnat, elsewhere.then_some(1), holds);
    }
}
