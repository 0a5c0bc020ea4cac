//! Resolves a zone's interface: its name, and how it is identified or created.

use std::ops::Range;

use super::named;
use crate::config::{InterfaceTable, InterfaceValue, Spanned};
use crate::name::{InterfaceName, MacAddress};
use crate::net::Device;
use crate::source::{Refusal, Source};

/// The name and the device of a zone's interface.
pub fn interface(
    written: &Spanned<InterfaceValue>,
    source: &Source,
) -> Result<(InterfaceName, Device), Refusal> {
    match written.get_ref() {
        InterfaceValue::Named(name) => Ok((named(name, written.span(), source)?, Device::Named)),
        InterfaceValue::Described(description) => described(description, written.span(), source),
    }
}

fn described(
    written: &InterfaceTable,
    span: Range<usize>,
    source: &Source,
) -> Result<(InterfaceName, Device), Refusal> {
    let name_of =
        |text: &Spanned<String>| named::<InterfaceName>(text.get_ref(), text.span(), source);
    let name = written.name.as_ref().map(name_of).transpose()?;
    let needs_name = || {
        source.refuse(
            span.clone(),
            "the interface is found or made and needs a name; add name = \"cam0\"",
        )
    };
    if let (Some(not_isolated), None) = (&written.not_isolated, &written.bridge) {
        return Err(source.refuse(
            not_isolated.span(),
            "only a bridge has ports; name them in bridge = [\"eth1\", \"eth2\"], or remove not-isolated",
        ));
    }
    match written {
        InterfaceTable { mac: Some(mac), path: None, vlan: None, on: None, bridge: None, .. } => {
            let mac = named::<MacAddress>(mac.get_ref(), mac.span(), source)?;
            Ok((name.ok_or_else(needs_name)?, Device::Mac(mac)))
        }
        InterfaceTable { path: Some(path), mac: None, vlan: None, on: None, bridge: None, .. } => {
            let text = path.get_ref().trim_matches('/');
            if text.is_empty() {
                return Err(source.refuse(path.span(), "the path is empty; give the device's, as `readlink /sys/class/net/eth0/device` shows it"));
            }
            Ok((name.ok_or_else(needs_name)?, Device::Path(text.to_owned())))
        }
        InterfaceTable { vlan: Some(vlan), on: Some(on), mac: None, path: None, bridge: None, .. } => {
            let parent = name_of(on)?;
            if name.as_ref() == Some(&parent) {
                return Err(source.refuse(
                    on.span(),
                    format_args!("{parent} is the interface that the VLAN is on; give the VLAN a name of its own"),
                ));
            }
            // 0 and 4095 are not VLAN IDs (IEEE 802.1Q, 9.6).
            let id = u16::try_from(*vlan.get_ref())
                .ok()
                .filter(|id| (1..=4094).contains(id))
                .ok_or_else(|| {
                    source.refuse(
                        vlan.span(),
                        format_args!("{} is not a VLAN; use 1 to 4094", vlan.get_ref()),
                    )
                })?;
            let name = match name {
                Some(name) => name,
                None => named(&format!("{parent}.{id}"), span, source)?,
            };
            Ok((name, Device::Vlan { id, parent }))
        }
        InterfaceTable { bridge: Some(ports), mac: None, path: None, vlan: None, on: None, .. } => {
            let ports_of = ports.get_ref().iter().map(name_of);
            let names = ports_of.collect::<Result<Vec<InterfaceName>, _>>()?;
            if names.is_empty() {
                return Err(source.refuse(ports.span(), "the bridge has no port; name its interfaces"));
            }
            for (place, port) in names.iter().enumerate() {
                let why = if name.as_ref() == Some(port) {
                    "is a port of this bridge; give the bridge a name of its own"
                } else if names[..place].contains(port) {
                    "is listed twice; keep one"
                } else if names.iter().any(|other| is_vlan_of(port, other)) {
                    "is a VLAN of another port of the bridge; name one of the two"
                } else {
                    continue;
                };
                let span = ports.get_ref().get(place).map_or(ports.span(), Spanned::span);
                return Err(source.refuse(span, format_args!("{port} {why}")));
            }
            let not_isolated = written.not_isolated.as_ref().map(|it| it.get_ref().iter());
            let not_isolated = not_isolated.into_iter().flatten().map(|port| {
                let port_name = name_of(port)?;
                match names.contains(&port_name) {
                    true => Ok(port_name),
                    false => Err(no_port_of(port, &names, source)),
                }
            });
            let not_isolated = not_isolated.collect::<Result<_, _>>()?;
            let name = name.ok_or_else(needs_name)?;
            Ok((name, Device::Bridge { ports: names, not_isolated }))
        }
        _ => Err(source.refuse(
            span,
            "an interface is one of { mac, name }, { path, name }, { vlan, on } and { bridge, name }; write just the keys of one",
        )),
    }
}

/// Whether an interface is, by its name, a VLAN of the other one.
fn is_vlan_of(name: &InterfaceName, other: &InterfaceName) -> bool {
    let id = name.as_str().strip_prefix(other.as_str());
    let id = id.and_then(|rest| rest.strip_prefix('.'));
    id.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses what is named as a port of a bridge that does not have it.
pub(super) fn no_port_of(
    written: &Spanned<String>,
    ports: &[InterfaceName],
    source: &Source,
) -> Refusal {
    let ports: Vec<&str> = ports.iter().map(InterfaceName::as_str).collect();
    let (name, ports) = (written.get_ref(), ports.join(", "));
    source.refuse(
        written.span(),
        format_args!("{name} is no port of the bridge, which has {ports}; name one of these"),
    )
}
