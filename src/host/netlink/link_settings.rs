//! The settings of IPv4 and IPv6 that the kernel holds for each link.
//!
//! A dump of the links has all of them at once; below /proc/sys each is a file of its own, and
//! there are twenty for each link. Where the dump says nothing, the file has to be read: it
//! alone has `all` and `default`.

use std::collections::HashMap;
use std::io;

use nix::libc;

use super::connection::NetlinkConnection;
use super::link::{self, DumpedLink, number};
use super::read::dumped_links;
use crate::host::nfnetlink::attribute;
use crate::plan::sysctl::Key;

/// IFLA_INET_CONF and IFLA_INET6_CONF, in the attributes of a link that belong to the family.
const INET_CONF: u16 = 1;
const INET6_CONF: u16 = 2;

/// The places of IPv4's settings in IFLA_INET_CONF: IPV4_DEVCONF_* (linux/ip.h) less 1. Only
/// settings that every kernel with the place has a file for.
const IPV4: [(&str, usize); 16] = [
    ("forwarding", 0),
    ("proxy_arp", 2),
    ("accept_redirects", 3),
    ("secure_redirects", 4),
    ("send_redirects", 5),
    ("rp_filter", 7),
    ("accept_source_route", 8),
    ("log_martians", 10),
    ("arp_announce", 17),
    ("arp_ignore", 18),
    ("arp_accept", 20),
    ("accept_local", 22),
    ("proxy_arp_pvlan", 24),
    ("route_localnet", 25),
    ("ignore_routes_with_linkdown", 28),
    ("bc_forwarding", 31),
];

/// The same of IPv6 in IFLA_INET6_CONF: DEVCONF_* (linux/ipv6.h).
const IPV6: [(&str, usize); 12] = [
    ("forwarding", 0),
    ("accept_ra", 3),
    ("accept_redirects", 4),
    ("autoconf", 5),
    ("proxy_ndp", 22),
    ("accept_source_route", 24),
    ("disable_ipv6", 26),
    ("suppress_frag_ndisc", 32),
    ("seg6_enabled", 44),
    ("rpl_seg_enabled", 51),
    ("accept_untracked_na", 57),
    ("force_forwarding", 59),
];

/// The settings of all links.
#[derive(Debug, Default)]
pub struct LinkSettings(HashMap<String, [Vec<u8>; 2]>);

/// Reads the settings of all links.
pub fn all(connection: &mut NetlinkConnection) -> io::Result<LinkSettings> {
    let links = dumped_links(connection)?;
    let settings = links.iter();
    let settings = settings.filter_map(|link| Some((link.name()?, [ipv4(link), ipv6(link)])));
    Ok(LinkSettings(settings.collect()))
}

fn ipv4(link: &DumpedLink) -> Vec<u8> {
    of_family(link, libc::AF_INET, INET_CONF)
}

fn ipv6(link: &DumpedLink) -> Vec<u8> {
    of_family(link, libc::AF_INET6, INET6_CONF)
}

fn of_family(link: &DumpedLink, family: i32, kind: u16) -> Vec<u8> {
    let families = link.attribute(link::OF_FAMILIES);
    let family = u16::try_from(family).ok();
    let values = families.and_then(|of| attribute(attribute(of, family?)?, kind));
    values.unwrap_or_default().to_vec()
}

/// The family's place in `LinkSettings`, the link, and the setting's place; None of a setting
/// that belongs to no link, or is not known here.
fn place(key: &Key) -> Option<(usize, &str, usize)> {
    let [net, family, conf, link, name] = key.parts() else {
        return None;
    };
    if net != "net" || conf != "conf" {
        return None;
    }
    let (at, places) = match family.as_str() {
        "ipv4" => (0, IPV4.as_slice()),
        "ipv6" => (1, IPV6.as_slice()),
        _ => return None,
    };
    let (_, place) = places.iter().find(|(known, _)| known == name)?;
    Some((at, link, *place))
}

impl LinkSettings {
    /// Whether a dump may say the value of a setting.
    pub fn may_say(key: &Key) -> bool {
        place(key).is_some()
    }

    /// The value of a setting; None if its file has to be read.
    pub fn value(&self, key: &Key) -> Option<String> {
        let (family, link, place) = place(key)?;
        let values = self.0.get(link)?[family].get(4 * place..)?;
        // What is negative is so in the file too.
        Some(number(values)?.cast_signed().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sysctl::forwarding;

    #[test]
    fn a_value_is_that_of_its_link_and_family() {
        let of = |values: &[i32]| {
            values
                .iter()
                .flat_map(|value| value.to_ne_bytes())
                .collect()
        };
        let links = [("eth0.20".to_owned(), [of(&[1, 0, 2]), of(&[7, 0, 0, -1])])];
        let settings = LinkSettings(links.into());
        let value = |family, link, name| settings.value(&Key::of(family, link, name));
        assert_eq!(value("ipv4", "eth0.20", "forwarding").as_deref(), Some("1"));
        assert_eq!(value("ipv4", "eth0.20", "proxy_arp").as_deref(), Some("2"));
        assert_eq!(value("ipv6", "eth0.20", "accept_ra").as_deref(), Some("-1"));
        // Of an older kernel, which has fewer; of no link; and of a link that is not there.
        assert_eq!(value("ipv4", "eth0.20", "accept_redirects"), None);
        assert_eq!(value("ipv4", "all", "forwarding"), None);
        assert_eq!(value("ipv6", "eth1", "forwarding"), None);
        assert_eq!(value("ipv4", "eth0.20", "tag"), None);
        assert!(!LinkSettings::may_say(&forwarding(true).key));
    }
}
