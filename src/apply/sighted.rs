//! When each camera was there last, as `camfw watch` records it.
//!
//! Owns the files of the record: in /run after each look, and on the disk at long
//! intervals, which spares flash, and when watch is ended.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::with_causes;
use crate::host::store::{self, StorePlace};
use crate::host::{clock, netlink};
use crate::observe::accounting::CameraCount;
use crate::observe::sightings::Sightings;
use crate::policy::Policy;

const NAME: &str = "seen";

/// How long after it was written to the disk it is again, in seconds.
const TO_DISK: f64 = 900.0;

/// The newest record that can be used; empty if there is none.
pub(super) fn read() -> Sightings {
    let texts = StorePlace::NEWEST_FIRST.into_iter();
    let texts = texts.filter_map(|place| store::read(place, NAME).ok().flatten());
    let mut records = texts.filter_map(|text| Sightings::parse(&text));
    records.next().unwrap_or_default()
}

/// The record of a running `watch`.
#[derive(Clone)]
pub(super) struct SightingRecord {
    sightings: Arc<Mutex<Sightings>>,
    /// When it was written to the disk, in seconds since the kernel started.
    on_disk: f64,
}

impl SightingRecord {
    /// Goes on where the record ended.
    pub(super) fn new() -> SightingRecord {
        SightingRecord {
            sightings: Arc::new(Mutex::new(read())),
            on_disk: clock::uptime(),
        }
    }

    /// Compares and writes. Returns what went wrong.
    pub(super) fn take(&mut self, policy: &Policy, counts: &[CameraCount]) -> Option<String> {
        let hosts = match netlink::seen() {
            Ok(seen) => seen.hosts,
            Err(error) => return Some(with_causes(&error)),
        };
        let mut sightings = self.sightings();
        sightings.compare(policy, counts, &hosts, clock::now());
        drop(sightings);
        let mut places = vec![StorePlace::Run];
        if clock::uptime() - self.on_disk >= TO_DISK {
            places.push(StorePlace::Disk);
            self.on_disk = clock::uptime();
        }
        self.write(&places)
    }

    /// Writes everything, since this process ends.
    pub(super) fn end(&self) {
        if self.sightings().compared.is_some() {
            self.write(&StorePlace::NEWEST_FIRST);
        }
    }

    fn write(&self, places: &[StorePlace]) -> Option<String> {
        let text = self.sightings().to_text();
        let written = places.iter().map(|place| store::write(*place, NAME, &text));
        let failed: Vec<_> = written.filter_map(Result::err).collect();
        failed.first().map(|error| with_causes(error))
    }

    fn sightings(&self) -> std::sync::MutexGuard<'_, Sightings> {
        self.sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
