//! The record of what was refused: who tried to reach what, how often, and when.
//!
//! Owns its bounds. A host has a fair share ([`super::refusal_room`]), so that a flood of one
//! hides nothing of another. Sources that may be made up have room of their own.
//!
//! Sorted lists and not maps: one host's entries are few or its own to lose, and each kind
//! of map is thousands of bytes of the program.

use std::sync::Arc;

use super::attempt::Attempt;
use super::listed_hosts::ListedHosts;
use super::refusal_room::{Room, Telling};
use crate::name::MacAddress;
use crate::policy::RefusalReason;

/// The most entries of sources that rules have checked.
const MOST: usize = 8_000;

/// The most entries of sources that may be made up.
const MOST_UNCHECKED: usize = 2_000;

/// The most days of which the packets are counted.
const MOST_DAYS: usize = 31;

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

/// All that was refused, as far as there is room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    checked: Room,
    unchecked: Room,
    listed: Arc<ListedHosts>,
    /// Entries that were given up, since there was no room.
    pub(crate) given_up: u64,
    /// How often packets came faster than they were read.
    pub(crate) lost: u64,
    /// Days since 1970 on which packets were refused, with how many, in order.
    pub(super) days: Vec<(u64, u64)>,
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
        let (telling, given_up) = room.add(refused, &self.listed, most);
        self.given_up += given_up;
        telling
    }

    /// Every entry, by host.
    pub(crate) fn all(&self) -> Vec<RefusedAttempt> {
        self.checked.all().chain(self.unchecked.all()).collect()
    }

    /// How often the same was refused in this record.
    pub(crate) fn count_of(&self, refused: &RefusedAttempt) -> u64 {
        match refused.attempt.tag.reason.has_unchecked_source() {
            true => self.unchecked.count_of(refused, &self.listed),
            false => self.checked.count_of(refused, &self.listed),
        }
    }

    /// Takes these for the listed hosts: no other host can hide one of these cameras.
    pub(crate) fn list(&mut self, listed: &Arc<ListedHosts>) {
        if self.listed != *listed {
            self.listed = Arc::clone(listed);
            self.checked.list(listed);
            self.unchecked.list(listed);
        }
    }

    /// Takes what is recorded so far as told before.
    pub(super) fn begin_to_tell(&mut self) {
        self.checked.begin_to_tell();
        self.unchecked.begin_to_tell();
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
            RefusalReason::Misplaced => "other zone's camera",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::super::attempt::an_attempt as attempt;
    use super::super::listed_hosts::ListedCamera;
    use super::super::refusal_room::{TOLD_OF_A_HOST, TOLD_OF_ALL};
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

    /// Camera porch, on the wire of its zone.
    fn porch() -> Result<Arc<ListedHosts>, Box<dyn std::error::Error>> {
        let camera = ListedCamera {
            zone: "camera".try_into()?,
            addresses: vec![IpAddr::from([192, 168, 8, 110])],
            mac: None,
            name: "porch".try_into()?,
        };
        let wire = |network: &str| {
            Ok::<_, Box<dyn std::error::Error>>(("camera".try_into()?, network.parse()?))
        };
        Ok(Arc::new(ListedHosts {
            cameras: vec![camera],
            on_wires: vec![wire("192.168.8.0/24")?, wire("fd00:8::/64")?],
        }))
    }

    fn from_ipv6(number: u32) -> Option<Attempt> {
        let mut one = attempt("not-allowed", [0; 4], 1)?;
        one.source = Ipv6Addr::from(0xfd00_0008_u128 << 96 | u128::from(number)).into();
        Some(one)
    }

    #[test]
    fn one_device_is_told_once_of_each_thing_it_tries() -> Result<(), Box<dyn std::error::Error>> {
        let mut refusals = Refusals::default();
        refusals.list(&porch()?);
        let mac = Some(MacAddress::from([2, 0, 0, 0, 0, 9]));
        let mut told = 0;
        let mut add = |one: &Attempt, mac| {
            told += u32::from(refusals.add(one, mac, 60) != Telling::Nothing);
            told
        };
        for from in 1..100 {
            add(&from_ipv6(from).ok_or("an attempt")?, mac);
            let ipv4 = attempt("not-allowed", [192, 168, 8, from as u8], 1).ok_or("an attempt")?;
            add(&ipv4, mac);
        }
        let from_camera = attempt("not-allowed", [192, 168, 8, 110], 1).ok_or("an attempt")?;
        let by_router = attempt("not-allowed", [10, 0, 0, 1], 1).ok_or("an attempt")?;
        assert_eq!(add(&from_camera, mac), 2, "a listed camera stays itself");
        assert_eq!(add(&by_router, mac), 3, "as a host behind a router does");
        Ok(())
    }

    #[test]
    fn what_is_tried_often_outlives_others_of_one_entry() -> Result<(), Box<dyn std::error::Error>>
    {
        let mut refusals = Refusals::default();
        refusals.list(&porch()?);
        let its = Some(MacAddress::from([0xfe; 6]));
        let again = attempt("not-allowed", [192, 168, 8, 200], 7).ok_or("an attempt")?;
        for _ in 0..9 {
            refusals.add(&again, its, 5);
        }
        for from in 0..MOST as u32 + 100 {
            let [.., a, b, c] = from.to_be_bytes();
            let mac = Some(MacAddress::from([2, 0, 0, a, b, c]));
            refusals.add(&from_ipv6(from).ok_or("an attempt")?, mac, 6);
        }
        assert!(refusals.all().iter().any(|it| it.attempt == again));
        Ok(())
    }

    #[test]
    fn sources_that_rotate_hide_no_listed_camera() -> Result<(), Box<dyn std::error::Error>> {
        let mut refusals = Refusals::default();
        let camera = IpAddr::from([192, 168, 8, 110]);
        refusals.list(&porch()?);
        for to in 0..3 {
            let its = attempt("not-allowed", [192, 168, 8, 110], to).ok_or("an attempt")?;
            assert_eq!(refusals.add(&its, None, 5), Telling::New);
        }
        // One host, with ever other sources, and then with ever other hardware addresses.
        for from in 0..MOST as u32 + 1_000 {
            let one = from_ipv6(from).ok_or("an attempt")?;
            let [.., a, b, c] = from.to_be_bytes();
            let mac = if from < 1_000 {
                [2; 6]
            } else {
                [2, 0, 0, a, b, c]
            };
            refusals.add(&one, Some(MacAddress::from(mac)), 6);
        }
        let again = attempt("not-allowed", [192, 168, 8, 110], 4).ok_or("an attempt")?;
        assert_eq!(refusals.add(&again, None, 7), Telling::New);
        let its = refusals.all().into_iter();
        assert_eq!(its.filter(|it| it.attempt.source == camera).count(), 4);
        assert_eq!(refusals.all().len(), MOST);
        Ok(())
    }
}
