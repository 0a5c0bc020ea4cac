//! What to write where a name is asked for and an address stands, or the other way round.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::address::{is_file, zone_of};
use super::{Resolver, as_list, span_in};
use crate::config::{Spanned, Strings};
use crate::name::HostName;
use crate::policy::{Role, Zone, ZoneIndex};
use crate::source::Refusal;

/// The keys of who opens a connection: its zone's name, and its addresses.
pub(super) const FROM: (&str, &str) = ("from", "source");

/// The same of whom it is opened to.
pub(super) const TO: (&str, &str) = ("to", "address");

impl Resolver<'_> {
    /// The zone at one end of a line. `ends` are the key where its name stands, and the one that
    /// takes addresses at the same end.
    pub(super) fn find_end(
        &self,
        written: &Spanned<String>,
        also: &[&str],
        ends: (&str, &str),
    ) -> Result<ZoneIndex, Refusal> {
        self.is_no_address(written, ends)?;
        self.find_zone(written, also)
    }

    fn is_no_address(
        &self,
        written: &Spanned<String>,
        (key, of_addresses): (&str, &str),
    ) -> Result<(), Refusal> {
        let text = written.get_ref();
        let Some(network) = address_or_network(text) else {
            return Ok(());
        };
        let instead = match self.holder(network) {
            Some(Holder::Router) => format!("{key} = \"router\""),
            Some(Holder::Zone(zone)) => {
                format!("{key} = \"{}\", {of_addresses} = {text:?}", zone.name)
            }
            None => format!("the zone's name, and {of_addresses} = {text:?}"),
        };
        Err(self.source.refuse(
            written.span(),
            format_args!("{text:?} is an address and not a zone's name; write {instead}"),
        ))
    }

    /// What to write in place of an address, or of several names in one text; None if it is
    /// neither.
    pub(super) fn instead_of_zone(&self, text: &str) -> Option<String> {
        let Some(network) = address_or_network(text) else {
            return as_list(text);
        };
        let name = match self.holder(network) {
            Some(Holder::Zone(zone)) => format!("\"{}\"", zone.name),
            _ => "its zone".into(),
        };
        Some(format!("zones go by their names here: write {name}"))
    }

    fn holder(&self, network: IpNet) -> Option<Holder<'_>> {
        let address = network.addr();
        let own = self.zones.iter().flat_map(Zone::own);
        if own.map(|own| own.addr()).any(|own| own == address) {
            return Some(Holder::Router);
        }
        let inside = zone_of(address, &self.zones);
        let inside = inside.map(|(ZoneIndex(index), _)| &self.zones[index]);
        let is_way = |zone: &&Zone| zone.role == Role::External && !zone.is_carrier();
        let mut outside = self.zones.iter().filter(is_way);
        let outside = outside.next().filter(|_| outside.next().is_none());
        inside.or(outside).map(Holder::Zone)
    }

    /// Refuses names among addresses.
    pub(super) fn are_no_names(
        &self,
        written: &Spanned<Strings>,
        keys: NameKeys,
    ) -> Result<(), Refusal> {
        for text in &written.get_ref().0 {
            let name = text.get_ref().as_str();
            let camera = self.find_camera(name);
            let is_zone = || self.zones.iter().any(|zone| zone.name.as_str() == name);
            let what = match camera {
                Some(_) => "a camera",
                None if is_zone() => "a zone",
                None if self.refused_names.contains(name) => return Err(Refusal::consequence()),
                None if keys.host && is_host(name) => "a host's name",
                None => continue,
            };
            let instead = match (camera, keys.zone) {
                (Some(camera), _) if keys.camera.is_none() => {
                    format!("write its address, {}", camera.address)
                }
                (Some(_), _) => format!("write {} = {name:?}", keys.camera.unwrap_or_default()),
                (None, _) if what == "a host's name" => format!("write host = {name:?}"),
                (None, Some(key)) => format!("write {key} = {name:?}"),
                (None, None) => "write its network".into(),
            };
            return Err(self.source.refuse(
                span_in(text, written.span()),
                format_args!("{name} is {what} and not an address; {instead}"),
            ));
        }
        Ok(())
    }
}

/// The keys that take names beside one that takes addresses.
#[derive(Clone, Copy, Default)]
pub(super) struct NameKeys {
    pub(super) zone: Option<&'static str>,
    pub(super) camera: Option<&'static str>,
    /// Whether there is `host`.
    pub(super) host: bool,
}

/// Whether a text looks like the name of a host, and not like a mistyped address or a file.
fn is_host(text: &str) -> bool {
    let last = text.rsplit_once('.').map(|(_, last)| last);
    let is_top = last.is_some_and(|last| last.bytes().all(|b| b.is_ascii_alphabetic()));
    is_top && !is_file(text) && HostName::try_from(text).is_ok()
}

/// Who has an address.
enum Holder<'z> {
    Router,
    Zone(&'z Zone),
}

fn address_or_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).ok()
}

/// An address that a host of a zone may have, for an example; None if its networks are not
/// known.
pub(super) fn example_host(zone: &Zone) -> Option<Ipv4Addr> {
    let network = zone.addresses.first().map(Ipv4Net::trunc)?;
    let is_own = |address: &_| zone.addresses.iter().any(|own| own.addr() == *address);
    // The twentieth, as in the examples, if the network is as large.
    let twentieth = network.hosts().nth(19).filter(|host| !is_own(host));
    twentieth.or_else(|| network.hosts().find(|host| !is_own(host)))
}
