//! A camera that the file names: its addresses of both families, and what binds them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Addresses, Origin, Policy, ZoneIndex};
use crate::family::IpFamily;
use crate::name::{CameraName, InterfaceName, MacAddress};

/// A camera that the file names.
#[derive(Debug, Clone)]
pub struct Camera {
    /// The name.
    pub name: CameraName,
    /// Its address, in its zone's network.
    pub address: Ipv4Addr,
    /// Its IPv6 addresses, in its zone's IPv6 networks; the rules tell it by IPv6 only if it
    /// has some.
    pub addresses6: Vec<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Option<MacAddress>,
    /// The port of its zone's bridge by which alone its hardware address comes in; then
    /// every camera of the zone has one.
    pub port: Option<InterfaceName>,
    /// The zone that it is in.
    pub zone: ZoneIndex,
    /// The position in the file.
    pub origin: Origin,
}

impl Camera {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let ipv6 = self.addresses6.iter().copied().map(IpAddr::V6);
        std::iter::once(IpAddr::V4(self.address)).chain(ipv6)
    }

    /// Its addresses of one family.
    pub fn addresses_of(&self, family: IpFamily) -> impl Iterator<Item = IpAddr> {
        let is_ipv4 = family == IpFamily::V4;
        self.addresses().filter(move |it| it.is_ipv4() == is_ipv4)
    }

    /// Whether this is one of its addresses.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// What a line from it or to it is about.
    pub(crate) fn as_end(&self) -> Addresses {
        Addresses::Only(self.addresses().map(IpNet::from).collect())
    }
}

impl Policy {
    /// The cameras of a zone, in the order of the file.
    pub fn cameras_of(&self, zone: ZoneIndex) -> impl Iterator<Item = &Camera> {
        self.cameras
            .iter()
            .filter(move |camera| camera.zone == zone)
    }

    /// Those of them that the file lists with an address of this family.
    pub(crate) fn listed(
        &self,
        zone: ZoneIndex,
        family: IpFamily,
    ) -> impl Iterator<Item = &Camera> {
        self.cameras_of(zone)
            .filter(move |camera| camera.addresses_of(family).next().is_some())
    }

    /// Whether the file lists IPv6 addresses of cameras.
    pub(crate) fn lists_ipv6(&self) -> bool {
        self.cameras
            .iter()
            .any(|camera| !camera.addresses6.is_empty())
    }
}
