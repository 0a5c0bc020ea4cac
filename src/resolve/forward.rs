//! Resolves port forwards, and checks them against the allow lines.

use toml::Spanned;

use super::Resolver;
use super::rewrite::{Nat, between, opens};
use crate::config;
use crate::netfilter::Protocol;
use crate::policy::{Allow, Endpoint, Flow, Forward, Origin};
use crate::source::Refusal;

impl Resolver<'_> {
    pub(super) fn forward(
        &self,
        written: &Spanned<config::ForwardEntry>,
        nat: &Nat,
        allows: &[Allow],
    ) -> Result<Forward, Refusal> {
        let forward = written.get_ref();
        let from = self.find_zone(&forward.from, &[])?;
        let (protocol, at) = match (&forward.tcp, &forward.udp) {
            (Some(port), None) => (Protocol::Tcp, port),
            (None, Some(port)) => (Protocol::Udp, port),
            _ => {
                return Err(self.source.refuse(
                    written.span(),
                    "a forward is of one port, tcp = 8443 or udp = 5004; write one of the two",
                ));
            }
        };
        let port = self.port(at)?;
        let (to, address) = self.host(&forward.to, forward.address.as_ref())?;
        if from == to {
            return Err(self.source.refuse(
                forward.to.span(),
                "from and to are the same zone, whose hosts reach each other without the router; remove the forward",
            ));
        }
        let to_port = match &forward.to_port {
            Some(port) => self.port(port)?,
            None => port,
        };
        let word = match protocol {
            Protocol::Udp => "udp",
            _ => "tcp",
        };
        let taken =
            |other: &&Forward| (other.from, other.protocol, other.port) == (from, protocol, port);
        if let Some(other) = nat.forwards.iter().find(taken) {
            return Err(self.source.refuse(
                at.span(),
                format_args!(
                    "{word} port {port} is forwarded already ({}); keep one of the two",
                    other.origin
                ),
            ));
        }
        let to_router = Flow {
            from: Endpoint::Zone(from),
            to: Endpoint::Router,
        };
        if let Some(own) = opens(allows, to_router, protocol, port, None) {
            return Err(self.source.refuse(
                at.span(),
                format_args!(
                    "the router itself answers on {word} port {port} ({}); forward another port, or remove that line",
                    own.origin
                ),
            ));
        }
        if opens(allows, between(from, to), protocol, to_port, Some(address)).is_none() {
            return Err(self.source.refuse(
                written.span(),
                format_args!(
                    "no allow line lets {} reach {address} on {word} port {to_port}, so the forward leads nowhere; add [[allow]] from = \"{}\", to = \"{}\", address = \"{address}\", service = {{ {word} = [{to_port}] }}",
                    self.zones[from.0].name, self.zones[from.0].name, self.zones[to.0].name,
                ),
            ));
        }
        Ok(Forward {
            from,
            protocol,
            port,
            to,
            address,
            to_port,
            direct: forward.direct,
            origin: Origin::new(self.source, written.span().start),
        })
    }
}
