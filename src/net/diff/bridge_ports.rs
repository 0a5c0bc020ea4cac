//! The ports of a bridge: their settings, and the hardware addresses that locked ones take.
//!
//! A link becomes a port while it is down, and is set up once its settings and entries hold.
//! On ports that are up, what restricts comes before what permits.

use std::collections::HashSet;

use super::World;
use crate::name::InterfaceName;
use crate::net::{ForwardingEntry, Link, NetworkChange, Wanted};

impl World<'_> {
    /// Makes the links ports of the bridge, with their settings and forwarding entries.
    pub(super) fn ports(
        &self,
        bridge: &str,
        ports: &[InterfaceName],
        not_isolated: &[InterfaceName],
        wanted: &Wanted,
        changes: &mut Vec<NetworkChange>,
    ) {
        let entries = wanted.forwarding.iter();
        let entries: Vec<&ForwardingEntry> = entries.filter(|it| it.bridge == bridge).collect();
        let are_wanted: HashSet<&ForwardingEntry> = entries.iter().copied().collect();
        let locked = wanted.is_locked(bridge);
        let mut are_held: HashSet<&ForwardingEntry> = HashSet::new();
        for held in &self.current.forwarding {
            let entry = &held.value;
            if entry.bridge != bridge || self.kept_port(&entry.port, bridge).is_none() {
                continue;
            }
            if held.ours {
                are_held.insert(entry);
            }
            let is_stale = !are_wanted.contains(entry) && (locked || held.ours);
            let change = NetworkChange::RemoveForwarding(entry.clone());
            // The kernel has one for each VLAN of the port, and removes all of them at once.
            if is_stale && !changes.contains(&change) {
                changes.push(change);
            }
        }
        for isolated in [true, false] {
            let ports = ports.iter();
            for port in ports.filter(|port| not_isolated.contains(port) != isolated) {
                let there = self.kept_port(port.as_str(), bridge);
                let port = port.to_string();
                if there.is_none() {
                    changes.push(NetworkChange::Enslave {
                        port: port.clone(),
                        bridge: bridge.to_owned(),
                    });
                }
                let is_set = |link: &Link| {
                    let found = (link.isolated, link.locked, link.learns_nothing);
                    found == (isolated, locked, locked)
                };
                if !there.is_some_and(is_set) {
                    changes.push(NetworkChange::SetPort {
                        port,
                        isolated,
                        locked,
                    });
                }
            }
        }
        let missing = entries
            .into_iter()
            .filter(|entry| !are_held.contains(entry));
        changes.extend(missing.cloned().map(NetworkChange::AddForwarding));
    }

    /// A port of the bridge that stays so, under its name.
    fn kept_port(&self, name: &str, bridge: &str) -> Option<&Link> {
        let link = self.find(name)?;
        let is_port = link.name == name && link.controller.as_deref() == Some(bridge);
        is_port.then_some(link)
    }
}
