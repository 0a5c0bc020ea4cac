//! The record of what was refused: who tried to reach what, how often, and when.
//!
//! Owns its bounds. A host has a fair share: where the record is full, the host with the
//! most entries gives up its least useful one, so that a flood of one hides nothing of
//! another. Sources that may be made up have room of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use crate::name::MacAddress;
use crate::policy::RefusalReason;

/// The most entries of sources that rules have checked.
const MOST: usize = 8_000;

/// The most entries of sources that may be made up.
const MOST_UNCHECKED: usize = 2_000;

/// New attempts that are told of one host in one minute.
const TOLD_OF_A_HOST: u32 = 20;

/// The version of the format.
const VERSION: u64 = 1;

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What was tried.
    pub(crate) attempt: Attempt,
    /// The sender's hardware address, when last seen.
    pub(crate) hardware: Option<MacAddress>,
    /// How many packets.
    pub(crate) count: u64,
    /// When first and last, in seconds since 1970.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Whom an attempt is counted for: a checked source is its address; one that may be made up
/// is the sender's hardware address, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Address(IpAddr),
    Hardware(MacAddress),
}

#[derive(Debug, Default)]
struct Host {
    hardware: Option<MacAddress>,
    attempts: BTreeMap<Attempt, Times>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    count: u64,
    first: u64,
    last: u64,
}

/// The hosts of one kind, with as many entries as fit.
#[derive(Debug, Default)]
struct Room {
    hosts: BTreeMap<(Option<String>, Who), Host>,
    entries: usize,
}

/// All that was refused, as far as there is room.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    checked: Room,
    unchecked: Room,
    /// Entries that were given up, since there was no room.
    pub(crate) given_up: u64,
    /// How often packets came faster than they were read.
    pub(crate) lost: u64,
    told: Told,
}

/// What is to be told of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// It was told before.
    Nothing,
    /// It is new.
    New,
    /// It is new, and more of this host in this minute are recorded and not told.
    LastForNow,
}

/// How many new attempts were told of each host in this minute.
#[derive(Debug, Default)]
struct Told {
    minute: u64,
    counts: BTreeMap<(Option<String>, Option<IpAddr>), u32>,
}

impl Told {
    fn tell(&mut self, zone: Option<String>, attempt: &Attempt, now: u64) -> Telling {
        if self.minute != now / 60 {
            self.minute = now / 60;
            self.counts.clear();
        }
        // Whoever makes up sources would be many hosts.
        let checked = !attempt.tag.reason.has_unchecked_source();
        let count = self.counts.entry((zone, checked.then_some(attempt.source)));
        let count = count.or_default();
        *count = count.saturating_add(1);
        match (*count).cmp(&TOLD_OF_A_HOST) {
            std::cmp::Ordering::Less => Telling::New,
            std::cmp::Ordering::Equal => Telling::LastForNow,
            std::cmp::Ordering::Greater => Telling::Nothing,
        }
    }
}

impl Room {
    /// Returns whether it is new, and how many entries were given up for it.
    fn add(&mut self, refused: Refused, most: usize) -> (bool, u64) {
        let Refused {
            attempt,
            hardware,
            count,
            first,
            last,
        } = refused;
        let zone = attempt.tag.zone.as_ref().map(ToString::to_string);
        let who = match hardware.filter(|_| attempt.tag.reason.has_unchecked_source()) {
            Some(hardware) => Who::Hardware(hardware),
            None => Who::Address(attempt.source),
        };
        let host = self.hosts.entry((zone, who)).or_default();
        host.hardware = hardware.or(host.hardware);
        if let Some(times) = host.attempts.get_mut(&attempt) {
            times.count = times.count.saturating_add(count);
            times.first = times.first.min(first);
            times.last = times.last.max(last);
            return (false, 0);
        }
        let times = Times { count, first, last };
        host.attempts.insert(attempt, times);
        self.entries += 1;
        let mut given_up = 0;
        while self.entries > most && self.give_up() {
            given_up += 1;
        }
        (true, given_up)
    }

    /// Gives up what was tried least often, and of that the oldest, of the host with the
    /// most entries.
    fn give_up(&mut self) -> bool {
        let largest = self
            .hosts
            .iter()
            .max_by_key(|(_, host)| host.attempts.len());
        let Some(name) = largest.map(|(name, _)| name.clone()) else {
            return false;
        };
        let Some(host) = self.hosts.get_mut(&name) else {
            return false;
        };
        let least = host.attempts.iter();
        let least = least.min_by_key(|(_, times)| (times.count, times.last));
        let Some(least) = least.map(|(attempt, _)| attempt.clone()) else {
            return false;
        };
        host.attempts.remove(&least);
        if host.attempts.is_empty() {
            self.hosts.remove(&name);
        }
        self.entries -= 1;
        true
    }
}

impl Refusals {
    /// Counts one packet. Returns what is to be told of it.
    pub(crate) fn add(
        &mut self,
        attempt: &Attempt,
        hardware: Option<MacAddress>,
        now: u64,
    ) -> Telling {
        let refused = Refused {
            attempt: attempt.clone(),
            hardware,
            count: 1,
            first: now,
            last: now,
        };
        if !self.insert(refused) {
            return Telling::Nothing;
        }
        let zone = attempt.tag.zone.as_ref().map(ToString::to_string);
        self.told.tell(zone, attempt, now)
    }

    fn insert(&mut self, refused: Refused) -> bool {
        let (room, most) = match refused.attempt.tag.reason.has_unchecked_source() {
            true => (&mut self.unchecked, MOST_UNCHECKED),
            false => (&mut self.checked, MOST),
        };
        let (is_new, given_up) = room.add(refused, most);
        self.given_up += given_up;
        is_new
    }

    /// Every entry, by host.
    pub(crate) fn all(&self) -> impl Iterator<Item = Refused> {
        let hosts = self
            .checked
            .hosts
            .values()
            .chain(self.unchecked.hosts.values());
        hosts.flat_map(|host| {
            host.attempts.iter().map(|(attempt, times)| Refused {
                attempt: attempt.clone(),
                hardware: host.hardware,
                count: times.count,
                first: times.first,
                last: times.last,
            })
        })
    }

    /// The record as it is stored.
    pub(crate) fn to_text(&self) -> String {
        let file = RefusalsFile {
            version: VERSION,
            given_up: self.given_up,
            lost: self.lost,
            refused: self.all().map(Stored::from).collect(),
        };
        // Only strings and numbers: serialization cannot fail. An empty file would be
        // reported as damaged.
        serde_json::to_string(&file).unwrap_or_default() + "\n"
    }

    /// Reads a stored record.
    pub(crate) fn parse(text: &str) -> Result<Refusals, NotRefusals> {
        let file: RefusalsFile = serde_json::from_str(text).map_err(NotRefusals::Torn)?;
        if file.version != VERSION {
            return Err(NotRefusals::Version(file.version));
        }
        let mut refusals = Refusals {
            given_up: file.given_up,
            lost: file.lost,
            ..Refusals::default()
        };
        for stored in file.refused {
            refusals.insert(stored.read().ok_or(NotRefusals::Entry)?);
        }
        Ok(refusals)
    }
}

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRefusals {
    #[error("it is torn")]
    Torn(#[source] serde_json::Error),
    #[error("it has version {0}, not {VERSION}")]
    Version(u64),
    #[error("it has an entry that is none")]
    Entry,
}

/// The format of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalsFile {
    version: u64,
    given_up: u64,
    lost: u64,
    refused: Vec<Stored>,
}

/// An entry: zone, reason, source, hardware address, destination; protocol, port; count,
/// first, last.
#[derive(Debug, Serialize, Deserialize)]
struct Stored([String; 5], u8, u16, [u64; 3]);

impl From<Refused> for Stored {
    fn from(refused: Refused) -> Stored {
        let attempt = refused.attempt;
        let hardware = refused.hardware.map(|hardware| hardware.to_string());
        let tag = attempt.tag.to_string();
        let (zone, reason) = tag.split_once(' ').unwrap_or_default();
        Stored(
            [
                zone.to_owned(),
                reason.to_owned(),
                attempt.source.to_string(),
                hardware.unwrap_or_default(),
                attempt.destination.to_string(),
            ],
            attempt.protocol,
            attempt.port,
            [refused.count, refused.first, refused.last],
        )
    }
}

impl Stored {
    fn read(self) -> Option<Refused> {
        let Stored([zone, reason, source, hardware, destination], protocol, port, times) = self;
        let [count, first, last] = times;
        let hardware = match hardware.as_str() {
            "" => None,
            text => Some(hardware_address(text)?),
        };
        Some(Refused {
            attempt: Attempt {
                tag: format!("{zone} {reason}").parse().ok()?,
                source: source.parse().ok()?,
                destination: destination.parse().ok()?,
                protocol,
                port,
            },
            hardware,
            count,
            first,
            last,
        })
    }
}

/// Six bytes. A sender may have an address that no device has, which the file could not
/// name.
fn hardware_address(text: &str) -> Option<MacAddress> {
    let parts = text.split(':');
    let bytes: Option<Vec<u8>> = parts
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    let bytes: [u8; 6] = bytes?.try_into().ok()?;
    Some(MacAddress::from(bytes))
}

impl RefusalReason {
    /// The reason in words.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            RefusalReason::NotAllowed => "not allowed",
            RefusalReason::Spoofed => "spoofed",
            RefusalReason::Unknown => "unknown",
            RefusalReason::Bogon => "bogon",
            RefusalReason::TooMany => "too many",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn attempt(reason: &str, source: [u8; 4], to: u32) -> Option<Attempt> {
        Some(Attempt {
            tag: format!("camera {reason}").parse().ok()?,
            source: IpAddr::from(source),
            destination: IpAddr::V4(Ipv4Addr::from(to)),
            protocol: 17,
            port: (to % 65_536) as u16,
        })
    }

    fn of(refusals: &Refusals, source: [u8; 4]) -> usize {
        let source = IpAddr::from(source);
        refusals
            .all()
            .filter(|it| it.attempt.source == source)
            .count()
    }

    #[test]
    fn a_flood_neither_fills_memory_nor_hides_another() -> Result<(), &'static str> {
        let mut refusals = Refusals::default();
        let (quiet, loud) = ([192, 168, 8, 10], [192, 168, 8, 11]);
        for to in 0..30 {
            refusals.add(
                &attempt("not-allowed", quiet, to).ok_or("an attempt")?,
                None,
                5,
            );
        }
        for to in 0..10_000 {
            refusals.add(
                &attempt("not-allowed", loud, to).ok_or("an attempt")?,
                None,
                6,
            );
        }
        assert_eq!(of(&refusals, quiet), 30);
        assert_eq!(of(&refusals, loud), MOST - 30);
        assert_eq!(refusals.given_up, 10_000 + 30 - MOST as u64);
        // One that comes later has room as well.
        for to in 0..30 {
            let later = attempt("not-allowed", [192, 168, 8, 12], to).ok_or("an attempt")?;
            refusals.add(&later, None, 7);
        }
        assert_eq!(of(&refusals, [192, 168, 8, 12]), 30);
        // What is tried again and again outlives what was tried once.
        let again = attempt("not-allowed", loud, 7_000_000).ok_or("an attempt")?;
        for _ in 0..9 {
            refusals.add(&again, None, 8);
        }
        for to in 200_000..200_500 {
            refusals.add(
                &attempt("not-allowed", loud, to).ok_or("an attempt")?,
                None,
                9,
            );
        }
        assert!(
            refusals
                .all()
                .any(|it| it.attempt == again && it.count == 9)
        );
        Ok(())
    }

    #[test]
    fn sources_that_are_made_up_have_room_of_their_own() -> Result<(), &'static str> {
        let mut refusals = Refusals::default();
        let camera = [192, 168, 8, 10];
        refusals.add(
            &attempt("not-allowed", camera, 1).ok_or("an attempt")?,
            None,
            5,
        );
        let spoofer = Some(MacAddress::from([2, 0, 0, 0, 0, 1]));
        let other = Some(MacAddress::from([2, 0, 0, 0, 0, 2]));
        refusals.add(
            &attempt("spoofed", [9, 9, 9, 9], 1).ok_or("an attempt")?,
            other,
            5,
        );
        for from in 0..3_000_u32 {
            let spoofed = attempt("spoofed", from.to_be_bytes(), 1).ok_or("an attempt")?;
            refusals.add(&spoofed, spoofer, 6);
        }
        assert_eq!(of(&refusals, camera), 1);
        assert_eq!(refusals.all().filter(|it| it.hardware == other).count(), 1);
        assert_eq!(refusals.all().count(), 1 + MOST_UNCHECKED);
        Ok(())
    }

    #[test]
    fn each_new_attempt_is_told_once_and_no_flood() -> Result<(), &'static str> {
        let mut refusals = Refusals::default();
        let one = attempt("not-allowed", [192, 168, 8, 10], 1).ok_or("an attempt")?;
        assert_eq!(refusals.add(&one, None, 60), Telling::New);
        assert_eq!(refusals.add(&one, None, 61), Telling::Nothing);
        let mut told = 0;
        for to in 0..1000 {
            let flood = attempt("not-allowed", [192, 168, 8, 11], to).ok_or("an attempt")?;
            told += u32::from(refusals.add(&flood, None, 62) != Telling::Nothing);
        }
        assert_eq!(told, TOLD_OF_A_HOST);
        let two = attempt("not-allowed", [192, 168, 8, 10], 2).ok_or("an attempt")?;
        assert_eq!(refusals.add(&two, None, 63), Telling::New);
        Ok(())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() -> Result<(), Box<dyn std::error::Error>> {
        let mut refusals = Refusals::default();
        let hardware = Some(MacAddress::from([0xff; 6]));
        for to in 0..3 {
            let spoofed = attempt("spoofed", [9, 9, 9, 9], to).ok_or("an attempt")?;
            refusals.add(&spoofed, hardware, 7);
            let other = attempt("not-allowed", [192, 168, 8, 9], to).ok_or("an attempt")?;
            refusals.add(&other, None, 8);
        }
        let text = refusals.to_text();
        let again = Refusals::parse(&text)?;
        let all: Vec<Refused> = refusals.all().collect();
        assert_eq!(again.all().collect::<Vec<_>>(), all);
        for (from, to) in [
            ("}", ""),
            ("\"version\":1", "\"version\":2"),
            ("camera", "Camera"),
        ] {
            assert!(Refusals::parse(&text.replace(from, to)).is_err(), "{from}");
        }
        Ok(())
    }
}
