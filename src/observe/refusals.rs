//! The record of what was refused: who tried to reach what, how often, and when.
//!
//! Owns its bounds. A host has a fair share: where the record is full, the host with the
//! most entries gives up its least useful one, so that a flood of one hides nothing of
//! another. Sources that may be made up have room of their own.
//!
//! Sorted lists and not maps: one host's entries are few or its own to lose, and each kind
//! of map is thousands of bytes of the program.

use std::net::IpAddr;

use super::attempt::Attempt;
use crate::name::{MacAddress, ZoneName};
use crate::policy::{RefusalReason, RefusalTag};

/// The most entries of sources that rules have checked.
const MOST: usize = 8_000;

/// The most entries of sources that may be made up.
const MOST_UNCHECKED: usize = 2_000;

/// The most days of which the packets are counted.
const MOST_DAYS: usize = 31;

/// New attempts that are told of one host in one minute.
const TOLD_OF_A_HOST: u32 = 20;

/// New attempts that are told in one minute: one host may have many addresses.
const TOLD_OF_ALL: u32 = 200;

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedAttempt {
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

#[derive(Debug, Clone)]
struct Host {
    zone: Option<ZoneName>,
    who: Who,
    hardware: Option<MacAddress>,
    /// In the order of what was tried.
    entries: Vec<HostEntry>,
    told: Told,
}

/// What tells an entry of a host from its others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EntryKey {
    source: IpAddr,
    reason: RefusalReason,
    destination: IpAddr,
    protocol: u8,
    port: u16,
}

impl EntryKey {
    fn new(attempt: &Attempt) -> EntryKey {
        EntryKey {
            source: attempt.source,
            reason: attempt.tag.reason,
            destination: attempt.destination,
            protocol: attempt.protocol,
            port: attempt.port,
        }
    }
}

#[derive(Debug, Clone)]
struct HostEntry {
    tried: EntryKey,
    count: u64,
    first: u64,
    last: u64,
}

/// The hosts of one kind, with as many entries as fit.
#[derive(Debug, Clone, Default)]
struct Room {
    /// In the order of their zones and of who they are.
    hosts: Vec<Host>,
    entries: usize,
    told: Told,
}

/// All that was refused, as far as there is room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    checked: Room,
    unchecked: Room,
    /// Entries that were given up, since there was no room.
    pub(crate) given_up: u64,
    /// How often packets came faster than they were read.
    pub(crate) lost: u64,
    /// Days since 1970 on which packets were refused, with how many, in order.
    pub(super) days: Vec<(u64, u64)>,
}

/// What is to be told of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// It was told before, or too much was in this minute.
    Nothing,
    /// It is new.
    New,
    /// It is new, and more in this minute is recorded and not told.
    LastForNow,
}

/// How many new attempts were told in this minute.
#[derive(Debug, Clone, Default)]
struct Told {
    minute: u64,
    count: u32,
}

impl Told {
    /// Counts one more, of so many at most.
    fn tell(&mut self, now: u64, most: u32) -> Telling {
        if self.minute != now / 60 {
            *self = Told {
                minute: now / 60,
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        match self.count.cmp(&most) {
            std::cmp::Ordering::Less => Telling::New,
            std::cmp::Ordering::Equal => Telling::LastForNow,
            std::cmp::Ordering::Greater => Telling::Nothing,
        }
    }
}

impl Room {
    /// Where a host is; an error says where it would be.
    fn find(&self, refused: &RefusedAttempt) -> Result<usize, usize> {
        let (zone, who) = (&refused.attempt.tag.zone, who(refused));
        self.hosts
            .binary_search_by(|host| (&host.zone, host.who).cmp(&(zone, who)))
    }

    /// Returns what is to be told, and how many entries were given up.
    fn add(&mut self, refused: &RefusedAttempt, most: usize) -> (Telling, u64) {
        let place = self.find(refused).unwrap_or_else(|place| {
            let host = Host {
                zone: refused.attempt.tag.zone.clone(),
                who: who(refused),
                hardware: None,
                entries: Vec::new(),
                told: Told::default(),
            };
            self.hosts.insert(place, host);
            place
        });
        let Some(host) = self.hosts.get_mut(place) else {
            return (Telling::Nothing, 0);
        };
        host.hardware = refused.hardware.or(host.hardware);
        match host.find(&refused.attempt) {
            Ok(place) => {
                let entry = &mut host.entries[place];
                entry.count = entry.count.saturating_add(refused.count);
                entry.first = entry.first.min(refused.first);
                entry.last = entry.last.max(refused.last);
                return (Telling::Nothing, 0);
            }
            Err(place) => {
                let entry = HostEntry {
                    tried: EntryKey::new(&refused.attempt),
                    count: refused.count,
                    first: refused.first,
                    last: refused.last,
                };
                host.entries.insert(place, entry);
            }
        }
        let telling = match host.told.tell(refused.last, TOLD_OF_A_HOST) {
            Telling::Nothing => Telling::Nothing,
            telling => match self.told.tell(refused.last, TOLD_OF_ALL) {
                Telling::New => telling,
                other => other,
            },
        };
        self.entries += 1;
        let is_full = self.entries > most;
        if is_full {
            self.give_up();
        }
        (telling, u64::from(is_full))
    }

    /// Gives up what was tried least often, and of that the oldest, of the host with the
    /// most entries.
    fn give_up(&mut self) {
        let hosts = self.hosts.iter().enumerate();
        let Some((place, _)) = hosts.max_by_key(|(_, host)| host.entries.len()) else {
            return;
        };
        let entries = &mut self.hosts[place].entries;
        let least = entries.iter().enumerate();
        let least = least.min_by_key(|(_, entry)| (entry.count, entry.last));
        if let Some((least, _)) = least {
            entries.remove(least);
            self.entries -= 1;
        }
        if entries.is_empty() {
            self.hosts.remove(place);
        }
    }
}

fn who(refused: &RefusedAttempt) -> Who {
    match refused.hardware {
        Some(hardware) if refused.attempt.tag.reason.has_unchecked_source() => {
            Who::Hardware(hardware)
        }
        _ => Who::Address(refused.attempt.source),
    }
}

impl Host {
    /// Where the entry of an attempt is; an error says where it would be.
    fn find(&self, attempt: &Attempt) -> Result<usize, usize> {
        let tried = EntryKey::new(attempt);
        self.entries
            .binary_search_by(|entry| entry.tried.cmp(&tried))
    }

    fn refused(&self, entry: &HostEntry) -> RefusedAttempt {
        RefusedAttempt {
            attempt: Attempt {
                tag: RefusalTag {
                    zone: self.zone.clone(),
                    reason: entry.tried.reason,
                },
                source: entry.tried.source,
                destination: entry.tried.destination,
                protocol: entry.tried.protocol,
                port: entry.tried.port,
            },
            hardware: self.hardware,
            count: entry.count,
            first: entry.first,
            last: entry.last,
        }
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
        self.count_day(now / 86_400, 1);
        self.insert(&RefusedAttempt {
            attempt: attempt.clone(),
            hardware,
            count: 1,
            first: now,
            last: now,
        })
    }

    /// Days since 1970 on which packets were refused, with how many, in order.
    pub(crate) fn days(&self) -> &[(u64, u64)] {
        &self.days
    }

    pub(super) fn count_day(&mut self, day: u64, count: u64) {
        match self.days.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(place) => self.days[place].1 = self.days[place].1.saturating_add(count),
            Err(place) => self.days.insert(place, (day, count)),
        }
        if self.days.len() > MOST_DAYS {
            self.days.remove(0);
        }
    }

    /// Adds an entry. Returns what is to be told of it.
    pub(super) fn insert(&mut self, refused: &RefusedAttempt) -> Telling {
        let (room, most) = match refused.attempt.tag.reason.has_unchecked_source() {
            true => (&mut self.unchecked, MOST_UNCHECKED),
            false => (&mut self.checked, MOST),
        };
        let (telling, given_up) = room.add(refused, most);
        self.given_up += given_up;
        telling
    }

    /// Every entry, by host, and of a host by source.
    pub(crate) fn all(&self) -> Vec<RefusedAttempt> {
        let mut all = Vec::new();
        for host in self.checked.hosts.iter().chain(&self.unchecked.hosts) {
            all.extend(host.entries.iter().map(|entry| host.refused(entry)));
        }
        all
    }

    /// How often the same was refused in this record.
    pub(crate) fn count_of(&self, refused: &RefusedAttempt) -> u64 {
        let room = match refused.attempt.tag.reason.has_unchecked_source() {
            true => &self.unchecked,
            false => &self.checked,
        };
        let Ok(place) = room.find(refused) else {
            return 0;
        };
        let host = &room.hosts[place];
        host.find(&refused.attempt)
            .map_or(0, |place| host.entries[place].count)
    }

    /// Takes what is recorded so far as told before.
    pub(super) fn begin_to_tell(&mut self) {
        for room in [&mut self.checked, &mut self.unchecked] {
            room.told = Told::default();
            for host in &mut room.hosts {
                host.told = Told::default();
            }
        }
    }
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
    use super::super::attempt::an_attempt as attempt;
    use super::*;

    fn of(refusals: &Refusals, source: [u8; 4]) -> usize {
        let source = IpAddr::from(source);
        let all = refusals.all().into_iter();
        all.filter(|it| it.attempt.source == source).count()
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
        let mut all = refusals.all().into_iter();
        assert!(all.any(|it| it.attempt == again && it.count == 9));
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
        let all = refusals.all();
        assert_eq!(all.iter().filter(|it| it.hardware == other).count(), 1);
        assert_eq!(all.len(), 1 + MOST_UNCHECKED);
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
    fn many_sources_do_not_flood_the_log() -> Result<(), &'static str> {
        let mut refusals = Refusals::default();
        let mut told = 0;
        for from in 0..1_000_u32 {
            let one = attempt("not-allowed", from.to_be_bytes(), 1).ok_or("an attempt")?;
            told += u32::from(refusals.add(&one, None, 60) != Telling::Nothing);
        }
        assert_eq!(told, TOLD_OF_ALL);
        let later = attempt("not-allowed", [9; 4], 1).ok_or("an attempt")?;
        assert_eq!(refusals.add(&later, None, 120), Telling::New);
        Ok(())
    }
}
