//! Resolves the router's own addresses in a zone, and the zone's gateways, for both
//! families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::mistyped_address::{AddressForm, address_and_prefix, instead_of_address};
use super::{as_list, span_in};
use crate::config::{Spanned, Strings};
use crate::nearest::did_you_mean;
use crate::net::AddressSource;
use crate::policy::{Gateway, Ipv6Mode, Role};
use crate::source::{Refusal, Source};

/// What a zone's `address` says.
#[derive(Default)]
pub struct Own {
    pub ipv4: Vec<Ipv4Net>,
    pub ipv6: Vec<Ipv6Net>,
    /// Who sets the IPv4 address.
    pub set_by: AddressSource,
    /// Whether the IPv6 address and default route come by router advertisement.
    pub slaac: bool,
}

impl Own {
    fn all(&self) -> impl Iterator<Item = IpNet> {
        let ipv4 = self.ipv4.iter().copied().map(IpNet::V4);
        ipv4.chain(self.ipv6.iter().copied().map(IpNet::V6))
    }
}

/// Refuses IPv6 if the file has it dropped.
pub fn require_ipv6_enabled(
    text: &str,
    mode: Ipv6Mode,
    span: Range<usize>,
    source: &Source,
) -> Result<(), Refusal> {
    match mode {
        Ipv6Mode::Same => Ok(()),
        Ipv6Mode::Drop => Err(source.refuse(
            span,
            format_args!(
                "{text:?} is IPv6, all of which is dropped; set mode = \"same\" under [ipv6] to filter it as IPv4, or remove this"
            ),
        )),
    }
}

/// The router's own addresses in a zone.
pub fn own_addresses(
    written: &Spanned<Strings>,
    role: Role,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<Own, Refusal> {
    let texts = &written.get_ref().0;
    let mut own = Own::default();
    for text in texts {
        let span = span_in(text, written.span());
        let refuse = |what: String| Err(source.refuse(span.clone(), what));
        let text = text.get_ref();
        let set_by = match text.as_str() {
            "dhcp" if role != Role::External => {
                return refuse("only a zone with role \"external\" takes its address by DHCP, since a host there could else say where the others are; give the router's own, such as 192.168.8.1/24".into());
            }
            "given" if role == Role::Camera => {
                return refuse("cameras are told from others by the zone's network, which another program would give; give the router's own, such as 192.168.8.1/24".into());
            }
            "auto" if role != Role::External => {
                return refuse("only a zone with role \"external\" takes its IPv6 address by router advertisement, since a host there could else make itself the router's way out; give the router's own, such as fd00:8::1/64".into());
            }
            "auto" => {
                require_ipv6_enabled(text, mode, span.clone(), source)?;
                if std::mem::replace(&mut own.slaac, true) {
                    return refuse("\"auto\" is listed twice; keep one".into());
                }
                continue;
            }
            "none" if role != Role::External => {
                return refuse("nobody is on an interface that only carries others; write role = \"external\", or give the router's own address, such as 192.168.8.1/24".into());
            }
            "dhcp" => Some(AddressSource::Dhcp),
            "given" => Some(AddressSource::Given),
            "none" => Some(AddressSource::Nobody),
            _ => None,
        };
        if let Some(set_by) = set_by {
            if own.set_by != AddressSource::File && own.set_by != set_by {
                return refuse(format!(
                    "{text:?} is another way to get the IPv4 address; keep one of the two"
                ));
            }
            own.set_by = set_by;
            continue;
        }
        let address = own_address(text, mode, span.clone(), source)?;
        if own.all().any(|other| other.addr() == address.addr()) {
            return refuse(format!("{} is listed twice; keep one", address.addr()));
        }
        match address {
            IpNet::V4(address) => own.ipv4.push(address),
            IpNet::V6(address) => own.ipv6.push(address),
        }
    }
    let refuse = |what| Err(source.refuse(written.span(), what));
    if own.slaac && !own.ipv6.is_empty() {
        return refuse(
            "the IPv6 address comes by router advertisement (\"auto\") or is given here; keep one of the two",
        );
    }
    match (
        own.set_by,
        own.ipv4.is_empty(),
        own.ipv6.is_empty() && !own.slaac,
    ) {
        (AddressSource::Nobody, _, false) | (AddressSource::Nobody, false, _) => {
            refuse("an interface with an address has more than \"none\"; keep one of the two")
        }
        (AddressSource::Dhcp, false, _) => {
            refuse("the IPv4 address comes by DHCP or is given here; keep one of the two")
        }
        (AddressSource::Given, false, _) => refuse(
            "the IPv4 address is another program's to give, or stands here; keep one of the two",
        ),
        (AddressSource::File, true, false) => refuse(
            "the zone has no IPv4 address; give the router's own too, such as 192.168.8.1/24",
        ),
        (AddressSource::File, true, true) => {
            refuse("the zone has no address; give the router's own, such as 192.168.8.1/24")
        }
        _ => Ok(own),
    }
}

fn own_address(
    text: &str,
    mode: Ipv6Mode,
    span: Range<usize>,
    source: &Source,
) -> Result<IpNet, Refusal> {
    let refuse = |what: String| Err(source.refuse(span.clone(), what));
    if ["dhcp6", "dhcpv6", "auto", "slaac"].contains(&text) {
        return refuse(format!(
            "{text:?} is not an address, and none comes by DHCPv6; write \"auto\" for one by router advertisement, \"dhcp\" for IPv4, or the address that the provider assigned, such as 2001:db8:1::2/64"
        ));
    }
    if let Some(meant) = meant_word(text, &["dhcp", "given", "none", "auto"]) {
        return refuse(format!("{text:?} is not an address; {meant}"));
    }
    let Some(address) = address_and_prefix(text) else {
        let (of, example) = match mode {
            Ipv6Mode::Drop => ("IPv4 ", "192.168.8.1/24"),
            Ipv6Mode::Same => ("", "192.168.8.1/24 or fd00:8::1/64"),
        };
        return refuse(format!(
            "{text:?} is not an {of}address with a prefix length; {}",
            instead_of_address(text, AddressForm::WithPrefix(example))
        ));
    };
    let (such, length) = match address {
        IpNet::V4(_) => ("192.168.8.1/24", 24),
        IpNet::V6(_) => ("fd00:8::1/64", 64),
    };
    if matches!(address, IpNet::V6(_)) {
        require_ipv6_enabled(text, mode, span.clone(), source)?;
    }
    if address.prefix_len() == 0 {
        return refuse(format!(
            "{text} would make every address the zone's own; give the network's prefix length, such as /{length}"
        ));
    }
    let own = address.addr();
    if !is_assignable(own) {
        return refuse(format!(
            "{own} cannot be the router's address on a network; give one that can, such as {such}"
        ));
    }
    // RFC 3021 and RFC 6164: both addresses of a /31 or /127 are hosts; a /32 or /128 is
    // one host. The first address of any other IPv6 network belongs to every router (RFC
    // 4291, 2.6.1); IPv6 has no broadcast address.
    let hosts = address.max_prefix_len() - address.prefix_len();
    let which = match own {
        _ if hosts < 2 => return Ok(address),
        _ if own == address.network() => "first",
        IpAddr::V4(_) if own == address.broadcast() => "broadcast",
        _ => return Ok(address),
    };
    let first = match address.network() {
        IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from(u32::from(network) + 1)),
        IpAddr::V6(network) => IpAddr::V6(Ipv6Addr::from(u128::from(network) + 1)),
    };
    refuse(format!(
        "{own} is the network's {which} address; give the router's own, such as {first}/{}",
        address.prefix_len()
    ))
}

/// Whether a file may assign this address to a host. Link-local addresses are assigned by
/// the kernel, and exist on every link.
fn is_assignable(address: IpAddr) -> bool {
    let none = address.is_loopback() || address.is_multicast() || address.is_unspecified();
    !none
        && match address {
            IpAddr::V4(address) => !address.is_broadcast(),
            IpAddr::V6(address) => {
                !address.is_unicast_link_local() && address.to_ipv4_mapped().is_none()
            }
        }
}

/// The gateways of a zone.
pub fn gateways(
    written: &Spanned<Strings>,
    own: &Own,
    role: Role,
    mode: Ipv6Mode,
    source: &Source,
) -> Result<(Option<Gateway>, Option<Ipv6Addr>), Refusal> {
    let texts = &written.get_ref().0;
    if texts.is_empty() {
        return Err(source.refuse(
            written.span(),
            "the list names no gateway; name one or remove the key",
        ));
    }
    let (mut ipv4, mut ipv6) = (None, None);
    for text in texts {
        let span = span_in(text, written.span());
        let text = text.get_ref();
        if role != Role::External {
            return Err(source.refuse(span, "a gateway leads out of the networks here, so it belongs to a zone with role \"external\"; move it there or remove it"));
        }
        if let Some(meant) = meant_word(text, &["device", "given"]) {
            return Err(source.refuse(span, format_args!("{text:?} is not a gateway; {meant}")));
        }
        if let Some(why_not) = no_gateway(text, own) {
            return Err(source.refuse(span, why_not));
        }
        let by_name = match text.as_str() {
            "device" => Some(Gateway::Device),
            "given" => Some(Gateway::Given),
            _ => None,
        };
        if let Some(gateway) = by_name {
            if ipv4.replace(gateway).is_some() {
                return Err(source.refuse(span, TWO_GATEWAYS));
            }
            continue;
        }
        let twice = match gateway(text, own, mode, span.clone(), source)? {
            IpAddr::V4(gateway) => ipv4.replace(Gateway::Router(gateway)).is_some(),
            IpAddr::V6(gateway) => ipv6.replace(gateway).is_some(),
        };
        if twice {
            return Err(source.refuse(span, TWO_GATEWAYS));
        }
    }
    Ok((ipv4, ipv6))
}

/// Asks for the word that a mistyped one most likely is; None if it is one, or none is near.
fn meant_word(text: &str, words: &[&str]) -> Option<String> {
    match words.contains(&text) {
        true => None,
        false => did_you_mean(text, words.iter().copied()),
    }
}

const TWO_GATEWAYS: &str = "the zone has a gateway of this family already; keep one";

/// Why a zone with such an address cannot have this gateway.
fn no_gateway(text: &str, own: &Own) -> Option<&'static str> {
    let is_ipv6 = text.parse::<Ipv6Addr>().is_ok();
    match (own.set_by, text) {
        _ if is_ipv6 && own.slaac => Some(
            "with \"auto\" in address the IPv6 gateway comes by router advertisement too; remove it",
        ),
        (AddressSource::Dhcp, _) if !is_ipv6 => {
            Some("with address = \"dhcp\" the gateway comes by DHCP too; remove it")
        }
        (AddressSource::Nobody, _) => Some(
            "an interface without an address leads nowhere by itself; give the gateway to the zone that it carries",
        ),
        (AddressSource::Given, text) if !is_ipv6 && !["device", "given"].contains(&text) => Some(
            "the network of an address that another program gives is not known; write \"device\" if the other end takes what is for everybody, as that of PPP does, or \"given\" if the program sets the default route as well",
        ),
        (AddressSource::File, "given") => Some(
            "whoever gives the address gives the gateway, which goes with address = \"given\"; give the next router's address",
        ),
        _ => None,
    }
}

fn gateway(
    text: &str,
    own: &Own,
    mode: Ipv6Mode,
    span: Range<usize>,
    source: &Source,
) -> Result<IpAddr, Refusal> {
    let refuse = |what: String| Err(source.refuse(span.clone(), what));
    let Ok(gateway) = text.parse::<IpAddr>() else {
        return refuse(match mode {
            Ipv6Mode::Drop => {
                format!(
                    "{text:?} is not an IPv4 address; {}",
                    instead_of_address(text, AddressForm::Address("192.168.0.1"))
                )
            }
            Ipv6Mode::Same => {
                let instead = as_list(text);
                let instead = instead.unwrap_or("write it as 192.168.0.1 or fe80::1".into());
                format!("{text:?} is not an address; {instead}")
            }
        });
    };
    if let IpAddr::V6(address) = gateway {
        require_ipv6_enabled(text, mode, span.clone(), source)?;
        // A link-local gateway needs no network: the route names the link.
        if address.is_unicast_link_local() {
            return Ok(gateway);
        }
    }
    if !own.all().any(|address| address.contains(&gateway)) {
        let same = |network: &IpNet| network.addr().is_ipv6() == gateway.is_ipv6();
        let mut networks: Vec<String> = Vec::new();
        for network in own.all().filter(same) {
            let network = network.trunc().to_string();
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        return refuse(match networks.as_slice() {
            [] => format!(
                "gateway {gateway} is in no network of the zone, which has no IPv6 address; give it one, or the gateway's link-local address"
            ),
            [one] if gateway.is_ipv4() && one.ends_with("/32") => format!(
                "gateway {gateway} is not in the zone's network {one}, which is the router alone; write gateway = \"device\" for the other end of a point-to-point link, or the network's prefix length in address"
            ),
            _ => format!(
                "gateway {gateway} is not in the zone's network {}; give one that is",
                networks.join(", ")
            ),
        });
    }
    if own.all().any(|address| gateway == address.addr()) {
        return refuse(format!(
            "gateway {gateway} is the router's own address; give the next router's"
        ));
    }
    Ok(gateway)
}
