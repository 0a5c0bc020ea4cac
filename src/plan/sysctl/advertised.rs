//! The kernel settings of a zone whose IPv6 address and default route come by router
//! advertisement.

use super::{Good, Key, Need, Setting};
use crate::policy::{Policy, Zone};

/// What is not taken from an advertisement, on that interface alone.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "accept_ra_rt_info_max_plen",
        "0",
        "no router gives other routes than the default one (RFC 4191)",
    ),
    (
        "accept_ra_min_hop_limit",
        "64",
        "no router makes what the box sends end on its way",
    ),
    (
        "accept_ra_from_local",
        "0",
        "no advertisement of the box's own is taken",
    ),
    (
        "use_tempaddr",
        "0",
        "the router has one address, and no temporary ones (RFC 8981)",
    ),
];

/// What is taken. The last lets them in: 1 would take none where the box forwards.
const TAKEN: &[(&str, &str, &str)] = &[
    (
        "accept_ra_defrtr",
        "1",
        "the default route comes by router advertisement",
    ),
    ("accept_ra_pinfo", "1", "and the prefix"),
    ("autoconf", "1", "of which the kernel makes the address"),
    (
        ACCEPTS,
        "2",
        "a box that forwards takes advertisements on this interface too",
    ),
];

const ACCEPTS: &str = "accept_ra";

fn settings<'a>(
    zone: &'a Zone,
    list: &'a [(&str, &str, &'static str)],
) -> impl Iterator<Item = Setting> + 'a {
    list.iter().map(|(name, value, why)| Setting {
        key: Key::of("ipv6", zone.interface.as_str(), name),
        value: (*value).to_owned(),
        why,
        // The network step reports an interface that does not exist.
        need: Need::IfPresent,
        good: Good::Same,
    })
}

fn advertised(policy: &Policy) -> impl Iterator<Item = &Zone> {
    policy.zones.iter().filter(|zone| zone.slaac)
}

/// Takes the place of what other zones have.
pub(super) fn restrict(all: &mut Vec<Setting>, policy: &Policy) {
    for zone in advertised(policy) {
        let taken: Vec<Setting> = settings(zone, TAKEN).collect();
        all.retain(|setting| !taken.iter().any(|taken| taken.key == setting.key));
        all.extend(settings(zone, REFUSED));
    }
}

/// What lets advertisements in, once the rules are loaded.
pub(super) fn take(policy: &Policy) -> impl Iterator<Item = Setting> {
    advertised(policy).flat_map(|zone| settings(zone, TAKEN))
}

/// Whether a setting that was written has an interface take advertisements, or no more.
pub(crate) fn is_about(setting: &Setting, interface: &str) -> bool {
    setting.key == Key::of("ipv6", interface, ACCEPTS)
}

/// Turns IPv6 off and on again on an interface that is up: the kernel asks for routers when
/// it begins, and not when it may take the answer.
pub(crate) fn begins_again(interface: &str) -> Vec<Setting> {
    let setting = |value: &str| Setting {
        key: Key::of("ipv6", interface, "disable_ipv6"),
        value: value.to_owned(),
        why: "the kernel asks for routers when IPv6 begins on an interface",
        need: Need::IfPresent,
        good: Good::Same,
    };
    vec![setting("1"), setting("0")]
}
