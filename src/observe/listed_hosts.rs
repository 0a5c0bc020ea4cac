//! Who the file lists, and of which device a refused packet is.
//!
//! Owns that rule. A host that nobody listed has as many addresses as it likes, so there its
//! hardware address tells it from others; a listed camera is itself by its address. From
//! beyond a zone's own networks many hosts come with one router's hardware address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::attempt::Attempt;
use super::refusals::RefusedAttempt;
use crate::name::{CameraName, MacAddress, ZoneName};
use crate::policy::Policy;

/// A camera of the file, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedCamera {
    pub(crate) zone: ZoneName,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) name: CameraName,
}

/// The cameras of the file, and the networks on the zones' wires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListedHosts {
    pub(crate) cameras: Vec<ListedCamera>,
    pub(crate) on_wires: Vec<(ZoneName, IpNet)>,
}

/// Whom an attempt is counted for: one address, or one device with all of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RefusedSender {
    Address(IpAddr),
    Hardware(MacAddress),
}

impl ListedHosts {
    /// Those of a policy.
    pub(crate) fn of(policy: &Policy) -> ListedHosts {
        let cameras = policy.cameras.iter().map(|camera| ListedCamera {
            zone: policy.zone(camera.zone).name.clone(),
            addresses: camera.addresses().collect(),
            mac: camera.mac,
            name: camera.name.clone(),
        });
        let zones = policy.zones.iter();
        let on_wires =
            zones.flat_map(|zone| zone.own().map(|own| (zone.name.clone(), own.trunc())));
        ListedHosts {
            cameras: cameras.collect(),
            on_wires: on_wires.collect(),
        }
    }

    /// The listed camera that sent a packet. One whose source may be made up is nobody's.
    pub(crate) fn camera(&self, attempt: &Attempt) -> Option<&ListedCamera> {
        let mut cameras = self.cameras.iter();
        cameras.find(|camera| {
            let mut own = camera.addresses.iter();
            own.any(|own| attempt.is_from(&camera.zone, *own))
        })
    }

    /// Whose a packet is.
    pub(crate) fn sender(&self, refused: &RefusedAttempt) -> RefusedSender {
        let (tag, source) = (&refused.attempt.tag, refused.attempt.source);
        let is_on_wire = || match source {
            IpAddr::V6(own) if own.is_unicast_link_local() => true,
            _ => self.on_wires.iter().any(|(zone, network)| {
                network.contains(&source) && Some(zone) == tag.zone.as_ref()
            }),
        };
        match refused.hardware {
            Some(hardware)
                if tag.reason.has_unchecked_source()
                    || is_on_wire() && self.camera(&refused.attempt).is_none() =>
            {
                RefusedSender::Hardware(hardware)
            }
            _ => RefusedSender::Address(source),
        }
    }

    /// Whether a sender of a zone is one of the listed cameras.
    pub(super) fn has(&self, zone: &ZoneName, sender: RefusedSender) -> bool {
        self.cameras.iter().any(|camera| {
            let is_it = match sender {
                RefusedSender::Address(address) => camera.addresses.contains(&address),
                RefusedSender::Hardware(hardware) => camera.mac == Some(hardware),
            };
            is_it && camera.zone == *zone
        })
    }
}
