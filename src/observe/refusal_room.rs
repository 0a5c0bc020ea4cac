//! The hosts of the record with what each tried, and which of them gives up an entry where
//! there is no room.
//!
//! Owns the fair shares. Of whom nobody listed, one host may look like many: its addresses
//! are its own to choose. So all of a zone share what is one listed camera's alone.

use std::net::IpAddr;

use super::attempt::Attempt;
use super::listed_hosts::{ListedHosts, RefusedSender};
use super::refusals::RefusedAttempt;
use crate::name::{MacAddress, ZoneName};
use crate::policy::{RefusalReason, RefusalTag};

/// New attempts that are told of one host in one minute.
pub(super) const TOLD_OF_A_HOST: u32 = 20;

/// New attempts that are told of all hosts that nobody listed in one minute.
pub(super) const TOLD_OF_ALL: u32 = 200;

#[derive(Debug, Clone)]
struct Host {
    zone: Option<ZoneName>,
    sender: RefusedSender,
    /// Whether it is a camera of the file, or the router: so there are only so many.
    is_listed: bool,
    hardware: Option<MacAddress>,
    /// In the order of what was tried.
    entries: Vec<HostEntry>,
    told: Told,
}

/// What tells an entry of a host from its others. The same that was tried from another
/// source stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EntryKey {
    reason: RefusalReason,
    destination: IpAddr,
    protocol: u8,
    port: u16,
    source: IpAddr,
}

impl EntryKey {
    fn new(attempt: &Attempt) -> EntryKey {
        EntryKey {
            reason: attempt.tag.reason,
            destination: attempt.destination,
            protocol: attempt.protocol,
            port: attempt.port,
            source: attempt.source,
        }
    }

    /// Whether the same was tried, from whatever source.
    fn is_same_try(&self, other: &EntryKey) -> bool {
        EntryKey {
            source: other.source,
            ..*self
        } == *other
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
pub(super) struct Room {
    /// In the order of their zones and senders.
    hosts: Vec<Host>,
    entries: usize,
    /// Of hosts that nobody listed.
    told: Told,
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
    /// Takes what is recorded so far as told before.
    pub(super) fn begin_to_tell(&mut self) {
        self.told = Told::default();
        for host in &mut self.hosts {
            host.told = Told::default();
        }
    }

    /// Takes these for the listed hosts.
    pub(super) fn list(&mut self, listed: &ListedHosts) {
        let hosts = std::mem::take(&mut self.hosts);
        self.entries = 0;
        for host in &hosts {
            for entry in &host.entries {
                self.add(&host.refused(entry), listed, usize::MAX);
            }
        }
        self.begin_to_tell();
    }

    /// Every entry, by host.
    pub(super) fn all(&self) -> impl Iterator<Item = RefusedAttempt> {
        let hosts = self.hosts.iter();
        hosts.flat_map(|host| host.entries.iter().map(|entry| host.refused(entry)))
    }

    /// How often the same was refused.
    pub(super) fn count_of(&self, refused: &RefusedAttempt, listed: &ListedHosts) -> u64 {
        let Ok(place) = self.find(refused, listed.sender(refused)) else {
            return 0;
        };
        let host = &self.hosts[place];
        host.find(&refused.attempt)
            .map_or(0, |place| host.entries[place].count)
    }

    /// Where a host is; an error says where it would be.
    fn find(&self, refused: &RefusedAttempt, sender: RefusedSender) -> Result<usize, usize> {
        let zone = &refused.attempt.tag.zone;
        self.hosts
            .binary_search_by(|host| (&host.zone, host.sender).cmp(&(zone, sender)))
    }

    /// Returns what is to be told, and how many entries were given up.
    pub(super) fn add(
        &mut self,
        refused: &RefusedAttempt,
        listed: &ListedHosts,
        most: usize,
    ) -> (Telling, u64) {
        let sender = listed.sender(refused);
        let place = self.find(refused, sender).unwrap_or_else(|place| {
            let zone = &refused.attempt.tag.zone;
            let host = Host {
                zone: zone.clone(),
                sender,
                // There is but one router.
                is_listed: zone.as_ref().is_none_or(|zone| listed.has(zone, sender)),
                hardware: None,
                // Of many hosts that are one, each has one.
                entries: Vec::with_capacity(1),
                told: Told::default(),
            };
            self.hosts.insert(place, host);
            place
        });
        let Some(host) = self.hosts.get_mut(place) else {
            return (Telling::Nothing, 0);
        };
        host.hardware = refused.hardware.or(host.hardware);
        let is_told = match host.find(&refused.attempt) {
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
                let beside = place.checked_sub(1).into_iter().chain([place]);
                let mut beside = beside.filter_map(|place| host.entries.get(place));
                let is_told = beside.any(|other| other.tried.is_same_try(&entry.tried));
                host.entries.insert(place, entry);
                is_told
            }
        };
        let telling = match is_told {
            true => Telling::Nothing,
            false => host.told.tell(refused.last, TOLD_OF_A_HOST),
        };
        let telling = match telling {
            Telling::Nothing => Telling::Nothing,
            telling if host.is_listed => telling,
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

    /// Gives up what was tried least often, and of that the oldest, of the listed host with
    /// the most entries, or, where all others of a zone have more together, of theirs: of
    /// the one with the most, or of those with as many.
    fn give_up(&mut self) {
        let mut most = None;
        let mut first = 0;
        for zone in self.hosts.chunk_by(|one, other| one.zone == other.zone) {
            let unlisted = zone.iter().filter(|host| !host.is_listed);
            let together: usize = unlisted.map(|host| host.entries.len()).sum();
            for (place, host) in zone.iter().enumerate() {
                let entries = host.entries.len();
                let shared = if host.is_listed { entries } else { together };
                let least = host.entries.iter().map(|entry| (entry.count, entry.last));
                let worth = std::cmp::Reverse(least.min());
                most = most.max(Some((shared, entries, worth, first + place)));
            }
            first += zone.len();
        }
        let Some((.., place)) = most else {
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
