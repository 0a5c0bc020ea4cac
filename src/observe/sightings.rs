//! When each listed camera was there last, as `camfw watch` finds out by comparing what
//! the kernel has counted with what it had before.
//!
//! Owns the text as it is stored: a line of the version and of when it was compared last;
//! then for each camera a line of name, packets, when it was there, its hardware address,
//! the one before, and when the two took turns.

use std::fmt::{Display, Write};

use super::accounting::CameraCount;
use super::refusals_text::{NONE, hardware_address, number};
use crate::name::{CameraName, MacAddress};
use crate::net::SeenHost;
use crate::policy::{Camera, Policy};

const VERSION: u64 = 1;

/// When the cameras were there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sightings {
    /// When they were compared last, in seconds since 1970.
    pub(crate) compared: Option<u64>,
    /// In the order of their names.
    cameras: Vec<Sighting>,
}

/// What is known of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    name: CameraName,
    /// The packets that the kernel had counted of it.
    pub(crate) packets: u64,
    /// When it was there; None if that is not known.
    pub(crate) last: Option<u64>,
    /// The hardware address that answered for its address.
    pub(crate) hardware: Option<MacAddress>,
    /// The one that did before.
    pub(crate) before: Option<MacAddress>,
    /// When the one before answered again: there are two.
    pub(crate) contested: Option<u64>,
}

impl Sightings {
    /// What is known of a camera.
    pub(crate) fn of(&self, camera: &CameraName) -> Option<&Sighting> {
        let place = self.cameras.binary_search_by(|it| it.name.cmp(camera));
        self.cameras.get(place.ok()?)
    }

    /// Compares what was counted, and who is in the neighbour cache, with what was before.
    pub(crate) fn compare(
        &mut self,
        policy: &Policy,
        counts: &[CameraCount],
        hosts: &[SeenHost],
        now: u64,
    ) {
        let is_first = self.compared.is_none();
        let before = std::mem::take(&mut self.cameras);
        let before = Sightings {
            compared: self.compared,
            cameras: before,
        };
        for camera in &policy.cameras {
            let known = before.of(&camera.name);
            let mut sighting = known.cloned().unwrap_or_else(|| Sighting {
                name: camera.name.clone(),
                packets: 0,
                last: None,
                hardware: None,
                before: None,
                contested: None,
            });
            // A clock that was set back.
            sighting.last = sighting.last.filter(|last| *last <= now);
            let mut counted = counts.iter();
            if let Some(count) = counted.find(|it| it.name == camera.name.as_str()) {
                let grew = count.packets > 0 && count.packets != sighting.packets;
                // Of what was counted before the first comparison nobody knows when.
                if grew && !(is_first && known.is_none()) {
                    sighting.last = Some(now);
                }
                sighting.packets = count.packets;
            }
            let interface = policy.zone(camera.zone).interface.as_str();
            let on_its_wire = hosts.iter().filter(|host| host.link == interface);
            for host in on_its_wire.filter(|host| is_of(camera, host)) {
                let then = now.saturating_sub(host.seconds);
                sighting.last = sighting.last.max(Some(then));
                // The cache keeps IPv6 addresses long, perhaps of a device before.
                if host.address == camera.address {
                    sighting.answers(host.mac, now);
                }
            }
            self.cameras.push(sighting);
        }
        self.cameras.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.compared = Some(now);
    }

    /// The record as it is stored.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{VERSION} {}\n", or_none(self.compared));
        for it in &self.cameras {
            let _ = writeln!(
                text,
                "{} {} {} {} {} {}",
                it.name,
                it.packets,
                or_none(it.last),
                or_none(it.hardware),
                or_none(it.before),
                or_none(it.contested)
            );
        }
        text
    }

    /// Reads a stored record; None if it cannot be used.
    pub(crate) fn parse(text: &str) -> Option<Sightings> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (version, compared) = lines.next()?.split_once(' ')?;
        if version.parse() != Ok(VERSION) {
            return None;
        }
        let mut cameras = Vec::new();
        for line in lines {
            let mut words = line.split(' ');
            let mut next = || words.next();
            cameras.push(Sighting {
                name: CameraName::try_from(next()?).ok()?,
                packets: number(next())?,
                last: optional(next()?, |text| text.parse().ok())?,
                hardware: optional(next()?, hardware_address)?,
                before: optional(next()?, hardware_address)?,
                contested: optional(next()?, |text| text.parse().ok())?,
            });
        }
        cameras.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(Sightings {
            compared: optional(compared, |text| text.parse().ok())?,
            cameras,
        })
    }
}

impl Sighting {
    /// Takes note of the hardware address that answers for the camera's. Where there are
    /// two, the cache has one after the other; a camera that was replaced does not return.
    fn answers(&mut self, mac: MacAddress, now: u64) {
        if self.hardware == Some(mac) {
            return;
        }
        if self.before == Some(mac) {
            self.contested = Some(now);
        }
        self.before = self.hardware.replace(mac);
    }
}

/// Whether an entry of the neighbour cache is a camera's own. Another hardware address than
/// the file's is another device.
pub(super) fn is_of(camera: &Camera, host: &SeenHost) -> bool {
    match camera.mac {
        Some(mac) => host.mac == mac,
        None => camera.has(host.address),
    }
}

fn or_none<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// A value or none; None if it is neither.
fn optional<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        NONE => Some(None),
        text => read(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Answers;
    use crate::source::Source;

    const POLICY: &str = "[zones.camera]\nrole = \"camera\"\ninterface = \"eth1\"\naddress = \"192.168.8.1/24\"\n\
        [[cameras]]\nname = \"porch\"\naddress = \"192.168.8.110\"\n\
        [[cameras]]\nname = \"attic\"\naddress = \"192.168.8.111\"\nmac = \"02:00:00:00:00:07\"\n";

    fn counts(porch: u64, attic: u64) -> Vec<CameraCount> {
        let count = |name: &str, packets| CameraCount {
            line: String::new(),
            name: name.into(),
            packets,
            bytes: 0,
        };
        vec![count("porch", porch), count("attic", attic)]
    }

    fn host(link: &str, address: [u8; 4], last: u8, seconds: u64) -> SeenHost {
        SeenHost {
            link: link.into(),
            address: address.into(),
            mac: MacAddress::from([2, 0, 0, 0, 0, last]),
            seconds,
        }
    }

    #[test]
    fn a_camera_is_there_when_its_counter_grows() -> Result<(), Box<dyn std::error::Error>> {
        let policy = crate::policy(&Source::new("c.toml", POLICY), &Answers::new())?;
        let last = |sightings: &Sightings, name: &str| {
            let name = CameraName::try_from(name).ok()?;
            sightings.of(&name)?.last
        };
        let mut seen = Sightings::default();
        seen.compare(&policy, &counts(5, 0), &[], 100);
        assert_eq!(last(&seen, "porch"), None, "nobody knows when");
        seen.compare(&policy, &counts(6, 0), &[], 160);
        seen.compare(&policy, &counts(6, 1), &[], 220);
        assert_eq!(
            (last(&seen, "porch"), last(&seen, "attic")),
            (Some(160), Some(220))
        );
        // After a reload without counters, and with a cache that has the camera by its
        // hardware address alone, or another device by its address.
        let hosts = [
            host("eth1", [192, 168, 8, 111], 9, 1),
            host("eth2", [192, 168, 8, 110], 9, 1),
            host("eth1", [192, 168, 8, 99], 7, 30),
        ];
        seen.compare(&policy, &counts(0, 1), &hosts, 280);
        assert_eq!(
            (last(&seen, "porch"), last(&seen, "attic")),
            (Some(160), Some(250))
        );
        let again = Sightings::parse(&seen.to_text()).ok_or("it is read")?;
        assert_eq!(again, seen);
        for torn in [
            "",
            "1",
            "1 -",
            "2 -\n",
            "1 -\nporch 1 - -",
            "1 -\nPorch 1 - - - -\n",
        ] {
            assert_eq!(Sightings::parse(torn), None, "{torn}");
        }
        // The clock was set back.
        seen.compare(&policy, &counts(0, 1), &[], 200);
        assert_eq!(last(&seen, "attic"), None);
        Ok(())
    }

    #[test]
    fn two_that_answer_take_turns() -> Result<(), Box<dyn std::error::Error>> {
        let policy = crate::policy(&Source::new("c.toml", POLICY), &Answers::new())?;
        let porch = CameraName::try_from("porch")?;
        let mut seen = Sightings::default();
        let mut contested = Vec::new();
        for (now, last) in [(10, 1), (20, 2), (30, 2), (40, 1)] {
            let hosts = [host("eth1", [192, 168, 8, 110], last, 0)];
            seen.compare(&policy, &[], &hosts, now);
            contested.push(seen.of(&porch).and_then(|it| it.contested));
        }
        assert_eq!(
            contested,
            [None, None, None, Some(40)],
            "not when it is replaced"
        );
        Ok(())
    }
}
