//! Who is there: of each zone the interface's link, the listed cameras, and hosts that
//! nobody listed. The values alone; [`super::presence_of`] finds them out.
//!
//! Owns that all that is told of hosts are numbers, addresses and names of the file, and a
//! name that a host gives itself only as [`super::leased_host`] leaves it.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::Role;
use crate::field::plural;
use crate::json::{JsonText, ToJson, json_object};

/// The most addresses of one device that are told.
pub(super) const MOST_ADDRESSES: usize = 4;

/// The addresses of a device in words.
pub(crate) fn in_words(addresses: &[IpAddr], more: usize) -> String {
    let mut words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    match more {
        0 => {}
        1 => words.push("and 1 more address".to_owned()),
        more => words.push(format!("and {more} more addresses")),
    }
    words.join(" ")
}

/// Who is there, in every zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// When this was so, in seconds since 1970.
    pub(crate) now: u64,
    /// Whether `watch` runs, and so knows when each camera was there.
    pub(crate) watching: bool,
    /// After how many seconds without a packet a camera is silent.
    pub(crate) silent_after: u64,
    /// In the order of the file.
    pub(crate) zones: Vec<ZonePresence>,
    /// What is wrong with cameras, by their order in the file.
    pub(crate) problems: Vec<HostProblem>,
    /// What could not be read, and why.
    pub(crate) unread: Vec<String>,
}

json_object!(Presence {
    now,
    watching,
    silent_after,
    zones,
    problems,
    unread
});

impl Presence {
    /// What is wrong with one camera.
    pub(crate) fn problems_of(&self, camera: &str) -> impl Iterator<Item = &HostProblem> {
        let problems = self.problems.iter();
        problems.filter(move |problem| problem.camera == camera)
    }

    /// After how long a camera is silent, in words.
    pub(crate) fn silence(&self) -> String {
        let after = self.silent_after;
        let mut units = [(86_400, "day"), (3600, "hour"), (60, "minute")].into_iter();
        let unit = units.find(|(seconds, _)| after.is_multiple_of(*seconds));
        let (seconds, unit) = unit.unwrap_or((1, "second"));
        let count = after / seconds;
        format!("{count} {unit}{}", plural(count))
    }
}

/// Who is there in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZonePresence {
    /// Its name.
    pub(crate) name: String,
    /// Its role.
    pub(crate) role: &'static str,
    /// Its interface.
    pub(crate) interface: InterfacePresence,
    /// In the order of the file.
    pub(crate) cameras: Vec<CameraPresence>,
    /// Who has an address that a line names, the latest first.
    pub(crate) named: Vec<UnlistedHost>,
    /// Hosts that nobody listed, the latest first.
    pub(crate) others: Vec<UnlistedHost>,
    /// How many more of them there are.
    pub(crate) others_left_out: usize,
}

json_object!(ZonePresence {
    name,
    role,
    interface,
    cameras,
    named,
    others,
    others_left_out
});

impl ZonePresence {
    /// Whether a host that nobody listed is one that the owner should look at.
    pub(crate) fn is_for_cameras(&self) -> bool {
        self.role == role_name(Role::Camera)
    }
}

/// An interface and its link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InterfacePresence {
    /// Its name.
    pub(crate) name: String,
    /// Whether it exists.
    pub(crate) exists: bool,
    /// Whether it is set up.
    pub(crate) up: bool,
    /// Whether there is a signal at its other end.
    pub(crate) link: bool,
    /// In Mbit/s; None if its driver does not know.
    pub(crate) speed: Option<u32>,
    /// Frames that came damaged.
    pub(crate) receive_errors: u64,
    /// Frames that could not be sent.
    pub(crate) transmit_errors: u64,
    /// Whether it has an address, of a zone to the outside whose address DHCP or another
    /// program brings.
    pub(crate) lease: Option<bool>,
    /// That address, with the prefix length of its network.
    pub(crate) address: Option<String>,
    /// Whether it has an IPv6 address, of a zone whose address comes by router advertisement.
    pub(crate) lease6: Option<bool>,
    /// That address, with the prefix length of its network.
    pub(crate) address6: Option<String>,
}

json_object!(InterfacePresence {
    name,
    exists,
    up,
    link,
    speed,
    receive_errors,
    transmit_errors,
    lease,
    address,
    lease6,
    address6
});

/// Whether a camera is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CameraState {
    /// It sent a packet lately.
    Seen,
    /// It sent none for long.
    Silent,
    /// It has sent none since the tables were loaded, and none is recorded.
    NeverSeen,
    /// It sent some, and nobody knows when; or the counters cannot be read.
    Unknown,
}

impl ToJson for CameraState {
    fn write_json(&self, json: &mut JsonText) {
        json.string(match self {
            CameraState::Seen => "seen",
            CameraState::Silent => "silent",
            CameraState::NeverSeen => "never-seen",
            CameraState::Unknown => "unknown",
        });
    }
}

/// A listed camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CameraPresence {
    /// Its name.
    pub(crate) name: String,
    /// Its address in the file.
    pub(crate) address: Ipv4Addr,
    /// Its IPv6 addresses in the file.
    pub(crate) addresses6: Vec<IpAddr>,
    /// Its hardware address in the file.
    pub(crate) mac: Option<String>,
    /// The hardware address that answers for it, if the file has none.
    pub(crate) hardware: Option<String>,
    /// Whether it is there.
    pub(crate) state: CameraState,
    /// When it was there, or later; in seconds since 1970.
    pub(crate) last_seen: Option<u64>,
    /// Packets from it, by its address and hardware address, since the tables were loaded;
    /// None if that cannot be read.
    pub(crate) packets: Option<u64>,
    /// When its lease ends, if dnsmasq on this box gave it one; 0 is never.
    pub(crate) lease_until: Option<u64>,
}

json_object!(CameraPresence {
    name,
    address,
    addresses6,
    mac,
    hardware,
    state,
    last_seen,
    packets,
    lease_until
});

impl CameraPresence {
    /// Whether this is one of its addresses in the file.
    pub(crate) fn has(&self, address: &IpAddr) -> bool {
        *address == self.address || self.addresses6.contains(address)
    }
}

/// A host that is no listed camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnlistedHost {
    /// Its hardware address.
    pub(crate) hardware: Option<String>,
    /// The addresses that it uses and the zone can have, IPv4 first and then the latest.
    pub(crate) addresses: Vec<IpAddr>,
    /// How many more of them there are.
    pub(crate) more_addresses: usize,
    /// When it was there, or later; in seconds since 1970. None if it has a lease alone.
    pub(crate) last_seen: Option<u64>,
    /// What it calls itself to dnsmasq, other characters than those of names as `?`.
    pub(crate) calls_itself: Option<String>,
    /// The first line of the file that names one of its addresses.
    pub(crate) line: Option<String>,
}

json_object!(UnlistedHost {
    hardware,
    addresses,
    more_addresses,
    last_seen,
    calls_itself,
    line
});

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostProblemKind {
    /// A listed camera is on another zone's wire.
    OtherZone,
    /// A listed camera uses another address than the file's.
    OtherAddress,
    /// Another device than the listed one uses a camera's address.
    OtherDevice,
    /// Two devices use a camera's address.
    TwoDevices,
}

impl HostProblemKind {
    /// In one word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            HostProblemKind::OtherZone => "other-zone",
            HostProblemKind::OtherAddress => "other-address",
            HostProblemKind::OtherDevice => "other-device",
            HostProblemKind::TwoDevices => "two-devices",
        }
    }
}

impl ToJson for HostProblemKind {
    fn write_json(&self, json: &mut JsonText) {
        json.string(self.as_str());
    }
}

/// What is wrong with a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostProblem {
    /// What it is.
    pub(crate) kind: HostProblemKind,
    /// The camera's name.
    pub(crate) camera: String,
    /// The zone where it was seen.
    pub(crate) zone: String,
    /// When it was seen last, in seconds since 1970.
    pub(crate) last: u64,
    /// In words, with what to do; the same for as long as it is the same problem.
    pub(crate) text: String,
}

json_object!(HostProblem {
    kind,
    camera,
    zone,
    last,
    text
});

/// A role as the file has it.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::External => "external",
        Role::Camera => "camera",
        Role::Private => "private",
    }
}
