//! Whether the rules see frames that pass from port to port of a bridge.

use super::{Need, Setting, setting};
use crate::net::Device;
use crate::policy::{Policy, Zone};

/// With CONFIG_BRIDGE_NETFILTER they do, and nothing passes within a zone: off where the file
/// has ports reach each other. Those that are isolated pass nothing to each other anyway.
pub(super) fn settings(policy: &Policy) -> Vec<Setting> {
    let reaches = |zone: &Zone| matches!(&zone.device, Device::Bridge { not_isolated, .. } if !not_isolated.is_empty());
    if !policy.zones.iter().any(reaches) {
        return Vec::new();
    }
    let off = |name| {
        let why = "ports that are not isolated reach each other";
        setting(name, "0", Need::IfPresent, why)
    };
    let names = ["iptables", "ip6tables", "arptables"];
    let keys = names.map(|name| format!("net/bridge/bridge-nf-call-{name}"));
    keys.iter().map(|key| off(key.as_str())).collect()
}
