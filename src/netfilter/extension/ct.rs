//! `-j CT`: sets a connection's conntrack helper and conntrack zone.

use super::{Extension, Target, Words};
use crate::name::ServiceName;

pub(super) const CT: Extension<Target> = Extension {
    name: "CT",
    kernel_option: Some("CONFIG_NETFILTER_XT_TARGET_CT"),
    read,
};

fn read(words: &mut Words<'_>) -> Option<Target> {
    let helper = match words.option("--helper") {
        Some(name) => Some(ServiceName::try_from(name).ok()?),
        None => None,
    };
    let zone = match words.option("--zone") {
        Some(number) => Some(number.parse().ok()?),
        None => None,
    };
    let says = helper.is_some() || zone.is_some();
    says.then_some(Target::Conntrack { helper, zone })
}

pub(super) fn print(helper: Option<&ServiceName>, zone: Option<u16>) -> String {
    let helper = helper.map(|name| format!(" --helper {name}"));
    let zone = zone.map(|number| format!(" --zone {number}"));
    helper.unwrap_or_default() + &zone.unwrap_or_default()
}
