//! What address translation does with one packet: with the first of a connection by
//! the rules, with what belongs to one as with its first.
//!
//! Knows destinations alone: a source is rewritten when no rule looks any more.

use super::judge::Judge;
use super::packet::{Field, State};
use super::program::Program;
use super::space::Space;
use crate::family::IpFamily;
use crate::netfilter::{CtDirection, TableName};

impl Judge<'_> {
    /// Whether rules say how its connection is rewritten: it is the first packet of
    /// one, be it expected by a helper or not (nf_nat_inet_fn in
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

    /// Rewrites the destination of what belongs to a connection, as that is: of its
    /// own packets to who answers where rules sent them elsewhere, on the way back to
    /// who opened it where the source was another's; of an ICMP error as of a packet
    /// that goes the same way (nf_nat_icmp_reply_translation in
    /// net/netfilter/nf_nat_proto.c), but that a redirect about it is dropped. Whether
    /// it goes on.
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
        // Without nat's table it is not known who rewrote it, and who does.
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

    /// Sends it to another address; None to one that nobody knows.
    fn redirect(&mut self, space: &Space, to: Option<u128>, holds: bool) {
        self.set(Field::Destination, to, holds);
        let inward = self.packet.get(Field::In);
        let local = to.zip(inward).map(|(to, inward)| {
            // One that nobody knows is a host's, to which it is passed on.
            u128::from(space.is_local(inward, to) == Some(true))
        });
        self.set(Field::Local, local, holds);
        self.redirected = true;
    }

    /// What DNAT does: an address, or the router's own where it is none, and a port.
    /// One that goes there already is not rewritten (nf_nat_setup_info in
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

    /// The same with one of several addresses and ports.
    pub(super) fn send_to_any(
        &mut self,
        space: &Space,
        to: Option<(u128, u128)>,
        ports: Option<(u16, u16)>,
        holds: bool,
    ) {
        let goes_to = self.packet.get(Field::Destination);
        let elsewhere = to.zip(goes_to).is_some_and(|((first, last), goes_to)| {
            // One that goes there already may stay as it is.
            !(first..=last).contains(&goes_to)
        });
        self.redirect(space, None, holds);
        if ports.is_some() {
            self.set(Field::DestinationPort, None, holds);
        }
        self.set(Field::Dnat, elsewhere.then_some(1), holds);
    }
}
